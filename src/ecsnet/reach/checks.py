"""The filters on the way: source and destination check, network ACLs, security groups. None of them ends a walk."""

from __future__ import annotations

from dataclasses import dataclass, field

from ecsnet.decision import Drop, What
from ecsnet.model import ec2
from ecsnet.reach.filters import Side, asked_entry, judge
from ecsnet.reach.flow import Packet, Stage
from ecsnet.reach.log import Log
from ecsnet.reach.records import Records, has_address, is_checked, is_unfiltered


@dataclass(frozen=True, slots=True)
class Memory:
    """What the request leaves behind for its reply: tracked sides, translations, the way out."""

    tracked: set[tuple[str, Side]] = field(default_factory=set)
    translations: list[tuple[str, Packet, Packet]] = field(default_factory=list)
    """(interface of the NAT gateway, packet before, packet after)."""
    answers: list[tuple[str, Packet | None]] = field(default_factory=list)
    """(VPC that the request crossed, the answer to it as it was there)."""
    egress_only: dict[str, Packet] = field(default_factory=dict)
    """Egress-only gateway → the request that left through it."""


def check_source(log: Log, sender: ec2.NetworkInterface, packet: Packet) -> None:
    if is_checked(sender) and not has_address(sender, packet.source):
        text = f"source check: {packet.source} is not the interface's own"
        log.block(
            Stage.SOURCE, sender.id, packet, "ENI_SOURCE_DEST_CHECK_RESTRICTION", text, Drop(What.SPOOF)
        )  # fmt: skip


def check_destination(log: Log, receiver: ec2.NetworkInterface, packet: Packet, *, mine: bool) -> None:
    """`mine`: the receiver has the address."""
    if not mine and is_checked(receiver):
        text = f"destination check: {packet.destination} is not the interface's own"
        log.block(
            Stage.DESTINATION_CHECK, receiver.id, packet, "ENI_SOURCE_DEST_CHECK_RESTRICTION", text,
            Drop(What.DESTINATION_CHECK),
        )  # fmt: skip


def ask_acl(records: Records, log: Log, subnet: ec2.Subnet | None, side: Side, packet: Packet) -> None:
    """Asked only where a packet crosses the border of a subnet (None: it is in none), and about every packet."""
    if subnet is None:
        return
    stage = Stage.ACL_OUT if side == "out" else Stage.ACL_IN
    acl = records.acl_of(subnet.id)
    if acl is None:
        text = f"{subnet.id} has no network ACL"
        log.block(stage, subnet.id, packet, "ECSNET_NO_ACL", text, Drop(What.ACL_MISSING))
        return
    entry = asked_entry(records, acl, side, packet)
    number = "*" if entry is None else str(entry.number)
    if entry is not None and entry.allow:
        log.passed(stage, acl.id, packet, f"rule {number} allows", (number,))
    else:
        drop = Drop(What.ACL, f"{acl.id}/{side}/{number}")
        log.block(stage, acl.id, packet, "SUBNET_ACL_RESTRICTION", f"rule {number} denies", drop, (number,))


def ask_groups(
    records: Records, log: Log, memory: Memory, row: ec2.NetworkInterface, side: Side, packet: Packet
) -> None:
    """A reply passes where its request is tracked; else the rules decide about it as about any packet.

    A request that is denied here counts as tracked: once it is admitted, its reply is.
    """
    if is_unfiltered(row):
        return
    stage = Stage.SG_OUT if side == "out" else Stage.SG_IN
    if log.direction == "return" and (row.id, "in" if side == "out" else "out") in memory.tracked:
        log.passed(stage, row.id, packet, "tracked: a reply passes")
        return
    found = judge(records, row, side, packet, hidden=log.hidden)
    if log.direction == "forward" and (found.tracked or not found.rules):
        memory.tracked.add((row.id, side))
    if found.rules:
        log.passed(stage, row.id, packet, ", ".join(found.rules), found.rules)
        return
    code, text = "ENI_SG_RULES_MISMATCH", "no rule of its groups fits"
    if found.empty:
        code, text = "SG_HAS_NO_RULES", "its groups have no rule"
    log.block(stage, row.id, packet, code, text, Drop(What.SG_OUT if side == "out" else What.SG_IN, row.id))
