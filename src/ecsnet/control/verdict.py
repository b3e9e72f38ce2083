"""What became of a probe, in the user's nouns, from what was seen of it and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import msgspec

from ecsnet.control.places import Place, user_of
from ecsnet.control.routenames import RouteNames
from ecsnet.decision import Drop, What, parse
from ecsnet.fabric.kernel import naming
from ecsnet.hostplan.probes import Decision, Probe, Reply, Report
from ecsnet.model.ec2 import NetworkInterface
from ecsnet.model.tables import (
    EGRESS_ONLY_GATEWAYS_BY_VPC,
    GROUPS,
    INTERFACES,
    INTERFACES_BY_VPC,
    INTERNET_GATEWAYS_BY_VPC,
    NAT_GATEWAYS_BY_VPC,
)
from ecsnet.store.snapshot import Snapshot

Outcome = Literal["reached", "refused", "dropped", "lost"]


class Verdict(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What became of a packet."""

    verdict: Outcome
    sentence: str
    """One sentence."""
    rule: str | None = None
    """What decided against it: `eni-…` (its groups), `acl-…/in/100`, `rtb-… 10.0.0.0/16 blackhole`, `pcx-…`."""
    where: str | None = None
    """Whose filter or route that is, or where the packet arrived."""
    direction: Literal["forward", "reply"] = "forward"
    """`reply`: the packet arrived and its answer was dropped."""
    accepted: tuple[str, ...] = ()
    """The security group rules that admitted it, in the order of its walk."""
    probe: Probe
    report: Report
    """The evidence."""


def outcome(probe: Probe, report: Report) -> Outcome:
    """What became of a packet, in one word."""
    if report.dropped is not None:
        return "dropped"
    if report.error is not None:
        return "lost"
    if report.reply is not None:
        return "reached" if report.reply.kind in ("syn-ack", "datagram", "echo-reply") else "refused"
    return "reached" if report.arrived and probe.protocol == "udp" else "lost"


class Words:
    """Turns reports into words, for packets that cross the given VPCs."""

    def __init__(self, snapshot: Snapshot, vpcs: Sequence[str]) -> None:
        self._snapshot = snapshot
        self._vpcs = vpcs
        self._routes = RouteNames(snapshot)

    def verdict(self, source: Place, destination: Place, probe: Probe, report: Report, missed: int) -> Verdict:
        """The verdict on one probe; `missed` is how many observations of its batch were not read."""
        sentence, rule, where = self._told(source, destination, probe, report, missed)
        return Verdict(
            verdict=outcome(probe, report),
            sentence=sentence,
            rule=rule,
            where=where,
            direction=report.dropped.direction if report.dropped else "forward",
            accepted=tuple(decision.prefix.removeprefix("A ") for decision in report.accepted),
            probe=probe,
            report=report,
        )

    def rule(self, dropped: Decision, probe: Probe) -> str:
        """What decided against it: `Verdict.rule`."""
        return self._denied(dropped, probe)[0]

    def _told(
        self, source: Place, destination: Place, probe: Probe, report: Report, missed: int
    ) -> tuple[str, str | None, str | None]:
        """Sentence, rule and place."""
        what = described(probe)
        if report.dropped is not None:
            rule, where, reason = self._denied(report.dropped, probe)
            subject = what if report.dropped.direction == "forward" else f"{what} arrived, but the answer was dropped"
            end = "was dropped" if report.dropped.direction == "forward" else "on its way back"
            return f"{subject} {end}: {reason}.", rule, where
        if report.error is not None:
            return f"{what} could not be sent from {source.label}: {report.error}.", None, source.label
        arrived = f" at {destination.label}" if report.arrived else ""
        if report.reply is not None:
            return _answered(what, destination, report.reply, probe), None, destination.label if arrived else None
        if arrived and probe.protocol == "udp":
            text = f"{what} arrived{arrived}; nothing answered, which a datagram does not need."
            return text, None, destination.label
        unread = f" ({missed} observations were missed)" if missed else ""
        if arrived:
            return f"{what} arrived{arrived}, and no answer came back{unread}.", None, destination.label
        seen = f" after {report.accepted[-1].prefix.removeprefix('A ')} admitted it" if report.accepted else ""
        return f"{what} was not seen again{seen}, and no filter says that it dropped it{unread}.", None, None

    # ── who denied it ────────────────────────────────────────────────────────────────────────────────────────────

    def _denied(self, seen: Decision, probe: Probe) -> tuple[str, str, str]:
        """Rule, place and reason of a drop."""
        drop, place = parse(seen.prefix), self._place(seen.netns)
        assert isinstance(drop, Drop)
        sender, receiver = self._interface(seen.in_link), self._interface(seen.out_link)
        match drop.what:
            case What.ACL:
                return drop.id, place, _acl(drop.id)
            case What.SG_IN | What.SG_OUT:
                judged = drop.id or (receiver if drop.what is What.SG_IN else sender)
                return judged, self._interface_words(judged), self._groups(drop.what, judged)
            case What.SPOOF:
                reason = f"{seen.source} or the MAC address is not {sender}'s own, and its source check is on"
                return sender, self._interface_words(sender), reason
            case What.DESTINATION_CHECK:
                reason = f"{receiver} does not own {seen.destination}, and its destination check is on"
                return receiver, self._interface_words(receiver), reason
            case What.ROUTE if seen.netns == naming.INTERNET:
                return "no route", place, f"no gateway owns {seen.destination}"
            case What.ROUTE:
                rule, reason = self._routes.missing(seen, self._vpc(seen.netns), self._row(seen.in_link))
                return rule, place, reason
            case What.PEERING:
                reason = f"{seen.source} to {seen.destination} is not between the two peered VPCs"
                return drop.id, f"peering {drop.id}", reason
            case _:
                return drop.id or drop.what.value, place, _plain_reason(drop.what, seen, described(probe))

    def _groups(self, side: What, interface: str) -> str:
        row = self._snapshot.get(INTERFACES, interface)
        rows = [self._snapshot.get(GROUPS, key) for key in row.groups] if row is not None else []
        groups = ", ".join(f"{group.name} ({group.id})" for group in rows if group is not None) or "no group"
        direction = "inbound" if side is What.SG_IN else "outbound"
        return f"no {direction} rule of {groups} admits it at {self._interface_words(interface)}"

    # ── kernel names → the user's ────────────────────────────────────────────────────────────────────────────────

    def _interface_words(self, interface: str) -> str:
        row = self._snapshot.get(INTERFACES, interface)
        return interface if row is None else f"{user_of(self._snapshot, row)}, {interface}"

    @cached_property
    def _rows(self) -> dict[str, NetworkInterface]:
        rows = (row for vpc in self._vpcs for row in self._snapshot.find(INTERFACES_BY_VPC, vpc))
        return {naming.interface_link(row.id): row for row in rows}

    def _row(self, link: str) -> NetworkInterface | None:
        return self._rows.get(link)

    def _interface(self, link: str) -> str:
        row = self._row(link)
        return link if row is None else row.id

    @cached_property
    def _places(self) -> dict[str, str]:
        found = {naming.INTERNET: "the internet"}
        for vpc in self._vpcs:
            found[naming.router_namespace(vpc)] = vpc
            for key in self._snapshot.keys(INTERNET_GATEWAYS_BY_VPC, vpc):
                found[naming.gateway_namespace(key)] = f"internet gateway {key}"
            for key in self._snapshot.keys(EGRESS_ONLY_GATEWAYS_BY_VPC, vpc):
                found[naming.gateway_namespace(key)] = f"egress-only internet gateway {key}"
            for key in self._snapshot.keys(NAT_GATEWAYS_BY_VPC, vpc):
                found[naming.nat_gateway_namespace(key)] = f"NAT gateway {key}"
        return found

    def _place(self, netns: str) -> str:
        return self._places.get(netns, netns)

    def _vpc(self, netns: str) -> str | None:
        return next((vpc for vpc in self._vpcs if naming.router_namespace(vpc) == netns), None)


def described(probe: Probe) -> str:
    """The packet in a word: `tcp/443`."""
    match probe.protocol:
        case "icmp":
            return "icmp echo" if probe.port is None else f"icmp type {probe.port}"
        case protocol:
            return f"{protocol}/{probe.port}"


def _plain_reason(what: What, seen: Decision, probe: str) -> str:
    """The reason of a drop whose subject says the rest."""
    reasons = {
        What.ACL_MISSING: "the subnet has no network ACL",
        What.INVALID: "it belongs to no connection",
        What.GATE: f"the interface behind {seen.out_link} is not in force yet",
        What.IGW_NO_PUBLIC: f"{seen.source} has no public address",
        What.IGW_PRIVATE: f"{seen.source} to {seen.destination} has a private address on the internet side",
        What.IGW_UNASSIGNED: f"no interface has the public address {seen.destination}",
        What.IGW_INVALID: "it belongs to no connection",
        What.NAT_SOURCE: f"{seen.source} is not in the gateway's VPC",
        What.NAT_PROTOCOL: "the gateway translates TCP, UDP and ICMP only",
        What.NAT_STATE: "the gateway does not know the connection",
        What.NAT_IN: "a NAT gateway accepts no connection from outside",
        What.EGRESS_ONLY: "an egress-only gateway accepts no connection from outside",
        What.LOOPBACK: "a machine's loopback is its own",
        What.UNPUBLISHED: f"containers of a machine are reached by their host ports, not at {seen.destination}",
        What.LIMIT: "more than 1,024 packets a second went to local services",
        What.SERVICE: f"{seen.destination} has no service at {probe}",
    }
    return reasons.get(what, what.value)


def _acl(what: str) -> str:
    acl, direction, number = what.split("/")
    side = "inbound" if direction == "in" else "outbound"
    return f"{acl} has no {side} entry for it" if number == "*" else f"{side} entry {number} of {acl} denies it"


def _answered(what: str, destination: Place, reply: Reply, probe: Probe) -> str:
    by = destination.label if reply.source == probe.destination else reply.source
    match reply.kind:
        case "syn-ack" | "datagram" | "echo-reply":
            return f"{what} reached {by}, which answered."
        case "reset":
            return f"{what} reached {by}, where nothing listens: the connection was reset."
        case "unreachable" if (reply.type, reply.code) in ((3, 3), (1, 4)):
            return f"{what} reached {by}, where nothing listens: the port is unreachable."
        case "unreachable":
            return f"{what} was answered by {reply.source} with ICMP type {reply.type} code {reply.code}."
