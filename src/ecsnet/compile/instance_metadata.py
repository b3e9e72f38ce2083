"""Instance → what the instance metadata service says about it, and to whom.

Source: EC2 User Guide, "Instance metadata categories" and "Use the Instance Metadata Service to access instance
metadata". Categories that ecsnet does not know (block devices, public keys, events) are left out. The role of an
instance profile is taken to have the profile's name, as those that the console makes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address

from ecsnet.compile import facts
from ecsnet.compile.view import FragmentSpec, View
from ecsnet.logical.workload import MachineDocuments, MachineReader
from ecsnet.model.dnsnames import private_dns_name
from ecsnet.model.ec2 import Instance, NetworkInterface, holds_stack
from ecsnet.model.ecs import holds_interface
from ecsnet.model.tables import (
    CONTAINER_INSTANCES,
    ELASTIC_IPS_BY_INTERFACE,
    GROUPS,
    INSTANCES,
    INTERFACES,
    INTERFACES_BY_OWNER,
    SUBNETS,
    TASKS,
)

_LIFE = 365 * 86400
"""Seconds for which credentials are valid; those of tasks are, too."""

Leaf = tuple[str, str]
"""Path below /latest/ and text."""


def documents(view: View, key: str) -> Iterator[MachineDocuments]:
    row = view.get(INSTANCES, key)
    if row is None or not holds_stack(row) or not facts.has_router(view, row.vpc):
        return
    interfaces = [one for one in view.find(INTERFACES_BY_OWNER, key) if one.vpc == row.vpc]
    primary = next((one for one in interfaces if one.attachment is not None and one.attachment.device_index == 0), None)
    if primary is None:
        return
    leaves = [
        *_about(row),
        *_placement(view, row),
        *_addresses(view, row, primary, ""),
        ("meta-data/mac", primary.mac),
        ("meta-data/security-groups", _group_names(view, primary)),
        *(leaf for one in interfaces for leaf in _interface(view, row, one)),
        *_role(row),
        ("dynamic/instance-identity/document", _identity(row, primary)),
    ]
    yield MachineDocuments(
        machine=row.id,
        router=row.vpc,
        leaves=tuple(leaf for leaf in leaves if leaf[1]),
        blob=_decoded(row.user_data),
        enabled=row.http_endpoint,
        token_required=row.http_tokens == "required",
        hop_limit=row.http_hop_limit,
    )


def readers(view: View, key: str) -> Iterator[MachineReader]:
    """An interface of an instance, or of an awsvpc task on one, may read the instance's documents.

    On an instance whose agent has ECS_AWSVPC_BLOCK_IMDS those of tasks may not (Developer Guide, "Amazon ECS container
    agent configuration"); tasks on Fargate have no instance.
    """
    row = view.get(INTERFACES, key)
    place = view.ask(facts.PLACE, key)
    if row is None or place is None:
        return
    match place.kind:
        case "instance":
            machine: str | None = place.host
        case "task":
            machine = _machine_of(view, place.host)
        case "balancer" | "nat":
            machine = None
    if machine is None:
        return
    for address in row.private_ips:
        yield MachineReader(router=row.vpc, port=row.id, address=address, machine=machine)


def _machine_of(view: View, task: str) -> str | None:
    place = view.project(
        "machine", lambda t: (t.instance, t.container_instance) if holds_interface(t) else None, TASKS, task
    )
    if place is None or place[0] is None or place[1] is None:
        return None
    blocks = view.project("blocks_imds", lambda row: row.blocks_imds, CONTAINER_INSTANCES, place[1])
    there = view.project("stack", holds_stack, INSTANCES, place[0])
    return place[0] if there and blocks is False else None


def _about(row: Instance) -> Iterator[Leaf]:
    yield "meta-data/ami-id", row.image
    yield "meta-data/ami-launch-index", str(row.launch_index)
    yield "meta-data/instance-id", row.id
    yield "meta-data/instance-type", row.type
    yield "meta-data/reservation-id", row.reservation
    yield "meta-data/services/domain", "amazonaws.com"
    if row.metadata_tags:
        for name, value in row.tags:
            yield f"meta-data/tags/instance/{name}", value


def _placement(view: View, row: Instance) -> Iterator[Leaf]:
    yield "meta-data/placement/availability-zone", row.az
    yield "meta-data/placement/region", row.region
    yield (
        "meta-data/placement/availability-zone-id",
        view.project("az_id", lambda s: s.az_id, SUBNETS, row.subnet) or "",
    )


def _addresses(view: View, row: Instance, interface: NetworkInterface, base: str) -> Iterator[Leaf]:
    """Of the primary address; `base` is empty for the instance as a whole."""
    if interface.private_ip is not None:
        name = private_dns_name(row.region, interface.private_ip)
        yield f"meta-data/{base}local-hostname", name
        if not base:
            yield "meta-data/hostname", name
            yield "meta-data/local-ipv4", str(interface.private_ip)
    public = _public(view, interface)
    if public is not None:
        yield f"meta-data/{base}{'public-ipv4s' if base else 'public-ipv4'}", str(public)


def _public(view: View, interface: NetworkInterface) -> IPv4Address | None:
    elastic = (
        one.public_ip
        for one in view.find(ELASTIC_IPS_BY_INTERFACE, interface.id)
        if one.private_ip == interface.private_ip
    )
    return next(elastic, interface.auto_public_ip)


def _interface(view: View, row: Instance, one: NetworkInterface) -> Iterator[Leaf]:
    base = f"network/interfaces/macs/{one.mac}/"
    assert one.attachment is not None
    found = view.project("cidr", lambda s: s.cidr, SUBNETS, one.subnet)
    lines: tuple[tuple[str, Iterable[object]], ...] = (
        ("device-number", (one.attachment.device_index,)),
        ("interface-id", (one.id,)),
        ("local-ipv4s", one.private_ips),
        ("ipv6s", one.ipv6_ips),
        ("mac", (one.mac,)),
        ("owner-id", (one.account,)),
        ("security-group-ids", one.groups),
        ("subnet-id", (one.subnet,)),
        ("subnet-ipv4-cidr-block", () if found is None else (found,)),
        ("vpc-id", (one.vpc,)),
        ("vpc-ipv4-cidr-block", facts.ipv4_networks(view, one.vpc)[:1]),
        ("vpc-ipv4-cidr-blocks", facts.ipv4_networks(view, one.vpc)),
    )
    yield f"meta-data/{base}security-groups", _group_names(view, one)
    for name, values in lines:
        yield f"meta-data/{base}{name}", "\n".join(map(str, values))
    yield from _addresses(view, row, one, base)


def _group_names(view: View, interface: NetworkInterface) -> str:
    names = (view.project("name", lambda group: group.name, GROUPS, group) for group in interface.groups)
    return "\n".join(name for name in names if name)


def _role(row: Instance) -> Iterator[Leaf]:
    """Keys that STS answers for: the access key id is the account's number, as in a task's credentials."""
    if row.profile is None:
        return
    name = row.profile.rpartition("/")[2]
    secret = hashlib.sha256(f"{row.id}/{row.profile}".encode()).hexdigest()
    given = {
        "Code": "Success",
        "LastUpdated": _time(row.launched),
        "Type": "AWS-HMAC",
        "AccessKeyId": row.account,
        "SecretAccessKey": secret[:40],
        "Token": secret,
        "Expiration": _time(row.launched + _LIFE),
    }
    about = {"Code": "Success", "LastUpdated": _time(row.launched), "InstanceProfileArn": row.profile}
    yield "meta-data/iam/info", json.dumps(about, indent=2)
    yield f"meta-data/iam/security-credentials/{name}", json.dumps(given, indent=2)


def _identity(row: Instance, primary: NetworkInterface) -> str:
    about = {
        "accountId": row.account,
        "availabilityZone": row.az,
        "imageId": row.image,
        "instanceId": row.id,
        "instanceType": row.type,
        "pendingTime": _time(row.launched),
        "privateIp": str(primary.private_ip) if primary.private_ip else None,
        "region": row.region,
        "version": "2017-09-30",
    }
    return json.dumps(about, indent=2)


def _decoded(user_data: str | None) -> bytes | None:
    try:
        return None if user_data is None else base64.b64decode(user_data, validate=False)
    except binascii.Error:
        return None


def _time(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


FRAGMENTS = (
    FragmentSpec(name="machine_documents", table=INSTANCES, run=documents),
    FragmentSpec(name="machine_readers", table=INTERFACES, run=readers),
)
