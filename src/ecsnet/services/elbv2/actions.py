"""Listener and rule actions: from the API's forms to `Action` and back.

Texts and limits: API types `Action`, `ForwardActionConfig`, `RedirectActionConfig`, `FixedResponseActionConfig`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ecsnet.model.elbv2 import Action, TargetGroupTuple
from ecsnet.model.tables import TARGET_GROUPS
from ecsnet.services.call import Call, not_implemented
from ecsnet.services.elbv2 import errors
from ecsnet.services.elbv2.health import load_balancers_of

_CONTENT_TYPES = ("text/html", "application/json", "application/javascript", "text/css", "text/plain")
_GROUPS_PER_ACTION = 5
_FIXED_STATUS = re.compile(r"[245]\d\d")
_REDIRECT_PROTOCOL = re.compile(r"HTTPS?|#\{protocol\}")


def parse(
    call: Call, operation: str, load_balancer: str, protocol: str, given: Sequence[Mapping[str, Any]]
) -> tuple[Action, ...]:
    """The stored actions of a listener or rule, sorted by order.

    `load_balancer` is the ARN of the listener's load balancer, `protocol` the listener's. Raises AwsError
    ValidationError, InvalidLoadBalancerAction, TargetGroupNotFound or TargetGroupAssociationLimit.
    """
    for item in given:
        if item.get("Type") in ("authenticate-oidc", "authenticate-cognito", "jwt-validation"):
            raise not_implemented(operation, f"actions of type '{item['Type']}'")
    if not given:
        raise errors.validation("An action must be specified")
    if len(given) > 1:
        raise errors.invalid_action("You must specify exactly one forward, redirect or fixed-response action")
    return tuple(_one(call, load_balancer, protocol, item) for item in given)


def _one(call: Call, load_balancer: str, protocol: str, given: Mapping[str, Any]) -> Action:
    kind, order = given.get("Type"), given.get("Order")
    if protocol == "TCP" and kind != "forward":
        raise errors.invalid_action("A listener of a Network Load Balancer can only forward")
    if order is not None and not 1 <= order <= 50000:
        raise errors.validation(f"The action order '{order}' must be between 1 and 50000")
    match kind:
        case "forward":
            return _forward(call, load_balancer, protocol, order, given)
        case "redirect":
            return _redirect(protocol, order, given.get("RedirectConfig"))
        case "fixed-response":
            return _fixed(order, given.get("FixedResponseConfig"))
        case _:
            raise errors.validation(
                f"Action type '{kind}' must be one of 'redirect,fixed-response,forward,authenticate-oidc,"
                "authenticate-cognito,jwt-validation'"
            )


def _forward(call: Call, load_balancer: str, protocol: str, order: int | None, given: Mapping[str, Any]) -> Action:
    single: str | None = given.get("TargetGroupArn")
    config: Mapping[str, Any] = given.get("ForwardConfig") or {}
    groups = tuple(
        TargetGroupTuple(target_group=item["TargetGroupArn"], weight=item.get("Weight", 1))
        for item in config.get("TargetGroups") or ()
    )
    if single is not None:
        if groups and [item.target_group for item in groups] != [single]:
            raise errors.validation(
                "When both 'TargetGroupArn' and 'ForwardConfig' are given, the target group must be the same"
            )
        groups = groups or (TargetGroupTuple(target_group=single),)
    if not groups:
        raise errors.validation("A target group ARN must be specified")
    if len(groups) > _GROUPS_PER_ACTION:
        raise errors.invalid_action(f"A forward action can have at most {_GROUPS_PER_ACTION} target groups")
    if len({item.target_group for item in groups}) != len(groups):
        raise errors.invalid_action("A target group can only be specified once in a forward action")
    for item in groups:
        if not 0 <= item.weight <= 999:
            raise errors.validation(f"The weight '{item.weight}' must be between 0 and 999")
        _check_group(call, load_balancer, protocol, item.target_group)
    if protocol == "TCP" and len(groups) > 1:
        raise not_implemented("CreateListener", "several target groups in a listener of a Network Load Balancer")
    stickiness: Mapping[str, Any] = config.get("TargetGroupStickinessConfig") or {}
    seconds = None
    if stickiness.get("Enabled"):
        seconds = stickiness.get("DurationSeconds")
        if seconds is None or not 1 <= seconds <= 604800:
            raise errors.validation("The stickiness duration must be between 1 and 604800 seconds")
    return Action(type="forward", order=order, forward=groups, stickiness_seconds=seconds)


def _check_group(call: Call, load_balancer: str, protocol: str, arn: str) -> None:
    group = call.tx.get(TARGET_GROUPS, arn)
    if group is None:
        raise errors.target_group_not_found(arn)
    legal = ("TCP",) if protocol == "TCP" else ("HTTP", "HTTPS")
    if group.protocol not in legal:
        wanted = " or ".join(legal)
        raise errors.invalid_action(f"Target group '{arn}' has protocol '{group.protocol}', which is not {wanted}")
    if any(balancer.arn != load_balancer for balancer in load_balancers_of(call.tx, arn)):
        raise errors.target_group_association_limit(arn)


def _redirect(protocol: str, order: int | None, config: Mapping[str, Any] | None) -> Action:
    if config is None:
        raise errors.validation("A redirect action must have a RedirectConfig")
    status = config.get("StatusCode")
    if status not in ("HTTP_301", "HTTP_302"):
        raise errors.validation(f"The redirect status code '{status}' must be one of 'HTTP_301, HTTP_302'")
    action = Action(
        type="redirect",
        order=order,
        status_code=status,
        protocol=config.get("Protocol", "#{protocol}"),
        port=str(config.get("Port", "#{port}")),
        host=config.get("Host", "#{host}"),
        path=config.get("Path", "/#{path}"),
        query=config.get("Query", "#{query}"),
    )
    if not _REDIRECT_PROTOCOL.fullmatch(action.protocol or ""):
        raise errors.validation(f"The redirect protocol '{action.protocol}' must be HTTP, HTTPS or #{{protocol}}")
    if action.port != "#{port}" and not ((action.port or "").isdigit() and 1 <= int(action.port or "") <= 65535):
        raise errors.validation(f"The redirect port '{action.port}' must be between 1 and 65535 or #{{port}}")
    if not (action.path or "").startswith("/") or len(action.path or "") > 128:
        raise errors.validation("The redirect path must start with '/' and have at most 128 characters")
    if not 1 <= len(action.host or "") <= 128 or len(action.query or "") > 128:
        raise errors.validation("The redirect host and query can have at most 128 characters")
    for text in (action.host, action.path, action.query):
        if any(ord(character) < 0x21 or ord(character) > 0x7E for character in text or ""):
            raise errors.validation(f"The redirect value '{text}' contains characters that are not allowed")
    if protocol == "HTTPS" and action.protocol == "HTTP":
        raise errors.invalid_action("You cannot redirect from HTTPS to HTTP")
    unchanged = ("#{protocol}", "#{host}", "#{port}", "/#{path}")
    if (action.protocol, action.host, action.port, action.path) == unchanged:
        raise errors.invalid_action("The redirect must change the protocol, host, port or path to avoid a loop")
    return action


def _fixed(order: int | None, config: Mapping[str, Any] | None) -> Action:
    if config is None:
        raise errors.validation("A fixed-response action must have a FixedResponseConfig")
    status = str(config.get("StatusCode", ""))
    if not _FIXED_STATUS.fullmatch(status):
        raise errors.validation(f"The fixed-response status code '{status}' must be 2XX, 4XX or 5XX")
    content_type = config.get("ContentType")
    if content_type and content_type not in _CONTENT_TYPES:
        choices = ", ".join(f"'{item}'" for item in _CONTENT_TYPES)
        raise errors.invalid_action(f"The ContentType must be one of:{choices}")
    body = config.get("MessageBody")
    if body is not None and len(body) > 1024:
        raise errors.validation("The fixed-response message body can have at most 1024 characters")
    return Action(
        type="fixed-response", order=order, status_code=status, content_type=content_type or None, message_body=body
    )


def describe(action: Action) -> dict[str, Any]:
    """An action as the Describe operations answer it: a single target group in both forms."""
    answer: dict[str, Any] = {"Type": action.type}
    if action.order is not None:
        answer["Order"] = action.order
    match action.type:
        case "forward":
            stickiness: dict[str, Any] = {"Enabled": action.stickiness_seconds is not None}
            if action.stickiness_seconds is not None:
                stickiness["DurationSeconds"] = action.stickiness_seconds
            answer["ForwardConfig"] = {
                "TargetGroups": [{"TargetGroupArn": t.target_group, "Weight": t.weight} for t in action.forward],
                "TargetGroupStickinessConfig": stickiness,
            }
            if len(action.forward) == 1:
                answer["TargetGroupArn"] = action.forward[0].target_group
        case "redirect":
            answer["RedirectConfig"] = {
                "Protocol": action.protocol,
                "Port": action.port,
                "Host": action.host,
                "Path": action.path,
                "Query": action.query,
                "StatusCode": action.status_code,
            }
        case "fixed-response":
            fixed = {
                "StatusCode": action.status_code,
                "ContentType": action.content_type,
                "MessageBody": action.message_body,
            }
            answer["FixedResponseConfig"] = {name: text for name, text in fixed.items() if text is not None}
    return answer
