"""`ecsnet why`: does a packet arrive, and who stops it, in the user's own names."""

from __future__ import annotations

import re
from ipaddress import IPv4Address
from typing import Any

from ecsnet.control.places import IpAddress, NotFoundError, Place, resolve, user_of
from ecsnet.model import tables as t
from ecsnet.model.base import Tags
from ecsnet.reach.flow import ICMP, ICMPV6, TCP, UDP, Flow, Packet, Stage, Step, Trace
from ecsnet.reach.nearest import nearest
from ecsnet.reach.trace import trace
from ecsnet.store.snapshot import Snapshot

Json = dict[str, Any]

_SERVICE = re.compile(r"(?:(\d+)/)?([a-z0-9]+)")
_PROTOCOLS = {"tcp": TCP, "udp": UDP, "icmp": ICMP, "icmpv6": ICMPV6}


class ServiceError(ValueError):
    """The text does not name a port and protocol."""


def parse_service(text: str) -> tuple[int, int]:
    """(protocol number, port or 0) of `443/tcp`, `443`, `53/udp`, `icmp` or `protocol number`. Raises ServiceError."""
    found = _SERVICE.fullmatch(f"{text}/tcp" if text.isdecimal() else text.lower())
    if found is None:
        raise ServiceError(f"{text!r} is no port and protocol: say 443/tcp, 53/udp or icmp.")
    port = int(found[1] or 0)
    number = _PROTOCOLS.get(found[2], int(found[2]) if found[2].isdecimal() else -1)
    if not 0 <= number <= 255 or port > 65535 or (number in (TCP, UDP)) != (found[1] is not None):
        raise ServiceError(f"{text!r} is no port and protocol: say 443/tcp, 53/udp or icmp.")
    return number, port


def why(snapshot: Snapshot, source: str, destination: str, service: str, vpc: str | None = None) -> Json:
    """The walk of one flow as JSON, names with the ids.

    `source` and `destination` are names of `places.resolve`, `service` is one of `parse_service`. Raises NotFoundError
    for a name that nothing has and ServiceError.
    """
    protocol, port = parse_service(service)
    start = resolve(snapshot, source, vpc)
    end = resolve(snapshot, destination, vpc or start.vpc if _is_private(destination) else vpc)
    answer = trace(snapshot, flow_between(start, end, protocol, port))
    return {
        "revision": answer.revision,
        "source": start.label,
        "destination": end.label,
        "address": str(answer.flow.destination),
        "service": service,
        "verdict": answer.verdict,
        "deciding": None if answer.deciding is None else str(answer.deciding),
        "egress": sorted(answer.egress),
        "ingress": sorted(answer.ingress),
        "steps": [_step(snapshot, answer, step) for step in answer.steps],
    }


def flow_between(start: Place, end: Place, protocol: int, port: int) -> Flow:
    """The flow that a connection between two places is. Raises NotFoundError when one has no address or interface."""
    if start.kind != "internet" and not start.ends:
        raise NotFoundError(f"no interface has {start.label}, so that nothing starts there.", "See: ecsnet map")
    address = _called(start, end, 6 if protocol == ICMPV6 else None)
    return Flow(
        source=None if start.kind == "internet" else start.ends[0].interface,
        destination=address,
        protocol=protocol,
        port=port,
        icmp=(128, 0) if protocol == ICMPV6 else (8, 0),
    )


def _called(start: Place, end: Place, version: int | None) -> IpAddress:
    """What a client would send to: from the internet the public address, where the place has one."""
    public = tuple(address for one in end.ends for address in one.public)
    named = end.kind == "address" or (end.addresses and end.addresses[0] in public)
    candidates: tuple[IpAddress, ...] = end.addresses
    if start.kind == "internet" and not named:
        candidates = (*public, *end.addresses)
    for address in candidates:
        if version is None or address.version == version:
            return address
    raise NotFoundError(f"{end.label} has no address for this protocol.", "See: ecsnet map")


def _is_private(name: str) -> bool:
    try:
        return IPv4Address(name).is_private
    except ValueError:
        return False


def _step(snapshot: Snapshot, answer: Trace, step: Step) -> Json:
    return {
        "direction": step.direction,
        "crossing": step.crossing,
        "stage": step.stage.name.lower(),
        "component": step.component,
        "name": name_of(snapshot, step.component),
        "groups": _groups(snapshot, step),
        "ok": step.ok,
        "rules": list(step.rules),
        "code": step.code or None,
        "drop": None if step.drop is None else str(step.drop),
        "text": step.text,
        "nearest": "" if step.ok else nearest(snapshot, step),
        "first": step is answer.first,
        "packet": _packet(step.packet),
    }


def _packet(packet: Packet) -> Json:
    return {
        "source": str(packet.source),
        "destination": str(packet.destination),
        "protocol": packet.protocol,
        "source_port": packet.source_port,
        "port": packet.port,
    }


def _groups(snapshot: Snapshot, step: Step) -> list[str]:
    """The names of the groups that were asked."""
    row = snapshot.get(t.INTERFACES, step.component) if step.stage in (Stage.SG_IN, Stage.SG_OUT) else None
    return [group.name for key in (row.groups if row else ()) if (group := snapshot.get(t.GROUPS, key)) is not None]


def name_of(snapshot: Snapshot, identifier: str) -> str:
    """What the user calls a resource: its user for an interface, else its Name tag; "" when it has neither."""
    if (row := snapshot.get(t.INTERFACES, identifier)) is not None:
        return user_of(snapshot, row)
    tags: Tags = ()
    match identifier.partition("-")[0]:
        case "rtb" if (table := snapshot.get(t.ROUTE_TABLES, identifier)) is not None:
            tags = table.tags
        case "acl" if (acl := snapshot.get(t.ACLS, identifier)) is not None:
            tags = acl.tags
        case "subnet" if (subnet := snapshot.get(t.SUBNETS, identifier)) is not None:
            tags = subnet.tags
        case "igw" if (gateway := snapshot.get(t.INTERNET_GATEWAYS, identifier)) is not None:
            tags = gateway.tags
        case "nat" if (nat := snapshot.get(t.NAT_GATEWAYS, identifier)) is not None:
            tags = nat.tags
        case "vpc" if (vpc := snapshot.get(t.VPCS, identifier)) is not None:
            tags = vpc.tags
    return next((value for key, value in tags if key == "Name"), "")
