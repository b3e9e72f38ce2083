"""What would nearly have admitted a blocked packet: one sentence for whoever has to change something."""

from __future__ import annotations

from itertools import pairwise

import msgspec

from ecsnet.model import ec2
from ecsnet.model import tables as t
from ecsnet.reach.filters import Side, deciding_entry, peer_fits, service_fits
from ecsnet.reach.flow import TCP, UDP, Packet, Stage, Step
from ecsnet.reach.records import Records
from ecsnet.store.snapshot import Snapshot

CLIENT_PORTS = (32_768, 60_999)
"""What Linux clients choose from."""


def nearest(snapshot: Snapshot, step: Step) -> str:
    """The nearest rule of a blocking group, or the share of client ports that a blocking ACL lets back; else ""."""
    records = Records(snapshot)
    match step.stage:
        case Stage.SG_OUT | Stage.SG_IN:
            row = records.interface(step.component)
            return "" if row is None else _rule(records, row, "out" if step.stage is Stage.SG_OUT else "in", step)
        case Stage.ACL_OUT | Stage.ACL_IN if step.direction == "return" and step.packet.protocol in (TCP, UDP):
            acl = snapshot.get(t.ACLS, step.component)
            return "" if acl is None else _share(acl, "out" if step.stage is Stage.ACL_OUT else "in", step.packet)
        case _:
            return ""


def _rule(records: Records, row: ec2.NetworkInterface, side: Side, step: Step) -> str:
    """Best is a rule for this port and another peer, then one for this peer and another port."""
    packet = step.packet
    far = packet.source if side == "in" else packet.destination
    preposition = "from" if side == "in" else "to"
    best: tuple[int, str, str] | None = None
    for rule in records.rules(row.groups, row.vpc, side == "out"):
        service = service_fits(rule, packet.service)
        peer = peer_fits(records, rule, row.vpc, far, side == "out" or not step.hidden)
        if not service and not peer:
            continue
        allowed, name = _service(rule), _peer(records, rule)
        found = (
            (0, rule.id, f"{rule.id} allows {allowed}, but {preposition} {name}; this is {far}")
            if service
            else (1, rule.id, f"{rule.id} allows {name}, but {allowed}; this is {service_of(packet)}")
        )
        best = found if best is None else min(best, found)
    return "" if best is None else f"nearest: {best[2]}"


def _share(acl: ec2.NetworkAcl, side: Side, packet: Packet) -> str:
    """A reply goes to the client's port: which part of those that clients choose would pass."""
    first, last = CLIENT_PORTS
    bounds = {first, last + 1}
    for entry in acl.entries:
        bounds |= {port for port in (entry.from_port or 0, (entry.to_port or 0) + 1) if first < port <= last}
    cuts, passing = sorted(bounds), 0
    for start, end in pairwise(cuts):
        decided = deciding_entry(acl, side, msgspec.structs.replace(packet, port=start))
        passing += end - start if decided is not None and decided.allow else 0
    if not passing:
        return ""
    percent = max(1, round(100 * passing / (last + 1 - first)))
    return f"{percent} % of Linux client ports ({first}-{last}) would pass: it works now and then"


def service_of(packet: Packet) -> str:
    """Protocol and port as security groups name them, for example `tcp 443`."""
    names = {6: "tcp", 17: "udp", 1: "icmp", 58: "icmpv6"}
    name = names.get(packet.protocol, f"protocol {packet.protocol}")
    if packet.protocol in (TCP, UDP):
        return f"{name} {packet.port}"
    return f"{name} type {packet.icmp[0]}" if packet.protocol in (1, 58) else name


def _service(rule: ec2.SecurityGroupRule) -> str:
    if rule.protocol == "-1":
        return "all traffic"
    if rule.from_port == -1 or (rule.from_port, rule.to_port) == (0, 65535):
        return f"all {rule.protocol}"
    if rule.protocol in ("icmp", "icmpv6"):
        return f"{rule.protocol} type {rule.from_port}"
    ports = str(rule.from_port) if rule.from_port == rule.to_port else f"{rule.from_port}-{rule.to_port}"
    return f"{rule.protocol} {ports}"


def _peer(records: Records, rule: ec2.SecurityGroupRule) -> str:
    group = records.snapshot.get(t.GROUPS, rule.peer_group) if rule.peer_group else None
    return f"{group.name} {group.id}" if group else str(rule.cidr or rule.peer_group or rule.prefix_list)
