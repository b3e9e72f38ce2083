"""A flow as the live view shows it: who to whom, and by which rule, in the user's nouns. Pure."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Any

from ecsnet.control import places
from ecsnet.control.flows.records import ends, rule_of
from ecsnet.hostplan.flows import Part
from ecsnet.model.ec2 import NetworkInterface
from ecsnet.model.tables import GROUP_RULES, GROUPS, INTERFACES
from ecsnet.store.snapshot import Snapshot

_PROTOCOLS = {
    socket.IPPROTO_TCP: "tcp",
    socket.IPPROTO_UDP: "udp",
    socket.IPPROTO_ICMP: "icmp",
    socket.IPPROTO_ICMPV6: "icmpv6",
}

_WORDS = {
    "spoof": "source address or MAC is not the interface's own",
    "dstcheck": "the receiving interface does not own the destination, and its check is on",
    "invalid": "in the middle of a stream that nobody began",
    "gate": "the interface is not in force yet",
    "route": "no route, or an address of the VPC that nobody has",
    "pcx": "outside the two peered VPCs",
    "limit": "more than 1,024 packets a second to local services",
    "service": "the VPC's own addresses have no such service",
}


def shown(snapshot: Snapshot, vpc: str, part: Part) -> dict[str, Any]:
    """One line of the live view as JSON."""
    both = ends(snapshot, vpc, part)
    return {
        "time": part.end,
        "vpc": vpc,
        "action": "REJECT" if part.denied else "ACCEPT",
        "protocol": _PROTOCOLS.get(part.protocol, str(part.protocol)),
        "source": _end(snapshot, both.sender, part.in_link, part.source, part.source_port),
        "destination": _end(snapshot, both.receiver, part.out_link, part.destination, part.destination_port),
        "packets": part.packets,
        "reply": part.reply,
        "by": _deciders(snapshot, part),
        "interfaces": [end.id for end in (both.sender, both.receiver) if end is not None],
    }


def _end(snapshot: Snapshot, interface: NetworkInterface | None, link: str, packed: bytes, port: int) -> dict[str, Any]:
    elsewhere = {"g": "internet", "x": "internet", "p": "peer"}.get(link[:1])
    return {
        "name": places.user_of(snapshot, interface) if interface is not None else elsewhere,
        "interface": interface.id if interface is not None else None,
        "address": str(ip_address(packed)),
        "port": port,
    }


def _deciders(snapshot: Snapshot, part: Part) -> list[dict[str, str]]:
    """Rule and what it is, in words: the one that denied, or the sender's and the receiver's that admitted."""
    if part.denied:
        what, _, which = part.denied.partition(" ")
        return [{"rule": which if what == "pcx" else what, "text": _denial(snapshot, what, which)}]
    found = []
    for egress in (True, False):
        rule = rule_of(snapshot, part, egress=egress)
        if rule is not None:
            found.append({"rule": rule, "text": _rule(snapshot, rule)})
    return found


def _denial(snapshot: Snapshot, what: str, which: str) -> str:
    if what in ("sg-in", "sg-out"):
        interface = snapshot.get(INTERFACES, which)
        rows = [snapshot.get(GROUPS, key) for key in interface.groups] if interface is not None else []
        names = ", ".join(f"{group.name} ({group.id})" for group in rows if group is not None)
        return (
            f"no {'inbound' if what == 'sg-in' else 'outbound'} rule of {names or which or 'an interface that is gone'}"
        )
    return "network ACL" if what.startswith("acl-") else _WORDS.get(what, f"{what} {which}".strip())


def _rule(snapshot: Snapshot, name: str) -> str:
    rule = snapshot.get(GROUP_RULES, name)
    group = snapshot.get(GROUPS, rule.group) if rule is not None else None
    if rule is None or group is None:
        return name
    return f"{group.name} {'out' if rule.egress else 'in'}"
