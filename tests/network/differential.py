"""The kernel against `reach`: the same flow, once as a real packet and once as a walk through the stored resources.

They share no code: what they agree on, neither misread alone. Compared is the verdict and who decided.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from ipaddress import ip_network

import msgspec
from api_lab import ApiLab
from random_network import RandomNetwork

from ecsnet.decision import Admit, Drop, What, parse
from ecsnet.fabric.kernel import naming, void
from ecsnet.hostplan.probes import Decision, Probe, ProbeBatch, ProbeReports, Report, Tap
from ecsnet.model import tables as t
from ecsnet.reach.flow import CLIENTS, TCP, UDP, Flow, Trace
from ecsnet.reach.trace import trace
from ecsnet.store.snapshot import Snapshot

_PROTOCOLS = {TCP: "tcp", UDP: "udp", 1: "icmp", 58: "icmp"}


@dataclass(slots=True)
class Tally:
    """What a run has seen."""

    changes: int = 0
    probes: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    disagreements: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        kinds = ", ".join(f"{what} {count}" for what, count in self.outcomes.most_common())
        return f"{self.changes} changes, {self.probes} probes, {len(self.disagreements)} disagreements ({kinds})"


def ask(lab: ApiLab, network: RandomNetwork, count: int, tally: Tally) -> None:
    """Send `count` probes and compare each with what `reach` says about it."""
    snapshot = lab.store.snapshot
    flows = network.flows(count)
    batch = ProbeBatch(
        probes=tuple(_probe(snapshot, number, flow) for number, flow in enumerate(flows)),
        deciders=tuple(_deciders(snapshot)),
        arrivals=tuple(_taps(snapshot, network)),
        deadline=0.3,
    )
    answer = msgspec.convert(lab.net.ask("probe", **msgspec.to_builtins(batch)), ProbeReports)
    if answer.missed:
        raise AssertionError(f"{answer.missed} observations were missed")
    for flow, probe, report in zip(flows, batch.probes, answer.reports, strict=True):
        expected = trace(snapshot, flow)
        tally.probes += 1
        tally.outcomes[_kind(expected)] += 1
        problem = disagreement(snapshot, expected, report)
        if problem is not None:
            tally.disagreements.append(f"{problem}\n{_told(flow, probe, expected, report)}")


def disagreement(snapshot: Snapshot, expected: Trace, report: Report) -> str | None:
    """What kernel and `reach` say differently about a flow; None when they agree."""
    if expected.verdict == "unknown":
        return None  # beyond what is modelled: nothing may be claimed
    if report.error is not None:
        return f"the packet could not be sent: {report.error}"
    seen = None if report.dropped is None else parse(report.dropped.prefix)
    if expected.flow.protocol == UDP and (expected.first is None or expected.first.direction == "return"):
        # A closed port answers with an ICMP error, at most once a second, and not with the datagram that reach means.
        if not report.arrived:
            return f"reach: a datagram arrives; kernel: {seen or 'it did not'}"
        return _admission(expected, report)
    if expected.verdict == "reachable":
        if seen is not None:
            return f"reach: reachable; kernel: {seen} ({report.dropped.direction if report.dropped else ''})"
        return "reach: reachable; no answer came" if report.reply is None else _admission(expected, report)
    wanted, first = expected.deciding, expected.first
    assert first is not None
    if wanted is None:
        if seen is None and (report.reply is None or first.code == "ECSNET_REPLY_ADDRESS_CHANGED"):
            return None
        if first.code == "ECSNET_ROUTING_LOOP":
            ended = report.reply is None or report.reply.type in (3, 11)  # ICMP and ICMPv6: time exceeded
            return None if ended else f"reach: a routing loop; kernel: answer {report.reply}"
        return f"reach: {first.code}; kernel: {seen}, answer {report.reply}"
    if seen is None:
        return f"reach: {wanted}; kernel: nothing dropped it (arrived {report.arrived}, answer {report.reply})"
    assert report.dropped is not None
    direction = "forward" if first.direction == "forward" else "reply"
    if seen != wanted or report.dropped.direction != direction:
        return f"reach: {wanted} ({direction}); kernel: {seen} ({report.dropped.direction})"
    if seen.what is What.ROUTE:
        return _same_route(snapshot, first.code, first.rules, report.dropped)
    return None


def _admission(expected: Trace, report: Report) -> str | None:
    """Groups have no order: the kernel names one rule per gate, `reach` all that fit."""
    named = {parse(decision.prefix) for decision in report.accepted if decision.direction == "forward"}
    rules = {one.rule for one in named if isinstance(one, Admit)}
    for side, possible in (("egress", expected.egress), ("ingress", expected.ingress)):
        if possible and not rules & possible:
            return f"reach: {side} admitted by one of {sorted(possible)}; kernel: {sorted(rules)}"
    unknown = rules - expected.egress - expected.ingress
    return f"kernel: admitted by {sorted(unknown)}, which reach does not name" if unknown else None


def _same_route(snapshot: Snapshot, code: str, rules: tuple[str, ...], seen: Decision) -> str | None:
    """Whether the kernel's route look-up found the route (or the lack of one) that `reach` names."""
    if seen.netns == naming.INTERNET:
        return None if not rules else f"reach: route {rules}; kernel: the internet has no such address"
    route = seen.route
    if route is None or route.table is None or route.prefix is None:
        return f"reach: {code} {rules}; the kernel names no route"
    if not rules:
        missing = route.table == void.TABLE
        return None if missing else f"reach: {code}; kernel: table {route.table} {route.prefix}"
    destination = rules[0].split(" ")[0]
    if code == "BAD_STATE_ROUTE" and ip_network(route.prefix) != ip_network(destination):
        return f"reach: {code} {rules}; kernel: table {route.table} {route.prefix}"
    return None


# ── the batch ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _probe(snapshot: Snapshot, number: int, flow: Flow) -> Probe:
    if flow.source is None:
        netns, device = naming.INTERNET, ""
        source = next(str(address) for address in CLIENTS if address.version == flow.destination.version)
    else:
        row = snapshot.get(t.INTERFACES, flow.source)
        assert row is not None
        assert row.attachment is not None
        netns, device = naming.instance_namespace(row.attachment.owner), "eth0"
        source = str(row.private_ip if flow.destination.version == 4 else row.ipv6_ips[0])
    ports = flow.protocol in (TCP, UDP)
    return Probe(
        number=number,
        netns=netns,
        device=device,
        source=source,
        destination=str(flow.destination),
        protocol=_PROTOCOLS[flow.protocol],  # type: ignore[arg-type]
        port=flow.port if ports else None,
        source_port=flow.source_port if ports else None,
    )


def _deciders(snapshot: Snapshot) -> list[str]:
    vpcs = {row.vpc for row in snapshot.rows(t.INTERFACES)}
    found = [naming.INTERNET, *(naming.router_namespace(vpc) for vpc in sorted(vpcs))]
    gateways = [row for row in snapshot.rows(t.INTERNET_GATEWAYS) if row.vpc in vpcs]
    found += [naming.gateway_namespace(row.id) for row in gateways]
    found += [naming.gateway_namespace(row.id) for row in snapshot.rows(t.EGRESS_ONLY_GATEWAYS) if row.vpc in vpcs]
    nats = (row for row in snapshot.rows(t.NAT_GATEWAYS) if row.state == "available")
    return found + [naming.nat_gateway_namespace(row.id) for row in nats]


def _taps(snapshot: Snapshot, network: RandomNetwork) -> list[Tap]:
    found = [Tap(netns=naming.INTERNET, device="")]
    for row in network.interfaces():
        assert row.attachment is not None
        found.append(Tap(netns=naming.instance_namespace(row.attachment.owner), device="eth0"))
    return found


def _kind(expected: Trace) -> str:
    if expected.verdict != "blocked":
        return expected.verdict
    decided = expected.deciding
    return decided.what.value if isinstance(decided, Drop) else expected.first.code if expected.first else "blocked"


def _told(flow: Flow, probe: Probe, expected: Trace, report: Report) -> str:
    steps = "\n".join(
        f"    {'✓' if step.ok else '✗'} {step.direction} {step.crossing} {step.stage.name} {step.component} "
        f"{step.rules} {step.code} {step.drop or ''} {step.text}"
        for step in expected.steps
    )
    return f"  {flow}\n  from {probe.netns} {probe.source}\n  kernel: {report}\n{steps}"
