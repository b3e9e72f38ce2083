"""Instances, the templates that they are made from, and the interfaces attached to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecsnet.model import tables
from ecsnet.services.cloudformation.resources.base import (
    READY,
    WAITING,
    Broken,
    Env,
    Made,
    Native,
    Observed,
    Properties,
    delete_if_there,
)
from ecsnet.services.cloudformation.resources.ec2 import retag, tagged
from ecsnet.services.ec2.ops import is_attached, primary_interface
from ecsnet.store.snapshot import Reader

_SAME = (
    "ImageId",
    "InstanceType",
    "KeyName",
    "SubnetId",
    "SecurityGroupIds",
    "SecurityGroups",
    "PrivateIpAddress",
    "Ipv6AddressCount",
    "Ipv6Addresses",
    "UserData",
    "DisableApiTermination",
    "InstanceInitiatedShutdownBehavior",
    "LaunchTemplate",
    "MetadataOptions",
)
"""Properties that RunInstances has under the same name."""

_REPLACING = (
    "AvailabilityZone",
    "ImageId",
    "InstanceType",
    "KeyName",
    "LaunchTemplate",
    "NetworkInterfaces",
    "PrivateIpAddress",
    "SecurityGroups",
    "SubnetId",
    "UserData",
)
"""AWS stops and starts an instance for another type or user data; nothing runs on one here that would notice the
difference."""


def _create(env: Env, p: Properties) -> Made:
    members: dict[str, Any] = {name: p.get(name) for name in _SAME}
    profile, zone = p.get("IamInstanceProfile"), p.get("AvailabilityZone")
    reply = env.run(
        "ec2",
        "RunInstances",
        {
            **members,
            "MinCount": 1,
            "MaxCount": 1,
            "IamInstanceProfile": {"Name": profile} if profile else None,
            "Placement": {"AvailabilityZone": zone} if zone else None,
            "NetworkInterfaces": [_interface(one) for one in p.get("NetworkInterfaces") or ()] or None,
            "TagSpecifications": tagged(env, p, "instance"),
        },
    )
    instance = reply["Instances"][0].build()["InstanceId"]
    if p.get("SourceDestCheck") is False:
        _modify_primary(env, instance, "SourceDestCheck", {"Value": False})
    return Made(id=instance, attributes=_facts(env, instance))


def _interface(one: Mapping[str, Any]) -> dict[str, Any]:
    return {{"GroupSet": "Groups"}.get(name, name): value for name, value in one.items()}


def _modify(env: Env, instance: str, name: str, value: object) -> None:
    env.run("ec2", "ModifyInstanceAttribute", {"InstanceId": instance, name: value})


def _modify_primary(env: Env, instance: str, name: str, value: object) -> None:
    """Change the primary interface, which is what the instance's own properties mean when it has several."""
    primary = primary_interface(env.call.tx, instance)
    if primary is not None:
        env.run("ec2", "ModifyNetworkInterfaceAttribute", {"NetworkInterfaceId": primary.id, name: value})


def _facts(env: Env, instance: str) -> Mapping[str, Any]:
    """Fn::GetAtt; a name or address that the instance does not have is the empty string, as on AWS."""
    (reservation,) = env.run("ec2", "DescribeInstances", {"InstanceIds": [instance]})["Reservations"]
    shown = reservation["Instances"][0].build()
    return {
        "InstanceId": instance,
        "AvailabilityZone": shown["Placement"]["AvailabilityZone"],
        "PrivateDnsName": shown["PrivateDnsName"],
        "PrivateIp": shown.get("PrivateIpAddress", ""),
        "PublicDnsName": shown["PublicDnsName"],
        "PublicIp": shown.get("PublicIpAddress", ""),
        "VpcId": shown.get("VpcId", ""),
    }


def _update(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    if after.get("SecurityGroupIds") and after["SecurityGroupIds"] != before.get("SecurityGroupIds"):
        _modify_primary(env, id_, "Groups", after["SecurityGroupIds"])
    if after.get("SourceDestCheck", True) != before.get("SourceDestCheck", True):
        _modify_primary(env, id_, "SourceDestCheck", {"Value": after.get("SourceDestCheck", True)})
    for name, default in (
        ("DisableApiTermination", False),
        ("InstanceInitiatedShutdownBehavior", "stop"),
    ):
        wanted = after.get(name, default)
        if wanted != before.get(name, default):
            _modify(env, id_, name, {"Value": wanted})
    options = after.get("MetadataOptions")
    if options and options != before.get("MetadataOptions"):
        env.run("ec2", "ModifyInstanceMetadataOptions", {"InstanceId": id_, **options})
    retag(env, id_, before, after)
    return Made(id=id_, attributes=_facts(env, id_))


def _ready(reader: Reader, id_: str, p: Properties) -> Observed:
    row = reader.get(tables.INSTANCES, id_)
    if row is None or row.state in ("shutting-down", "terminated"):
        return Broken(reason=f"Instance {id_} does not exist any more")
    return WAITING if row.state == "pending" else READY


def _gone(reader: Reader, id_: str, p: Properties) -> Observed:
    row = reader.get(tables.INSTANCES, id_)
    return READY if row is None or row.state == "terminated" else WAITING


def _delete(env: Env, id_: str, p: Properties) -> None:
    delete_if_there(env, "ec2", "TerminateInstances", {"InstanceIds": [id_]})


# ── launch templates ─────────────────────────────────────────────────────────────────────────────────────────────────


def _create_template(env: Env, p: Properties) -> Made:
    reply = env.run(
        "ec2",
        "CreateLaunchTemplate",
        {
            "LaunchTemplateName": p.get("LaunchTemplateName") or env.naming.name(128),
            "LaunchTemplateData": p["LaunchTemplateData"],
            "VersionDescription": p.get("VersionDescription"),
            "TagSpecifications": p.get("TagSpecifications"),
        },
    )
    return _template(reply["LaunchTemplate"])


def _template(shown: Mapping[str, Any]) -> Made:
    numbers = {name: str(shown[name]) for name in ("DefaultVersionNumber", "LatestVersionNumber")}
    return Made(id=shown["LaunchTemplateId"], attributes={"LaunchTemplateId": shown["LaunchTemplateId"], **numbers})


def _update_template(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    """Other data is a new version; the default version stays (CloudFormation, AWS::EC2::LaunchTemplate)."""
    if after["LaunchTemplateData"] != before["LaunchTemplateData"]:
        members = {name: after.get(name) for name in ("LaunchTemplateData", "VersionDescription")}
        env.run("ec2", "CreateLaunchTemplateVersion", {"LaunchTemplateId": id_, **members})
    return _template(env.run("ec2", "ModifyLaunchTemplate", {"LaunchTemplateId": id_})["LaunchTemplate"])


def _delete_template(env: Env, id_: str, p: Properties) -> None:
    delete_if_there(env, "ec2", "DeleteLaunchTemplate", {"LaunchTemplateId": id_})


# ── attachments ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _attach(env: Env, p: Properties) -> Made:
    members = {name: p[name] for name in ("InstanceId", "NetworkInterfaceId", "DeviceIndex")}
    attachment = env.run("ec2", "AttachNetworkInterface", members)["AttachmentId"]
    _keep(env, attachment, p)
    return Made(id=attachment, attributes={"AttachmentId": attachment})


def _keep(env: Env, attachment: str, p: Properties) -> None:
    """CloudFormation's default is to delete the interface with the instance; the API's is to keep it."""
    change = {"AttachmentId": attachment, "DeleteOnTermination": p.get("DeleteOnTermination", True)}
    members = {"NetworkInterfaceId": p["NetworkInterfaceId"], "Attachment": change}
    env.run("ec2", "ModifyNetworkInterfaceAttribute", members)


def _reattach(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    _keep(env, id_, after)
    return Made(id=id_, attributes={"AttachmentId": id_})


def _attached(reader: Reader, id_: str, p: Properties) -> Observed:
    row = next(iter(reader.find(tables.INTERFACES_BY_ATTACHMENT, id_)), None)
    if row is None:
        return Broken(reason=f"The attachment {id_} does not exist any more")
    return READY if is_attached(reader, row) else WAITING


def _detach(env: Env, id_: str, p: Properties) -> None:
    delete_if_there(env, "ec2", "DetachNetworkInterface", {"AttachmentId": id_})


PROVISIONERS = (
    Native(
        type="AWS::EC2::Instance",
        create=_create,
        update=_update,
        delete=_delete,
        ready=_ready,
        gone=_gone,
        replace_on=_REPLACING,
    ),
    Native(
        type="AWS::EC2::LaunchTemplate",
        create=_create_template,
        update=_update_template,
        delete=_delete_template,
        replace_on=("LaunchTemplateName",),
    ),
    Native(
        type="AWS::EC2::NetworkInterfaceAttachment",
        create=_attach,
        update=_reattach,
        delete=_detach,
        ready=_attached,
        replace_on=("InstanceId", "NetworkInterfaceId", "DeviceIndex"),
    ),
)
