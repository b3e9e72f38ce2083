"""Network ACL entries and security group rules: does one match a packet, and what follows from that."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ecsnet.model import ec2
from ecsnet.model import tables as t
from ecsnet.reach.flow import ICMP, ICMPV6, TCP, UDP, IpAddress, Packet, Service
from ecsnet.reach.records import Records, once
from ecsnet.reach.routes import choose

Side = Literal["in", "out"]

_NUMBERS = {"tcp": TCP, "udp": UDP, "icmp": ICMP, "icmpv6": ICMPV6}


# ── what is the same question ────────────────────────────────────────────────────────────────────────────────────────


def _cuts(ranges: Iterable[tuple[int | None, int | None]]) -> tuple[int, ...]:
    """The ports at which some rules begin to say something else. Between two of them all ports are the same to them."""
    return tuple(sorted({0, *(bound for a, b in ranges if a is not None and b is not None for bound in (a, b + 1))}))


def _alike(cuts: tuple[int, ...], packet: Packet) -> Service:
    """The packet's service, with the lowest of the ports that are the same to the rules for its own."""
    port = packet.port
    return Service(packet.protocol, cuts[bisect_right(cuts, port) - 1] if port else 0, packet.icmp)


# ── network ACLs ─────────────────────────────────────────────────────────────────────────────────────────────────────


def deciding_entry(acl: ec2.NetworkAcl, side: Side, packet: Packet) -> ec2.NetworkAclEntry | None:
    """The first entry in the order of numbers that matches; None is the final `*`, which denies."""
    far = packet.source if side == "in" else packet.destination
    return _first_entry(acl, side, far, packet.service)


def asked_entry(records: Records, acl: ec2.NetworkAcl, side: Side, packet: Packet) -> ec2.NetworkAclEntry | None:
    """`deciding_entry`, once for all packets that are the same to this ACL."""
    far = packet.source if side == "in" else packet.destination
    return _entry(records, acl.id, side, far, _alike(_acl_cuts(records, acl.id), packet))


@once
def _entry(records: Records, acl: str, side: Side, far: IpAddress, service: Service) -> ec2.NetworkAclEntry | None:
    row = records.snapshot.get(t.ACLS, acl)
    return None if row is None else _first_entry(row, side, far, service)


@once
def _acl_cuts(records: Records, acl: str) -> tuple[int, ...]:
    row = records.snapshot.get(t.ACLS, acl)
    return _cuts((entry.from_port, entry.to_port) for entry in (() if row is None else row.entries))


def _first_entry(acl: ec2.NetworkAcl, side: Side, far: IpAddress, service: Service) -> ec2.NetworkAclEntry | None:
    for entry in sorted(acl.entries, key=lambda entry: entry.number):
        if entry.egress == (side == "out") and far in entry.cidr and _entry_fits(entry, service):
            return entry
    return None


def _entry_fits(entry: ec2.NetworkAclEntry, service: Service) -> bool:
    """Ports count for TCP and UDP only, type and code for ICMP only (EC2 API, CreateNetworkAclEntry)."""
    if entry.protocol == "-1":
        return True
    if int(entry.protocol) != service.protocol:
        return False
    match service.protocol:
        case 6 | 17:
            return _in_ports(service.port, entry.from_port, entry.to_port)
        case 1 | 58:
            return _is_icmp(service.icmp, entry.icmp_type, entry.icmp_code)
        case _:
            return True


# ── security groups ──────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What an interface's groups say about a new flow."""

    rules: tuple[str, ...]
    """Every rule that admits it, sorted; none means that it is denied."""
    tracked: bool
    """Whether replies pass whatever the rules of the other direction say."""
    empty: bool = False
    """No group has any rule in this direction."""


class Asked(NamedTuple):
    """All that the groups of an interface look at: two interfaces of which this is the same are judged the same."""

    groups: tuple[str, ...]
    vpc: str
    subnet: str
    side: Side
    far: IpAddress
    grouped: bool
    """Whether a rule for a group may recognise the far end (`Step.hidden`)."""
    service: Service


def judge(records: Records, row: ec2.NetworkInterface, side: Side, packet: Packet, *, hidden: bool) -> Judgement:
    """All groups of an interface together: they only allow, and have no order (VPC user guide, "Security groups")."""
    service = _alike(_rule_cuts(records, row.groups, row.vpc, side == "out"), packet)
    far = packet.source if side == "in" else packet.destination
    return _judge(records, Asked(row.groups, row.vpc, row.subnet, side, far, side == "out" or not hidden, service))


@once
def _rule_cuts(records: Records, groups: tuple[str, ...], vpc: str, egress: bool) -> tuple[int, ...]:
    return _cuts((rule.from_port, rule.to_port) for rule in records.rules(groups, vpc, egress))


@once
def _judge(records: Records, asked: Asked) -> Judgement:
    admitting, anywhere, empty = [], False, True
    for rule in records.rules(asked.groups, asked.vpc, asked.side == "out"):
        empty = False
        fits = service_fits(rule, asked.service) and peer_fits(records, rule, asked.vpc, asked.far, asked.grouped)
        if fits and (asked.side == "in" or _goes_there(records, asked, rule)):
            admitting.append(rule.id)
            anywhere = anywhere or _is_anywhere(rule, asked)
    untracked = anywhere and asked.service.protocol in (TCP, UDP) and _answers_freely(records, asked)
    return Judgement(rules=tuple(sorted(admitting)), tracked=not untracked, empty=empty)


def _goes_there(records: Records, asked: Asked, rule: ec2.SecurityGroupRule) -> bool:
    """A rule for a group of a peered VPC means what goes over that peering: another VPC may have the address too."""
    if rule.peer_group is None or rule.peer_vpc is None or rule.peer_vpc == asked.vpc:
        return True
    table = records.table_of(asked.subnet)
    choice = choose(records, asked.vpc, None if table is None else table.id, asked.far)
    return choice is not None and choice.kind == "pcx" and records.peer(choice.target, asked.vpc) == rule.peer_vpc


def service_fits(rule: ec2.SecurityGroupRule, service: Service) -> bool:
    """Protocol and ports. A protocol other than TCP, UDP and ICMP covers all ports (EC2 API, IpPermission)."""
    if rule.protocol == "-1":
        return True
    if protocol_number(rule) != service.protocol:
        return False
    match service.protocol:
        case 6 | 17:
            return _in_ports(service.port, rule.from_port, rule.to_port)
        case 1 | 58:
            return _is_icmp(service.icmp, rule.from_port, rule.to_port)
        case _:
            return True


def peer_fits(records: Records, rule: ec2.SecurityGroupRule, vpc: str, far: IpAddress, grouped: bool) -> bool:
    """Whether the other end is who the rule names, seen from an interface of `vpc`.

    A group stands for the private addresses of its members, so a public address never fits; `grouped` says whether
    the sender may be recognised at all (`Step.hidden`).
    """
    if rule.cidr is not None:
        return far in rule.cidr
    if rule.peer_group is not None:
        return grouped and records.is_member(rule.peer_group, vpc, rule.peer_vpc, far)
    return rule.prefix_list is not None and any(far in block for block in records.prefixes(rule.prefix_list))


def protocol_number(rule: ec2.SecurityGroupRule) -> int | None:
    """None for all protocols."""
    return None if rule.protocol == "-1" else _NUMBERS.get(rule.protocol) or int(rule.protocol)


def _is_anywhere(rule: ec2.SecurityGroupRule, asked: Asked) -> bool:
    return rule.cidr is not None and rule.cidr.prefixlen == 0 and rule.cidr.version == asked.far.version


def _answers_freely(records: Records, asked: Asked) -> bool:
    """The other direction is open for every address and port: then AWS does not track the flow.

    Source: EC2 user guide, "Security group connection tracking", untracked connections.
    """
    return any(
        _is_anywhere(rule, asked)
        and (
            rule.protocol == "-1"
            or (protocol_number(rule) == asked.service.protocol and _all_ports(rule.from_port, rule.to_port))
        )
        for rule in records.rules(asked.groups, asked.vpc, asked.side == "in")
    )


def _all_ports(first: int | None, last: int | None) -> bool:
    return first is None or last is None or (first <= 0 and last in (-1, 65535))


def _in_ports(port: int, first: int | None, last: int | None) -> bool:
    return _all_ports(first, last) or (first is not None and last is not None and first <= port <= last)


def _is_icmp(icmp: tuple[int, int], kind: int | None, code: int | None) -> bool:
    return kind in (None, -1) or (kind == icmp[0] and code in (None, -1, icmp[1]))
