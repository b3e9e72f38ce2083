"""Elastic Load Balancing v2: load balancers, target groups, listeners, rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecsnet.model import tables
from ecsnet.services.call import AwsError
from ecsnet.services.cloudformation.resources.base import (
    READY,
    WAITING,
    Env,
    Made,
    Native,
    Observed,
    Properties,
    delete_if_there,
)
from ecsnet.store.snapshot import Reader

_SERVICE = "elbv2"


def _tags(env: Env, p: Properties) -> list[dict[str, str]] | None:
    return env.naming.tags(p) or None


def _retag(env: Env, arn: str, before: Properties, after: Properties) -> None:
    old = {tag["Key"]: tag["Value"] for tag in env.naming.tags(before)}
    new = {tag["Key"]: tag["Value"] for tag in env.naming.tags(after)}
    if gone := [key for key in old if key not in new]:
        env.run(_SERVICE, "RemoveTags", {"ResourceArns": [arn], "TagKeys": gone})
    if fresh := [{"Key": key, "Value": value} for key, value in new.items() if old.get(key) != value]:
        env.run(_SERVICE, "AddTags", {"ResourceArns": [arn], "Tags": fresh})


def _full_name(arn: str) -> str:
    return arn.split(":", 5)[5]


# ── load balancers ───────────────────────────────────────────────────────────────────────────────────────────────────


def _create_balancer(env: Env, p: Properties) -> Made:
    names = ("Subnets", "SubnetMappings", "SecurityGroups", "Scheme", "Type", "IpAddressType", "Ipv4IpamPoolId")
    reply = env.run(
        _SERVICE,
        "CreateLoadBalancer",
        {**{name: p.get(name) for name in names}, "Name": p.get("Name") or env.naming.name(32), "Tags": _tags(env, p)},
    )
    balancer = reply["LoadBalancers"][0]
    arn = balancer["LoadBalancerArn"]
    if p.get("LoadBalancerAttributes"):
        _set_attributes(env, arn, p["LoadBalancerAttributes"])
    return Made(id=arn, attributes=_balancer_facts(balancer))


def _set_attributes(env: Env, arn: str, attributes: list[Mapping[str, Any]]) -> None:
    env.run(
        _SERVICE,
        "ModifyLoadBalancerAttributes",
        {"LoadBalancerArn": arn, "Attributes": [{"Key": a["Key"], "Value": a.get("Value", "")} for a in attributes]},
    )


def _balancer_facts(balancer: Mapping[str, Any]) -> Mapping[str, Any]:
    arn = balancer["LoadBalancerArn"]
    facts = {
        "LoadBalancerArn": arn,
        "DNSName": balancer["DNSName"],
        "LoadBalancerName": balancer["LoadBalancerName"],
        "LoadBalancerFullName": _full_name(arn).removeprefix("loadbalancer/"),
        "SecurityGroups": list(balancer.get("SecurityGroups") or ()),
    }
    if "CanonicalHostedZoneId" in balancer:
        facts["CanonicalHostedZoneID"] = balancer["CanonicalHostedZoneId"]
    return facts


def _balancer_ready(reader: Reader, id_: str, p: Properties) -> Observed:
    return READY if reader.get(tables.OBSERVED_LOAD_BALANCERS, id_) is not None else WAITING


def _update_balancer(env: Env, arn: str, before: Properties, after: Properties) -> Made:
    if any(after.get(name) != before.get(name) for name in ("Subnets", "SubnetMappings")):
        members = {"Subnets": after.get("Subnets"), "SubnetMappings": after.get("SubnetMappings")}
        env.run(_SERVICE, "SetSubnets", {"LoadBalancerArn": arn, **members})
    if after.get("SecurityGroups") != before.get("SecurityGroups"):
        env.run(
            _SERVICE,
            "SetSecurityGroups",
            {"LoadBalancerArn": arn, "SecurityGroups": after.get("SecurityGroups") or []},
        )
    if after.get("IpAddressType") != before.get("IpAddressType"):
        env.run(
            _SERVICE,
            "SetIpAddressType",
            {"LoadBalancerArn": arn, "IpAddressType": after.get("IpAddressType", "ipv4")},
        )
    if after.get("LoadBalancerAttributes") != before.get("LoadBalancerAttributes"):
        _set_attributes(env, arn, list(after.get("LoadBalancerAttributes") or ()))
    _retag(env, arn, before, after)
    reply = env.run(_SERVICE, "DescribeLoadBalancers", {"LoadBalancerArns": [arn]})
    return Made(id=arn, attributes=_balancer_facts(reply["LoadBalancers"][0]))


def _delete_balancer(env: Env, arn: str, p: Properties) -> None:
    delete_if_there(env, _SERVICE, "DeleteLoadBalancer", {"LoadBalancerArn": arn})


# ── target groups ────────────────────────────────────────────────────────────────────────────────────────────────────

_CHECKS = (
    "HealthCheckEnabled",
    "HealthCheckIntervalSeconds",
    "HealthCheckPath",
    "HealthCheckPort",
    "HealthCheckProtocol",
    "HealthCheckTimeoutSeconds",
    "HealthyThresholdCount",
    "Matcher",
    "UnhealthyThresholdCount",
)


def _create_target_group(env: Env, p: Properties) -> Made:
    names = (*_CHECKS, "IpAddressType", "Port", "Protocol", "ProtocolVersion", "TargetType", "VpcId")
    reply = env.run(
        _SERVICE,
        "CreateTargetGroup",
        {**{name: p.get(name) for name in names}, "Name": p.get("Name") or env.naming.name(32), "Tags": _tags(env, p)},
    )
    arn = reply["TargetGroups"][0]["TargetGroupArn"]
    if p.get("TargetGroupAttributes"):
        _set_group_attributes(env, arn, p)
    _targets(env, arn, {}, p)
    return Made(id=arn, attributes=_group_facts(arn))


def _set_group_attributes(env: Env, arn: str, p: Properties) -> None:
    attributes = [{"Key": a["Key"], "Value": a.get("Value", "")} for a in p.get("TargetGroupAttributes") or ()]
    env.run(_SERVICE, "ModifyTargetGroupAttributes", {"TargetGroupArn": arn, "Attributes": attributes})


def _targets(env: Env, arn: str, before: Properties, after: Properties) -> None:
    old, new = list(before.get("Targets") or ()), list(after.get("Targets") or ())
    if gone := [target for target in old if target not in new]:
        env.run(_SERVICE, "DeregisterTargets", {"TargetGroupArn": arn, "Targets": gone})
    if fresh := [target for target in new if target not in old]:
        env.run(_SERVICE, "RegisterTargets", {"TargetGroupArn": arn, "Targets": fresh})


def _group_facts(arn: str) -> Mapping[str, Any]:
    full = _full_name(arn)
    return {"TargetGroupArn": arn, "TargetGroupFullName": full, "TargetGroupName": full.split("/")[1]}


def _update_target_group(env: Env, arn: str, before: Properties, after: Properties) -> Made:
    changed = {name: after.get(name) for name in _CHECKS if after.get(name) != before.get(name)}
    if changed:
        env.run(_SERVICE, "ModifyTargetGroup", {"TargetGroupArn": arn, **changed})
    if after.get("TargetGroupAttributes") != before.get("TargetGroupAttributes"):
        _set_group_attributes(env, arn, after)
    _targets(env, arn, before, after)
    _retag(env, arn, before, after)
    return Made(id=arn, attributes=_group_facts(arn))


def _delete_target_group(env: Env, arn: str, p: Properties) -> None:
    delete_if_there(env, _SERVICE, "DeleteTargetGroup", {"TargetGroupArn": arn})


# ── listeners ────────────────────────────────────────────────────────────────────────────────────────────────────────

_LISTENER = ("AlpnPolicy", "Certificates", "DefaultActions", "MutualAuthentication", "Port", "Protocol", "SslPolicy")


def _create_listener(env: Env, p: Properties) -> Made:
    members = {name: p.get(name) for name in _LISTENER}
    reply = env.run(
        _SERVICE,
        "CreateListener",
        {**members, "LoadBalancerArn": p["LoadBalancerArn"], "Tags": p.get("Tags") or None},
    )
    arn = reply["Listeners"][0]["ListenerArn"]
    if p.get("ListenerAttributes"):
        _set_listener_attributes(env, arn, p)
    return Made(id=arn, attributes={"ListenerArn": arn})


def _set_listener_attributes(env: Env, arn: str, p: Properties) -> None:
    attributes = [{"Key": a["Key"], "Value": a.get("Value", "")} for a in p.get("ListenerAttributes") or ()]
    env.run(_SERVICE, "ModifyListenerAttributes", {"ListenerArn": arn, "Attributes": attributes})


def _update_listener(env: Env, arn: str, before: Properties, after: Properties) -> Made:
    changed = {name: after.get(name) for name in _LISTENER if after.get(name) != before.get(name)}
    if changed:
        env.run(_SERVICE, "ModifyListener", {"ListenerArn": arn, **changed})
    if after.get("ListenerAttributes") != before.get("ListenerAttributes"):
        _set_listener_attributes(env, arn, after)
    return Made(id=arn, attributes={"ListenerArn": arn})


def _delete_listener(env: Env, arn: str, p: Properties) -> None:
    delete_if_there(env, _SERVICE, "DeleteListener", {"ListenerArn": arn})


# ── rules ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _create_rule(env: Env, p: Properties) -> Made:
    names = ("ListenerArn", "Priority", "Conditions", "Actions", "Transforms")
    if p.get("ListenerArn") is None:
        raise AwsError("ValidationError", "A listener rule needs a ListenerArn.")
    reply = env.run(_SERVICE, "CreateRule", {**{name: p.get(name) for name in names}, "Tags": p.get("Tags") or None})
    rule = reply["Rules"][0]
    return Made(id=rule["RuleArn"], attributes={"RuleArn": rule["RuleArn"], "IsDefault": rule.get("IsDefault", False)})


def _update_rule(env: Env, arn: str, before: Properties, after: Properties) -> Made:
    changed = {
        name: after.get(name) for name in ("Conditions", "Actions", "Transforms") if after.get(name) != before.get(name)
    }
    if changed:
        env.run(_SERVICE, "ModifyRule", {"RuleArn": arn, **changed})
    if after.get("Priority") != before.get("Priority"):
        env.run(_SERVICE, "SetRulePriorities", {"RulePriorities": [{"RuleArn": arn, "Priority": after["Priority"]}]})
    return Made(id=arn, attributes={"RuleArn": arn, "IsDefault": False})


def _delete_rule(env: Env, arn: str, p: Properties) -> None:
    delete_if_there(env, _SERVICE, "DeleteRule", {"RuleArn": arn})


PROVISIONERS = (
    Native(
        type="AWS::ElasticLoadBalancingV2::LoadBalancer",
        create=_create_balancer,
        update=_update_balancer,
        delete=_delete_balancer,
        ready=_balancer_ready,
    ),
    Native(
        type="AWS::ElasticLoadBalancingV2::TargetGroup",
        create=_create_target_group,
        update=_update_target_group,
        delete=_delete_target_group,
    ),
    Native(
        type="AWS::ElasticLoadBalancingV2::Listener",
        create=_create_listener,
        update=_update_listener,
        delete=_delete_listener,
    ),
    Native(
        type="AWS::ElasticLoadBalancingV2::ListenerRule",
        create=_create_rule,
        update=_update_rule,
        delete=_delete_rule,
    ),
)
