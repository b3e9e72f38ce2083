"""The filters of DescribeInstances and DescribeInstanceStatus: every one that AWS documents.

One that asks for something that no instance here has (a Dedicated Host, an Outpost, a Spot request) matches nothing.
One whose answer lies in the image or in volumes is refused: any image id is taken, and nobody looks into images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ecsnet.model import ec2
from ecsnet.model.dnsnames import private_dns_name
from ecsnet.model.tables import INSTANCES_BY_RESERVATION, INSTANCES_BY_SUBNET, INSTANCES_BY_VPC, SUBNETS
from ecsnet.services.call import Call, Request, not_implemented
from ecsnet.services.ec2 import interface_filters
from ecsnet.services.ec2.addressing import public_ip_of
from ecsnet.services.ec2.filters import Extract, Filters, flag, moment, some
from ecsnet.services.ec2.instance_type import TYPES
from ecsnet.services.ec2.instance_view import STATE_CODES, state_reason, status_item
from ecsnet.services.ec2.instances import interfaces_of, primary_interface

OfInterface = Extract[ec2.NetworkInterface]
Fields = Mapping[str, Extract[ec2.Instance]]


def check(request: Request) -> None:
    """Raises NotImplemented for a filter that only the image or the volumes of an instance could answer."""
    for one in request.get("Filters") or ():
        name = str(one.get("Name"))
        if name in _OF_THE_IMAGE or name.startswith("block-device-mapping."):
            raise not_implemented("DescribeInstances", f"the filter '{name}'")


_OF_THE_IMAGE = frozenset(
    {
        "boot-mode",
        "current-instance-boot-mode",
        "ebs-optimized",
        "ena-support",
        "iam-instance-profile.id",
        "platform-details",
        "root-device-name",
        "root-device-type",
        "tpm-support",
        "usage-operation",
        "usage-operation-update-time",
    }
)


# ── how values are found ─────────────────────────────────────────────────────────────────────────────────────────────


def _always(value: str) -> Extract[ec2.Instance]:
    return lambda call, r: (value,)


def _of_every(values: OfInterface) -> Extract[ec2.Instance]:
    """The values of all interfaces of an instance."""
    return lambda call, r: [value for eni in interfaces_of(call.tx, r.id) for value in values(call, eni)]


def _of_primary(values: OfInterface) -> Extract[ec2.Instance]:
    def extract(call: Call, instance: ec2.Instance) -> Iterable[str]:
        primary = primary_interface(call.tx, instance.id)
        return () if primary is None else values(call, primary)

    return extract


def _of_subnet(value: Callable[[ec2.Subnet], str]) -> Extract[ec2.Instance]:
    def extract(call: Call, instance: ec2.Instance) -> Iterable[str]:
        subnet = call.tx.get(SUBNETS, instance.subnet)
        return () if subnet is None else (value(subnet),)

    return extract


def _reason(member: str) -> Extract[ec2.Instance]:
    return lambda call, r: some((state_reason(r) or {}).get(member))


def _switched(on: bool) -> str:
    return "enabled" if on else "disabled"


# ── the interfaces of an instance ────────────────────────────────────────────────────────────────────────────────────

_SHARED = interface_filters.FILTERS.fields
"""DescribeNetworkInterfaces asks for most of the same, by names of its own."""

_OF_INTERFACES: Mapping[str, OfInterface] = {
    "addresses.association.allocation-id": _SHARED["association.allocation-id"],
    "addresses.association.association-id": _SHARED["association.association-id"],
    "addresses.association.ip-owner-id": _SHARED["addresses.association.owner-id"],
    "addresses.association.public-dns-name": _SHARED["association.public-dns-name"],
    "addresses.association.public-ip": _SHARED["addresses.association.public-ip"],
    "addresses.private-dns-name": _SHARED["private-dns-name"],
    "association.association-id": _SHARED["association.association-id"],
    "attachment.network-card-index": lambda call, eni: ("0",),
    "ipv4-prefixes.ipv4-prefix": lambda call, eni: [str(prefix) for prefix in eni.ipv4_prefixes],
    "ipv6-address": _SHARED["ipv6-addresses.ipv6-address"],
    "ipv6-addresses.is-primary-ipv6": lambda call, eni: flag(eni.primary_ipv6) if eni.ipv6_ips else (),
    "ipv6-native": lambda call, eni: flag(eni.private_ip is None),
    "ipv6-prefixes.ipv6-prefix": lambda call, eni: [str(prefix) for prefix in eni.ipv6_prefixes],
    "private-ip-address": lambda call, eni: some(eni.private_ip),
    "public-dns-name": _SHARED["association.public-dns-name"],
    "status": lambda call, eni: ("in-use",),
    "tag-key": lambda call, eni: [key for key, _ in eni.tags],
    "tag-value": lambda call, eni: [value for _, value in eni.tags],
    **{
        name: _SHARED[name]
        for name in (
            "addresses.primary",
            "addresses.private-ip-address",
            "association.allocation-id",
            "association.ip-owner-id",
            "association.public-dns-name",
            "association.public-ip",
            "attachment.attach-time",
            "attachment.attachment-id",
            "attachment.delete-on-termination",
            "attachment.device-index",
            "attachment.instance-id",
            "attachment.instance-owner-id",
            "attachment.status",
            "availability-zone",
            "description",
            "group-id",
            "group-name",
            "ipv6-addresses.ipv6-address",
            "mac-address",
            "network-interface-id",
            "operator.managed",
            "operator.principal",
            "owner-id",
            "private-dns-name",
            "requester-id",
            "requester-managed",
            "source-dest-check",
            "subnet-id",
            "vpc-id",
        )
    },
}


# ── the instance itself ──────────────────────────────────────────────────────────────────────────────────────────────

_STATUS_FIELDS: Fields = {
    "availability-zone": lambda call, r: (r.az,),
    "availability-zone-id": _of_subnet(lambda subnet: subnet.az_id),
    "instance-state-code": lambda call, r: (str(STATE_CODES[r.state]),),
    "instance-state-name": lambda call, r: (r.state,),
    "operator.managed": _always("false"),
    "operator.principal": lambda call, r: (),
}

_OWN_FIELDS: Fields = {
    "architecture": lambda call, r: (TYPES[r.type].architecture,),
    "client-token": lambda call, r: some(r.client_token),
    "dns-name": _of_primary(_SHARED["association.public-dns-name"]),
    "group-id": _of_primary(lambda call, eni: eni.groups),
    "iam-instance-profile.arn": lambda call, r: some(r.profile),
    "image-id": lambda call, r: (r.image,),
    "instance-id": lambda call, r: (r.id,),
    "instance-type": lambda call, r: (r.type,),
    "instance.group-id": _of_primary(lambda call, eni: eni.groups),
    "instance.group-name": _of_primary(_SHARED["group-name"]),
    "ip-address": _of_primary(lambda call, eni: some(public_ip_of(call.tx, eni, eni.private_ip))),
    "ipv6-address": _of_primary(_SHARED["ipv6-addresses.ipv6-address"]),
    "key-name": lambda call, r: some(r.key_name),
    "launch-index": lambda call, r: (str(r.launch_index),),
    "launch-time": lambda call, r: (moment(r.launched),),
    "metadata-options.http-endpoint": lambda call, r: (_switched(r.http_endpoint),),
    "metadata-options.http-protocol-ipv4": lambda call, r: (_switched(r.http_endpoint),),
    "metadata-options.http-protocol-ipv6": _always("disabled"),
    "metadata-options.http-put-response-hop-limit": lambda call, r: (str(r.http_hop_limit),),
    "metadata-options.http-tokens": lambda call, r: (r.http_tokens,),
    "metadata-options.instance-metadata-tags": lambda call, r: (_switched(r.metadata_tags),),
    "metadata-options.state": _always("applied"),
    "owner-id": lambda call, r: (r.account,),
    "private-dns-name": _of_primary(
        lambda call, eni: () if eni.private_ip is None else (private_dns_name(eni.region, eni.private_ip),)
    ),
    "private-dns-name-options.enable-resource-name-dns-a-record": _of_subnet(lambda s: _flag(s.resource_name_a)),
    "private-dns-name-options.enable-resource-name-dns-aaaa-record": _of_subnet(lambda s: _flag(s.resource_name_aaaa)),
    "private-dns-name-options.hostname-type": _of_subnet(lambda s: s.hostname_type),
    "private-ip-address": _of_primary(lambda call, eni: some(eni.private_ip)),
    "reason": lambda call, r: some(r.reason),
    "reservation-id": lambda call, r: (r.reservation,),
    "source-dest-check": _of_primary(lambda call, eni: flag(eni.source_dest_check)),
    "state-reason-code": _reason("Code"),
    "state-reason-message": _reason("Message"),
    "subnet-id": lambda call, r: (r.subnet,),
    "vpc-id": lambda call, r: (r.vpc,),
}


def _flag(value: bool) -> str:
    return "true" if value else "false"


_SAME_FOR_ALL: Mapping[str, str] = {
    "capacity-reservation-specification.capacity-reservation-preference": "open",
    "enclave-options.enabled": "false",
    "hibernation-options.configured": "false",
    "hypervisor": "xen",
    "maintenance-options.auto-recovery": "default",
    "monitoring-state": "disabled",
    "network-performance-options.bandwidth-weighting": "default",
    "tenancy": "default",
    "virtualization-type": "hvm",
}

_NOBODY_HAS = (
    "affinity",
    "capacity-reservation-id",
    "capacity-reservation-specification.capacity-reservation-target.capacity-reservation-id",
    "capacity-reservation-specification.capacity-reservation-target.capacity-reservation-resource-group-arn",
    "host-id",
    "instance-lifecycle",
    "kernel-id",
    "network-interface.addresses.association.carrier-ip",
    "network-interface.addresses.association.customer-owned-ip",
    "network-interface.association.carrier-ip",
    "network-interface.association.customer-owned-ip",
    "network-interface.deny-all-igw-traffic",
    "network-interface.outpost-arn",
    "outpost-arn",
    "placement-group-name",
    "placement-partition-number",
    "platform",
    "product-code",
    "product-code.type",
    "ramdisk-id",
    "requester-id",
    "spot-instance-request-id",
)

FILTERS: Filters[ec2.Instance] = Filters(
    fields={
        **_STATUS_FIELDS,
        **_OWN_FIELDS,
        **{f"network-interface.{name}": _of_every(values) for name, values in _OF_INTERFACES.items()},
        **{name: _always(value) for name, value in _SAME_FOR_ALL.items()},
        **{name: lambda call, r: () for name in _NOBODY_HAS},
    },
    indexes={
        "reservation-id": INSTANCES_BY_RESERVATION,
        "subnet-id": INSTANCES_BY_SUBNET,
        "vpc-id": INSTANCES_BY_VPC,
    },
    keys=frozenset({"instance-id"}),
    tags=lambda r: r.tags,
)


# ── DescribeInstanceStatus ───────────────────────────────────────────────────────────────────────────────────────────


def _status(member: str) -> Extract[ec2.Instance]:
    return lambda call, r: (status_item(call, r)[member]["Status"],)


def _reachability(member: str) -> Extract[ec2.Instance]:
    return lambda call, r: [one["Status"] for one in status_item(call, r)[member].get("Details", ())]


_NO_EVENTS = (
    "application-status.status",
    "attached-ebs-status.status",
    "event.code",
    "event.description",
    "event.instance-event-id",
    "event.not-after",
    "event.not-before",
    "event.not-before-deadline",
)

STATUS_FILTERS: Filters[ec2.Instance] = Filters(
    fields={
        **_STATUS_FIELDS,
        "instance-status.reachability": _reachability("InstanceStatus"),
        "instance-status.status": _status("InstanceStatus"),
        "system-status.reachability": _reachability("SystemStatus"),
        "system-status.status": _status("SystemStatus"),
        **{name: lambda call, r: () for name in _NO_EVENTS},
    },
    tags=lambda r: r.tags,
)
