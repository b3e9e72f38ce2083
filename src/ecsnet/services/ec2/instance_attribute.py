"""Attributes and metadata options of instances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ecsnet.model import ec2
from ecsnet.model.tables import INSTANCES, INTERFACES
from ecsnet.services.call import AwsError, Call, Operation, Reply, Request, not_implemented, read, write
from ecsnet.services.ec2 import errors, families
from ecsnet.services.ec2.instance_type import instance_type
from ecsnet.services.ec2.instance_view import metadata_options
from ecsnet.services.ec2.instances import interfaces_of, primary_interface
from ecsnet.services.ec2.interfaces import validate_subnets_and_groups, with_groups

_SHORTHANDS = {
    "disableApiTermination": "DisableApiTermination",
    "disableApiStop": "DisableApiStop",
    "instanceInitiatedShutdownBehavior": "InstanceInitiatedShutdownBehavior",
    "instanceType": "InstanceType",
    "sourceDestCheck": "SourceDestCheck",
    "userData": "UserData",
}
"""Values of `Attribute`, which with `Value` says the same as a member of that name."""


def describe_instance_attribute(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DescribeInstanceAttribute."""
    instance = families.INSTANCE.require(call, request["InstanceId"])
    return {"InstanceId": instance.id, **_attribute(call, instance, request["Attribute"])}


def _attribute(call: Call, instance: ec2.Instance, name: str) -> Mapping[str, Any]:
    primary = primary_interface(call.tx, instance.id)
    match name:
        case "instanceType":
            return {"InstanceType": {"Value": instance.type}}
        case "userData":
            return {"UserData": {} if instance.user_data is None else {"Value": instance.user_data}}
        case "disableApiTermination":
            return {"DisableApiTermination": {"Value": instance.termination_protection}}
        case "disableApiStop":
            return {"DisableApiStop": {"Value": instance.stop_protection}}
        case "instanceInitiatedShutdownBehavior":
            return {"InstanceInitiatedShutdownBehavior": {"Value": instance.shutdown_behavior}}
        case "sourceDestCheck":
            return {} if primary is None else {"SourceDestCheck": {"Value": primary.source_dest_check}}
        case "groupSet":
            return {"Groups": [] if primary is None else [{"GroupId": group} for group in primary.groups]}
        case "blockDeviceMapping":
            return {"BlockDeviceMappings": []}
        case _:
            raise not_implemented("DescribeInstanceAttribute", f"the attribute {name}")


def modify_instance_attribute(call: Call, request: Request) -> Reply:
    """Source: EC2 API, ModifyInstanceAttribute (one attribute per call).

    Raises InvalidInstanceID for groups or the source/destination check of an instance with several interfaces, and
    IncorrectInstanceState for what can only change while it is stopped.
    """
    instance = families.INSTANCE.require(call, request["InstanceId"])
    given = {
        name: value
        for name, value in request.items()
        if name not in ("InstanceId", "DryRun", "Attribute", "Value") and value is not None
    }
    if request.get("Attribute"):
        member = _SHORTHANDS.get(request["Attribute"])
        if member is None:
            raise not_implemented("ModifyInstanceAttribute", f"the attribute {request['Attribute']}")
        given[member] = {"Value": request.get("Value")}
    if len(given) != 1:
        raise errors.combination("Exactly one attribute is changed per call.")
    ((name, value),) = given.items()
    match name:
        case "SourceDestCheck":
            eni = _only_interface(call, instance)
            call.tx.put(INTERFACES, msgspec.structs.replace(eni, source_dest_check=_flag(value)))
        case "Groups":
            eni = _only_interface(call, instance)
            validate_subnets_and_groups(call, (eni.subnet,), value)
            call.tx.put(INTERFACES, with_groups(call, eni, value))
        case _:
            call.tx.put(INSTANCES, msgspec.structs.replace(instance, **_changed(instance, name, value)))
    return {}


def _changed(instance: ec2.Instance, name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    match name:
        case "DisableApiTermination":
            return {"termination_protection": _flag(value)}
        case "DisableApiStop":
            return {"stop_protection": _flag(value)}
        case "InstanceInitiatedShutdownBehavior":
            if value.get("Value") not in ("stop", "terminate"):
                raise errors.invalid_value(
                    "instanceInitiatedShutdownBehavior", value.get("Value"), "Use stop or terminate."
                )
            return {"shutdown_behavior": value["Value"]}
        case "InstanceType":
            _must_be_stopped(instance)
            return {"type": instance_type(str(value.get("Value"))).name}
        case "UserData":
            _must_be_stopped(instance)
            data = value.get("Value")
            return {"user_data": data.decode() if isinstance(data, bytes) else data}
        case _:
            raise not_implemented("ModifyInstanceAttribute", name)


def _flag(value: Mapping[str, Any]) -> bool:
    return value.get("Value") in (True, "true")


def _must_be_stopped(instance: ec2.Instance) -> None:
    if instance.state != "stopped":
        raise AwsError("IncorrectInstanceState", f"The instance '{instance.id}' is not in the 'stopped' state.")


def _only_interface(call: Call, instance: ec2.Instance) -> ec2.NetworkInterface:
    found = interfaces_of(call.tx, instance.id)
    if len(found) > 1:
        raise AwsError(
            "InvalidInstanceID",
            f"There are multiple interfaces attached to instance '{instance.id}'. Please specify an interface ID for "
            "the operation instead.",
        )
    if not found:
        raise AwsError("IncorrectInstanceState", f"The instance '{instance.id}' is terminated.")
    return found[0]


def modify_instance_metadata_options(call: Call, request: Request) -> Reply:
    """Source: EC2 API, ModifyInstanceMetadataOptions. What is not given stays as it is."""
    instance = families.INSTANCE.require(call, request["InstanceId"])
    if request.get("HttpProtocolIpv6") == "enabled":
        raise not_implemented("ModifyInstanceMetadataOptions", "HttpProtocolIpv6")
    hops = request.get("HttpPutResponseHopLimit")
    if hops is not None and not 1 <= int(hops) <= 64:
        raise errors.invalid_value("httpPutResponseHopLimit", hops, "Use a number from 1 to 64.")
    endpoint, tags = request.get("HttpEndpoint"), request.get("InstanceMetadataTags")
    changed = call.tx.put(
        INSTANCES,
        msgspec.structs.replace(
            instance,
            http_tokens=request.get("HttpTokens") or instance.http_tokens,
            http_hop_limit=int(hops) if hops is not None else instance.http_hop_limit,
            http_endpoint=instance.http_endpoint if endpoint is None else endpoint == "enabled",
            metadata_tags=instance.metadata_tags if tags is None else tags == "enabled",
        ),
    )
    return {"InstanceId": changed.id, "InstanceMetadataOptions": metadata_options(changed)}


OPERATIONS: tuple[Operation, ...] = (
    read("DescribeInstanceAttribute", describe_instance_attribute),
    write("ModifyInstanceAttribute", modify_instance_attribute),
    write("ModifyInstanceMetadataOptions", modify_instance_metadata_options),
)
