"""The kernel against `reach`: the same flow, once as a real packet and once as a walk through the stored resources.

They share no code: what they agree on, neither misread alone. Compared is the verdict and who decided.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import msgspec
from api_lab import ApiLab
from random_network import RandomNetwork

from ecsnet.control.agreement import disagreement
from ecsnet.decision import Drop
from ecsnet.fabric.kernel import naming
from ecsnet.hostplan.probes import Probe, ProbeBatch, ProbeReports, Report, Tap
from ecsnet.model import tables as t
from ecsnet.reach.flow import CLIENTS, TCP, UDP, Flow, Trace
from ecsnet.reach.records import Records
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
    network.listen()
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
    records = Records(snapshot)
    for flow, probe, report in zip(flows, batch.probes, answer.reports, strict=True):
        expected = trace(snapshot, flow, records)
        assert expected == trace(snapshot, flow), "what is remembered of other flows changes an answer"
        tally.probes += 1
        tally.outcomes[_kind(expected)] += 1
        problem = disagreement(expected, report)
        if problem is not None:
            tally.disagreements.append(f"{problem}\n{_told(flow, probe, expected, report)}")


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
