"""Instances as replies show them (EC2 API, shapes Instance and InstanceStatus), with everything that is derived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ecsnet.model import ec2
from ecsnet.model.dnsnames import private_dns_name
from ecsnet.model.tables import OBSERVED_INSTANCES, SUBNETS, VPCS
from ecsnet.services.call import Cached, Call
from ecsnet.services.ec2.instance_type import TYPES
from ecsnet.services.ec2.instances import in_force, interfaces_of
from ecsnet.services.ec2.interface_view import cached_interface
from ecsnet.services.ec2.listing import drop_empty
from ecsnet.services.ec2.tagging import tag_set

STATE_CODES: Mapping[ec2.InstanceState, int] = {
    "pending": 0,
    "running": 16,
    "shutting-down": 32,
    "terminated": 48,
    "stopping": 64,
    "stopped": 80,
}
"""EC2 API, shape InstanceState."""

_REASONS = {"Client.UserInitiatedShutdown": "User initiated shutdown"}

_COPIED = (
    "NetworkInterfaceId",
    "OwnerId",
    "VpcId",
    "SubnetId",
    "Description",
    "InterfaceType",
    "MacAddress",
    "PrivateIpAddress",
    "PrivateDnsName",
    "PrivateIpAddresses",
    "Ipv6Addresses",
    "Groups",
    "SourceDestCheck",
)
"""Members that an InstanceNetworkInterface has in common with a NetworkInterface."""


def state_item(state: ec2.InstanceState) -> Mapping[str, Any]:
    return {"Code": STATE_CODES[state], "Name": state}


def cached_instance(call: Call, instance: ec2.Instance) -> Cached:
    """One instance; what its interfaces are shown from is what it is shown from."""
    interfaces = [cached_interface(call, eni) for eni in interfaces_of(call.tx, instance.id)]
    vpc, subnet = call.tx.get(VPCS, instance.vpc), call.tx.get(SUBNETS, instance.subnet)
    return Cached(
        key=("instance", instance.id),
        sources=(instance, vpc, subnet, *(source for one in interfaces for source in one.sources)),
        build=partial(_item, instance, vpc, subnet, interfaces),
    )


def _item(
    instance: ec2.Instance, vpc: ec2.Vpc | None, subnet: ec2.Subnet | None, cached: Sequence[Cached]
) -> Mapping[str, Any]:
    """A terminated instance shows neither addresses nor interfaces, as on AWS."""
    interfaces = [one.build() for one in cached]
    primary: Mapping[str, Any] = interfaces[0] if interfaces else {}
    ended = instance.state == "terminated"
    named = vpc is not None and vpc.dns_support and vpc.dns_hostnames
    association = primary.get("Association") or {}
    return drop_empty(
        {
            "InstanceId": instance.id,
            "ImageId": instance.image,
            "InstanceType": instance.type,
            "State": state_item(instance.state),
            "StateTransitionReason": instance.reason or "",
            "StateReason": state_reason(instance),
            "PrivateDnsName": private_name(instance.region, primary),
            "PublicDnsName": association.get("PublicDnsName", "") if named else "",
            "PrivateIpAddress": primary.get("PrivateIpAddress"),
            "PublicIpAddress": association.get("PublicIp"),
            "KeyName": instance.key_name,
            "AmiLaunchIndex": instance.launch_index,
            "LaunchTime": instance.launched,
            "Placement": {"AvailabilityZone": instance.az, "GroupName": "", "Tenancy": "default"},
            "Monitoring": {"State": "disabled"},
            "VpcId": None if ended else instance.vpc,
            "SubnetId": None if ended else instance.subnet,
            "Architecture": TYPES[instance.type].architecture,
            "ClientToken": instance.client_token or "",
            "IamInstanceProfile": None if instance.profile is None else {"Arn": instance.profile},
            "NetworkInterfaces": [_interface_item(one) for one in interfaces],
            "SecurityGroups": primary.get("Groups", []),
            "SourceDestCheck": primary.get("SourceDestCheck"),
            "MetadataOptions": metadata_options(instance),
            "PrivateDnsNameOptions": None if subnet is None else dns_name_options(subnet),
            "Tags": tag_set(instance.tags),
        }
    )


def private_name(region: str, interface: Mapping[str, Any]) -> str:
    """The address-based name, which an instance has whether or not the VPC answers for it; "" without an interface."""
    address = interface.get("PrivateIpAddress")
    return "" if address is None else private_dns_name(region, address)


def dns_name_options(subnet: ec2.Subnet) -> Mapping[str, Any]:
    return {
        "HostnameType": subnet.hostname_type,
        "EnableResourceNameDnsARecord": subnet.resource_name_a,
        "EnableResourceNameDnsAAAARecord": subnet.resource_name_aaaa,
    }


def metadata_options(instance: ec2.Instance) -> Mapping[str, Any]:
    """EC2 API, shape InstanceMetadataOptionsResponse."""
    return {
        "State": "applied",
        "HttpTokens": instance.http_tokens,
        "HttpPutResponseHopLimit": instance.http_hop_limit,
        "HttpEndpoint": "enabled" if instance.http_endpoint else "disabled",
        "HttpProtocolIpv6": "disabled",
        "InstanceMetadataTags": "enabled" if instance.metadata_tags else "disabled",
    }


def state_reason(instance: ec2.Instance) -> Mapping[str, str] | None:
    code = instance.reason_code
    return None if code is None else {"Code": code, "Message": f"{code}: {_REASONS[code]}"}


def _interface_item(interface: Mapping[str, Any]) -> Mapping[str, Any]:
    """EC2 API, shape InstanceNetworkInterface."""
    item = {name: interface[name] for name in _COPIED if name in interface}
    attachment = interface["Attachment"]
    attached = ("AttachmentId", "AttachTime", "DeleteOnTermination", "DeviceIndex", "NetworkCardIndex", "Status")
    item["Attachment"] = {name: attachment[name] for name in attached}
    item["Status"] = "in-use"
    item["PrivateIpAddresses"] = [
        {name: value if name != "Association" else _association(value) for name, value in one.items()}
        for one in interface["PrivateIpAddresses"]
    ]
    if "Association" in interface:
        item["Association"] = _association(interface["Association"])
    return item


def _association(association: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: association[name] for name in ("IpOwnerId", "PublicDnsName", "PublicIp") if name in association}


def status_item(call: Call, instance: ec2.Instance) -> Mapping[str, Any]:
    """The status checks say what the agent sees: the network stack with its primary interface in force."""
    return {
        "InstanceId": instance.id,
        "AvailabilityZone": instance.az,
        "InstanceState": state_item(instance.state),
        "SystemStatus": _check(instance, passed=call.tx.get(OBSERVED_INSTANCES, instance.id) is not None),
        "InstanceStatus": _check(instance, passed=in_force(call.tx, instance.id)),
        "Events": [],
    }


def _check(instance: ec2.Instance, *, passed: bool) -> Mapping[str, Any]:
    if instance.state != "running":
        return {"Status": "not-applicable"}
    reachability = {"Name": "reachability", "Status": "passed" if passed else "initializing"}
    return {"Status": "ok" if passed else "initializing", "Details": [reachability]}
