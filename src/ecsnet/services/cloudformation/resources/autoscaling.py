"""Auto Scaling groups and what belongs to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecsnet.model import tables
from ecsnet.model.autoscaling import Lifecycle
from ecsnet.model.base import scope
from ecsnet.services.call import AwsError
from ecsnet.services.cloudformation.resources.base import (
    READY,
    WAITING,
    Broken,
    Env,
    Made,
    Native,
    Observed,
    Properties,
)
from ecsnet.store.snapshot import Reader

_GIVES_UP_AFTER = 3
"""Refused launches in a row after which a group does not become stable any more."""

_NOT_MEMBERS = ("AutoScalingGroupName", "MetricsCollection", "NotificationConfiguration", "NotificationConfigurations")
"""Properties that are not CreateAutoScalingGroup's, or not under this name. Metrics and notifications of a group are
kept by nobody here."""

_NUMBERS = ("MinSize", "MaxSize", "DesiredCapacity", "Cooldown")


def _members(p: Properties) -> dict[str, Any]:
    """The request's members; the template's names differ in a few places."""
    members = {name: value for name, value in p.items() if name not in _NOT_MEMBERS}
    for name in _NUMBERS:
        if members.get(name) is not None:
            members[name] = int(members[name])
    if "Cooldown" in members:
        members["DefaultCooldown"] = members.pop("Cooldown")
    if isinstance(members.get("VPCZoneIdentifier"), list):
        members["VPCZoneIdentifier"] = ",".join(members["VPCZoneIdentifier"])
    return members


def _tags(env: Env, p: Properties) -> list[dict[str, Any]]:
    own = [dict(tag) for tag in p.get("Tags") or ()]
    named = {tag["Key"] for tag in own}
    stack = [{"Key": key, "Value": value, "PropagateAtLaunch": True} for key, value in env.naming.stack.current.tags]
    return [*(tag for tag in stack if tag["Key"] not in named), *own]


def _create(env: Env, p: Properties) -> Made:
    name = p.get("AutoScalingGroupName") or env.naming.name(255)
    members = {**_members(p), "AutoScalingGroupName": name, "Tags": _tags(env, p)}
    env.run("autoscaling", "CreateAutoScalingGroup", members)
    return Made(id=name, attributes=_attributes(env, name), note=_note(p))


def _note(p: Properties) -> str | None:
    if p.get("NotificationConfigurations") or p.get("NotificationConfiguration"):
        return "No notifications are sent to its topics."
    return None


def _attributes(env: Env, name: str) -> Mapping[str, Any]:
    (found,) = env.run("autoscaling", "DescribeAutoScalingGroups", {"AutoScalingGroupNames": [name]})[
        "AutoScalingGroups"
    ]
    return {"AutoScalingGroupARN": found["AutoScalingGroupARN"]}


def _update(env: Env, name: str, before: Properties, after: Properties) -> Made:
    members = _members(after)
    groups = set(members.pop("TargetGroupARNs", None) or ())
    for member in ("Tags", "LifecycleHookSpecificationList", "LoadBalancerNames"):
        members.pop(member, None)
    env.run("autoscaling", "UpdateAutoScalingGroup", {**members, "AutoScalingGroupName": name})
    old = set(before.get("TargetGroupARNs") or ())
    for operation, changed in (("Attach", groups - old), ("Detach", old - groups)):
        if changed:
            request = {"AutoScalingGroupName": name, "TargetGroupARNs": sorted(changed)}
            env.run("autoscaling", f"{operation}LoadBalancerTargetGroups", request)
    wanted = {tag["Key"] for tag in _tags(env, after)}
    gone = [tag["Key"] for tag in before.get("Tags") or () if tag["Key"] not in wanted]
    for operation, tags in (
        ("CreateOrUpdateTags", _tags(env, after)),
        ("DeleteTags", [{"Key": key} for key in gone]),
    ):
        if tags:
            resource = {"ResourceId": name, "ResourceType": "auto-scaling-group"}
            env.run("autoscaling", operation, {"Tags": [{**tag, **resource} for tag in tags]})
    return Made(id=name, attributes=_attributes(env, name))


def _ready(reader: Reader, arn: str, p: Properties) -> Observed:
    """Stable when as many instances are in service as it shall have ("Group did not stabilize" on AWS otherwise)."""
    row = reader.get(tables.AUTO_SCALING_GROUPS, arn)
    if row is None or row.deleting:
        return Broken(reason="The Auto Scaling group does not exist any more")
    members = list(reader.find(tables.GROUP_INSTANCES_BY_GROUP, arn))
    serving = sum(1 for member in members if member.state is Lifecycle.IN_SERVICE)
    if serving >= row.desired:
        return READY
    if row.failures >= _GIVES_UP_AFTER:
        refused = [one for one in reader.find(tables.SCALING_ACTIVITIES_BY_GROUP, arn) if one.status == "Failed"]
        last = max(refused, key=lambda one: one.number)
        sizes = f"{{current/minSize/desired}} group size = {{{serving}/{row.minimum}/{row.desired}}}"
        return Broken(reason=f"Group did not stabilize. {sizes}. Failed activity: {last.message}")
    return WAITING


def _gone(reader: Reader, arn: str, p: Properties) -> Observed:
    return READY if reader.get(tables.AUTO_SCALING_GROUPS, arn) is None else WAITING


def _find(env: Env, name: str) -> Any:
    here = scope(env.call.account, env.call.region)
    return next(iter(env.call.tx.find(tables.AUTO_SCALING_GROUPS_BY_NAME, f"{here}/{name}")), None)


def _delete(env: Env, name: str, p: Properties) -> None:
    """With its instances, as CloudFormation does. Lifecycle hooks do not hold them: no function here would answer."""
    if _find(env, name) is not None:
        env.run("autoscaling", "DeleteAutoScalingGroup", {"AutoScalingGroupName": name, "ForceDelete": True})


# ── launch configurations ────────────────────────────────────────────────────────────────────────────────────────────


def _create_configuration(env: Env, p: Properties) -> Made:
    name = p.get("LaunchConfigurationName") or env.naming.name(255)
    members = {key: value for key, value in p.items() if key != "InstanceMonitoring"}
    if p.get("InstanceMonitoring") is not None:
        members["InstanceMonitoring"] = {"Enabled": bool(p["InstanceMonitoring"])}
    env.run("autoscaling", "CreateLaunchConfiguration", {**members, "LaunchConfigurationName": name})
    return Made(id=name)


def _delete_configuration(env: Env, name: str, p: Properties) -> None:
    try:
        env.run("autoscaling", "DeleteLaunchConfiguration", {"LaunchConfigurationName": name})
    except AwsError as error:
        if "not found" not in error.message:
            raise


# ── lifecycle hooks ──────────────────────────────────────────────────────────────────────────────────────────────────


def _put_hook(env: Env, p: Properties) -> Made:
    name = p.get("LifecycleHookName") or env.naming.name(255)
    env.run("autoscaling", "PutLifecycleHook", {**p, "LifecycleHookName": name})
    note = None
    if p.get("NotificationTargetARN"):
        note = "Nothing is sent to its target: instances wait until CompleteLifecycleAction or the time-out."
    return Made(id=name, attributes={"LifecycleHookName": name}, note=note)


def _update_hook(env: Env, name: str, before: Properties, after: Properties) -> Made:
    return _put_hook(env, {**after, "LifecycleHookName": name})


def _delete_hook(env: Env, name: str, p: Properties) -> None:
    try:
        members = {"AutoScalingGroupName": p["AutoScalingGroupName"], "LifecycleHookName": name}
        env.run("autoscaling", "DeleteLifecycleHook", members)
    except AwsError as error:
        if error.code != "ValidationError":
            raise


# ── what is kept in the stack alone ──────────────────────────────────────────────────────────────────────────────────


def _recorded(env: Env, p: Properties) -> Made:
    name = p.get("PolicyName") or p.get("ScheduledActionName") or env.naming.name(255)
    arn = (
        f"arn:aws:autoscaling:{env.call.region}:{env.call.account}:scalingPolicy:{env.naming.uuid()}:"
        f"autoScalingGroupName/{p['AutoScalingGroupName']}:policyName/{name}"
    )
    return Made(
        id=arn,
        attributes={"Arn": arn, "PolicyName": name, "ScheduledActionName": name},
        note="Recorded only: no alarm or schedule changes the group's capacity.",
    )


def _same(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    return Made(id=id_, attributes={**_recorded(env, after).attributes, "Arn": id_})


def _forget(env: Env, id_: str, p: Properties) -> None:
    return None


PROVISIONERS = (
    Native(
        type="AWS::AutoScaling::AutoScalingGroup",
        create=_create,
        update=_update,
        delete=_delete,
        ready=_ready,
        gone=_gone,
        seen_by="AutoScalingGroupARN",
    ),
    Native(type="AWS::AutoScaling::LaunchConfiguration", create=_create_configuration, delete=_delete_configuration),
    Native(type="AWS::AutoScaling::LifecycleHook", create=_put_hook, update=_update_hook, delete=_delete_hook),
    *(
        Native(type=kind, create=_recorded, update=_same, delete=_forget)
        for kind in ("AWS::AutoScaling::ScalingPolicy", "AWS::AutoScaling::ScheduledAction")
    ),
)
