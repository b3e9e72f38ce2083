"""Network ACL entries and security group rules: does one match a packet, and what follows from that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ecsnet.model import ec2
from ecsnet.reach.flow import ICMP, ICMPV6, TCP, UDP, IpAddress, Packet
from ecsnet.reach.records import Records
from ecsnet.reach.routes import choose

Side = Literal["in", "out"]

_NUMBERS = {"tcp": TCP, "udp": UDP, "icmp": ICMP, "icmpv6": ICMPV6}


# ── network ACLs ─────────────────────────────────────────────────────────────────────────────────────────────────────


def deciding_entry(acl: ec2.NetworkAcl, side: Side, packet: Packet) -> ec2.NetworkAclEntry | None:
    """The first entry in the order of numbers that matches; None is the final `*`, which denies."""
    far = packet.source if side == "in" else packet.destination
    for entry in sorted(acl.entries, key=lambda entry: entry.number):
        if entry.egress == (side == "out") and far in entry.cidr and _entry_fits(entry, packet):
            return entry
    return None


def _entry_fits(entry: ec2.NetworkAclEntry, packet: Packet) -> bool:
    """Ports count for TCP and UDP only, type and code for ICMP only (EC2 API, CreateNetworkAclEntry)."""
    if entry.protocol == "-1":
        return True
    if int(entry.protocol) != packet.protocol:
        return False
    match packet.protocol:
        case 6 | 17:
            return _in_ports(packet.port, entry.from_port, entry.to_port)
        case 1 | 58:
            return _is_icmp(packet.icmp, entry.icmp_type, entry.icmp_code)
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


def judge(records: Records, row: ec2.NetworkInterface, side: Side, packet: Packet) -> Judgement:
    """All groups of an interface together: they only allow, and have no order (VPC user guide, "Security groups")."""
    far = packet.source if side == "in" else packet.destination
    admitting, anywhere, empty = [], False, True
    for rule in records.rules(row, egress=side == "out"):
        empty = False
        fits = service_fits(rule, packet) and peer_fits(records, rule, row.vpc, far, packet.grouped or side == "out")
        if fits and (side == "in" or _goes_there(records, row, rule, far)):
            admitting.append(rule.id)
            anywhere = anywhere or _is_anywhere(rule, packet)
    untracked = anywhere and packet.protocol in (TCP, UDP) and _answers_freely(records, row, side, packet)
    return Judgement(rules=tuple(sorted(admitting)), tracked=not untracked, empty=empty)


def _goes_there(records: Records, row: ec2.NetworkInterface, rule: ec2.SecurityGroupRule, far: IpAddress) -> bool:
    """A rule for a group of a peered VPC means what goes over that peering: another VPC may have the address too."""
    if rule.peer_group is None or rule.peer_vpc is None or rule.peer_vpc == row.vpc:
        return True
    subnet = records.subnet(row)
    table = None if subnet is None else records.table_of(subnet)
    choice = choose(records, row.vpc, table, far)
    return choice is not None and choice.kind == "pcx" and records.peer(choice.target, row.vpc) == rule.peer_vpc


def service_fits(rule: ec2.SecurityGroupRule, packet: Packet) -> bool:
    """Protocol and ports. A protocol other than TCP, UDP and ICMP covers all ports (EC2 API, IpPermission)."""
    if rule.protocol == "-1":
        return True
    if protocol_number(rule) != packet.protocol:
        return False
    match packet.protocol:
        case 6 | 17:
            return _in_ports(packet.port, rule.from_port, rule.to_port)
        case 1 | 58:
            return _is_icmp(packet.icmp, rule.from_port, rule.to_port)
        case _:
            return True


def peer_fits(records: Records, rule: ec2.SecurityGroupRule, vpc: str, far: IpAddress, grouped: bool) -> bool:
    """Whether the other end is who the rule names, seen from an interface of `vpc`.

    A group stands for the private addresses of its members, so a public address never fits; `grouped` says whether
    the sender may be recognised at all (`Packet.grouped`).
    """
    if rule.cidr is not None:
        return far in rule.cidr
    if rule.peer_group is not None:
        return grouped and records.is_member(rule.peer_group, vpc, rule.peer_vpc, far)
    return rule.prefix_list is not None and any(far in block for block in records.prefixes(rule.prefix_list))


def protocol_number(rule: ec2.SecurityGroupRule) -> int | None:
    """None for all protocols."""
    return None if rule.protocol == "-1" else _NUMBERS.get(rule.protocol) or int(rule.protocol)


def _is_anywhere(rule: ec2.SecurityGroupRule, packet: Packet) -> bool:
    return rule.cidr is not None and rule.cidr.prefixlen == 0 and rule.cidr.version == packet.source.version


def _answers_freely(records: Records, row: ec2.NetworkInterface, side: Side, packet: Packet) -> bool:
    """The other direction is open for every address and port: then AWS does not track the flow.

    Source: EC2 user guide, "Security group connection tracking", untracked connections.
    """
    return any(
        _is_anywhere(rule, packet)
        and (
            rule.protocol == "-1"
            or (protocol_number(rule) == packet.protocol and _all_ports(rule.from_port, rule.to_port))
        )
        for rule in records.rules(row, egress=side == "in")
    )


def _all_ports(first: int | None, last: int | None) -> bool:
    return first is None or last is None or (first <= 0 and last in (-1, 65535))


def _in_ports(port: int, first: int | None, last: int | None) -> bool:
    return _all_ports(first, last) or (first is not None and last is not None and first <= port <= last)


def _is_icmp(icmp: tuple[int, int], kind: int | None, code: int | None) -> bool:
    return kind in (None, -1) or (kind == icmp[0] and code in (None, -1, icmp[1]))
