"""Listener rules: create, describe, modify, delete, and their priorities."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from ecsnet.model.elbv2 import Listener, Rule
from ecsnet.model.tables import LISTENER_RULES, LISTENERS, LISTENERS_BY_LOAD_BALANCER, RULES_BY_LISTENER
from ecsnet.services.call import Call, Operation, Reply, Request, not_implemented, read, write
from ecsnet.services.elbv2 import actions, conditions, errors, tags
from ecsnet.services.elbv2.health import forget_unused
from ecsnet.services.elbv2.limits import quota
from ecsnet.services.elbv2.listener import groups_in
from ecsnet.services.elbv2.paging import page

_HIGHEST = 50000


def create_rule(call: Call, request: Request) -> Reply:
    listener = _listener(call, request["ListenerArn"])
    if listener.protocol == "TCP":
        raise errors.invalid_configuration("Listeners of a Network Load Balancer cannot have rules")
    _refuse_transforms("CreateRule", request)
    priority = _priority(request["Priority"])
    matched = conditions.parse("CreateRule", request["Conditions"])
    chosen = actions.parse(call, "CreateRule", listener.load_balancer, listener.protocol, request["Actions"])
    if any(rule.priority == priority for rule in call.tx.find(RULES_BY_LISTENER, listener.arn)):
        raise errors.priority_in_use()
    limit = quota(call, "rules-per-application-load-balancer")
    siblings = call.tx.find(LISTENERS_BY_LOAD_BALANCER, listener.load_balancer)
    if sum(len(call.tx.keys(RULES_BY_LISTENER, sibling.arn)) for sibling in siblings) >= limit:
        raise errors.too_many("Rules", limit)
    arn = f"{listener.arn.replace(':listener/', ':listener-rule/')}/{call.ids.hex(16)}"
    rule = Rule(
        arn=arn,
        listener=listener.arn,
        priority=priority,
        conditions=matched,
        actions=chosen,
        tags=tags.parse(request),
    )
    call.tx.put(LISTENER_RULES, rule)
    return {"Rules": [describe(rule)]}


def _listener(call: Call, arn: str) -> Listener:
    listener = call.tx.get(LISTENERS, arn)
    if listener is None:
        raise errors.listener_not_found()
    return listener


def _refuse_transforms(operation: str, request: Request) -> None:
    if request.get("Transforms"):
        raise not_implemented(operation, "rule transforms (Transforms)")


def _priority(given: int) -> int:
    if not 1 <= given <= _HIGHEST:
        raise errors.validation(f"The priority '{given}' must be between 1 and {_HIGHEST}")
    return given


def default_rule_arn(listener: str) -> str:
    """The ARN of a listener's default rule, derived from the listener's ARN (the rule itself is not stored)."""
    digest = hashlib.sha256(listener.encode()).hexdigest()[:16]
    return f"{listener.replace(':listener/', ':listener-rule/')}/{digest}"


def _stored(call: Call, arn: str, doing: str) -> Rule:
    rule = call.tx.get(LISTENER_RULES, arn)
    if rule is not None:
        return rule
    listener = call.tx.get(LISTENERS, _listener_arn(arn))
    if listener is not None and default_rule_arn(listener.arn) == arn:
        raise errors.operation_not_permitted(f"Default rule '{arn}' cannot be {doing}")
    raise errors.rule_not_found()


def _listener_arn(rule_arn: str) -> str:
    return rule_arn.replace(":listener-rule/", ":listener/").rpartition("/")[0]


def describe_rules(call: Call, request: Request) -> Reply:
    arns, listener_arn = request.get("RuleArns"), request.get("ListenerArn")
    if not arns and listener_arn is None:
        raise errors.validation("You must specify either listener rule ARNs or a listener ARN")
    if arns and listener_arn is not None:
        raise errors.validation("You cannot specify both listener rule ARNs and a listener ARN")
    if listener_arn is not None:
        listener = _listener(call, listener_arn)
        rules = sorted(call.tx.find(RULES_BY_LISTENER, listener.arn), key=lambda rule: rule.priority)
        listed = [describe(rule) for rule in rules] + [describe_default(listener)]
    else:
        listed = [_described(call, arn) for arn in arns or ()]
    chosen, more = page(request, listed, lambda rule: rule["RuleArn"])
    return {"Rules": chosen, **more}


def _described(call: Call, arn: str) -> dict[str, Any]:
    rule = call.tx.get(LISTENER_RULES, arn)
    if rule is not None:
        return describe(rule)
    listener = call.tx.get(LISTENERS, _listener_arn(arn))
    if listener is None or default_rule_arn(listener.arn) != arn:
        raise errors.rule_not_found()
    return describe_default(listener)


def modify_rule(call: Call, request: Request) -> Reply:
    _refuse_transforms("ModifyRule", request)
    rule = _stored(call, request["RuleArn"], "modified; use ModifyListener")
    if not request.get("Conditions") and not request.get("Actions"):
        raise errors.validation("Either conditions or actions must be specified")
    listener = _listener(call, rule.listener)
    matched, chosen = rule.conditions, rule.actions
    if request.get("Conditions"):
        matched = conditions.parse("ModifyRule", request["Conditions"])
    if request.get("Actions"):
        chosen = actions.parse(call, "ModifyRule", listener.load_balancer, listener.protocol, request["Actions"])
    changed = msgspec.structs.replace(rule, conditions=matched, actions=chosen)
    call.tx.put(LISTENER_RULES, changed)
    forget_unused(call.tx, groups_in(rule.actions))
    return {"Rules": [describe(changed)]}


def delete_rule(call: Call, request: Request) -> Reply:
    rule = _stored(call, request["RuleArn"], "deleted")
    call.tx.delete(LISTENER_RULES, rule.arn)
    forget_unused(call.tx, groups_in(rule.actions))
    return {}


def set_rule_priorities(call: Call, request: Request) -> Reply:
    """Give rules new priorities as one step; rules that are not named keep theirs."""
    wanted: dict[str, int] = {}
    for item in request["RulePriorities"]:
        priority = _priority(item["Priority"])
        if priority in wanted.values():
            raise errors.validation(f"Priority '{priority}' was provided multiple times")
        wanted[item["RuleArn"]] = priority
    rules = [_stored(call, arn, "given a priority") for arn in wanted]
    for listener in {rule.listener for rule in rules}:
        for other in call.tx.find(RULES_BY_LISTENER, listener):
            clash = any(r.listener == listener and wanted[r.arn] == other.priority for r in rules)
            if other.arn not in wanted and clash:
                raise errors.priority_in_use()
    changed = [msgspec.structs.replace(rule, priority=wanted[rule.arn]) for rule in rules]
    for rule in changed:
        call.tx.put(LISTENER_RULES, rule)
    return {"Rules": [describe(rule) for rule in changed]}


def describe(rule: Rule) -> dict[str, Any]:
    return {
        "RuleArn": rule.arn,
        "Priority": str(rule.priority),
        "Conditions": [conditions.describe(condition) for condition in rule.conditions],
        "Actions": [actions.describe(action) for action in rule.actions],
        "IsDefault": False,
    }


def describe_default(listener: Listener) -> dict[str, Any]:
    return {
        "RuleArn": default_rule_arn(listener.arn),
        "Priority": "default",
        "Conditions": [],
        "Actions": [actions.describe(action) for action in listener.default_actions],
        "IsDefault": True,
    }


OPERATIONS: tuple[Operation, ...] = (
    write("CreateRule", create_rule),
    read("DescribeRules", describe_rules),
    write("ModifyRule", modify_rule),
    write("DeleteRule", delete_rule),
    write("SetRulePriorities", set_rule_priorities),
)
