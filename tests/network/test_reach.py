"""Two judges of one network: what `reach` says of the stored rows, and what packets meet. Every pair, every service.

`reach` shares no code with what made the network, so that a rule that both got wrong has to be wrong twice.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

import msgspec
import pytest
import rows
from vpc_lab import Lab, Task, router

from ecsnet.control.agreement import disagreement
from ecsnet.fabric.kernel import naming
from ecsnet.hostplan.probes import Probe, ProbeBatch, ProbeReports, Report, Tap
from ecsnet.model import tables as t
from ecsnet.reach.flow import Flow
from ecsnet.reach.trace import trace
from ecsnet.testing.world import TestWorld

pytestmark = pytest.mark.network

CLIENT = "198.19.255.254"
NAT = rows.identifier("nat", 1)
GATEWAY = naming.gateway_namespace(rows.IGW)
DECIDERS = (router(), GATEWAY, naming.nat_gateway_namespace(NAT), naming.INTERNET)
NUMBERS = {"tcp": 6, "udp": 17, "icmp": 1}
SERVICES: tuple[tuple[Literal["tcp", "udp", "icmp"], int | None], ...] = (
    ("tcp", 80), ("tcp", 81), ("tcp", 443), ("udp", 53), ("icmp", None),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Question:
    """One probe, and the same as a flow."""

    probe: Probe
    flow: Flow


def questions(tasks: list[Task], addresses: list[str]) -> Iterator[Question]:
    numbers = itertools.count(1)
    for source in (None, *tasks):
        for address, (protocol, port) in itertools.product(addresses, SERVICES):
            if source is not None and source.address == address:
                continue
            probe = Probe(
                number=next(numbers),
                netns=naming.INTERNET if source is None else source.netns,
                device=naming.uplink(rows.IGW) if source is None else "eth0",
                source=CLIENT if source is None else source.address,
                destination=address,
                protocol=protocol,
                port=port,
            )
            if source is None and address == CLIENT:
                continue
            flow = Flow(
                source=None if source is None else rows.identifier("eni", source.number),
                destination=ip_address(address),
                protocol=NUMBERS[protocol],
                port=port or 0,
            )
            yield Question(probe, flow)


def build(lab: Lab) -> tuple[list[Task], list[str]]:
    """Public subnet 1, private subnet 2 behind a NAT gateway, subnet 3 with a narrow ACL and no way out."""
    lab.vpc(subnets=3)
    lab.gateway()
    lab.group(1, rows.rule(1, 1, ports=(80, 80), cidr="0.0.0.0/0"), rows.rule(2, 1, protocol="icmp", cidr="10.0.0.0/8"))
    lab.group(2, rows.rule(3, 2, ports=(80, 81), peer=1), rows.rule(4, 2, protocol="udp", ports=(53, 53), peer=2))
    lab.group(3, rows.rule(5, 3, protocol="-1", cidr="10.0.0.0/16"), rows.rule(6, 3, egress=True, ports=(80, 443),
              cidr="10.0.2.0/23"), egress=False)  # fmt: skip
    lab.group(4, egress=False)
    narrow = rows.acl(
        5,
        rows.entry(90, allow=False, protocol="6", cidr="10.0.1.0/24", ports=(81, 81)),
        rows.entry(100, cidr="10.0.0.0/16"),
        rows.entry(100, egress=True, cidr="10.0.1.0/24", protocol="6", ports=(1024, 65535)),
        rows.entry(110, egress=True, cidr="10.0.2.0/24"),
    )
    with lab.store.transaction() as tx:
        tx.put(t.ACLS, narrow)
        tx.put(t.ACL_ASSOCIATIONS, rows.acl_association(3, 5))
        rows.put_interface(tx, rows.interface(40, "10.0.1.9", 1, owner=("nat", NAT), checked=False))
        tx.put(t.NAT_GATEWAYS, rows.nat(1, 40, 1, "10.0.1.9"))
        tx.put(t.ELASTIC_IPS, rows.elastic_ip(1, "198.18.0.2", 40, "10.0.1.9"))
        tx.put(t.ROUTE_TABLES, rows.route_table(2, rows.route("0.0.0.0/0", "nat", NAT)))
        tx.put(t.ROUTE_TABLES, rows.route_table(3, rows.route("198.18.0.0/15", "nat", rows.identifier("nat", 9))))
        tx.put(t.ROUTE_TABLE_ASSOCIATIONS, rows.association(2, 2, subnet=2))
        tx.put(t.ROUTE_TABLE_ASSOCIATIONS, rows.association(3, 3, subnet=3))
    lab.flush()
    tasks = [
        lab.task("10.0.1.10", 1, public="198.18.0.10"),
        lab.task("10.0.1.11", 2),
        lab.task("10.0.2.10", 2),
        lab.task("10.0.2.11", 1, 3, subnet=2),
        lab.task("10.0.3.10", 3, subnet=3),
        lab.task("10.0.3.11", 4, subnet=3),
    ]
    return tasks, [*(task.address for task in tasks), "10.0.2.99", "198.18.0.10", "198.18.0.2", "198.18.0.77", CLIENT,
                   "192.168.5.5", "172.31.1.1"]  # fmt: skip


def ask(lab: Lab, asked: list[Question], tasks: list[Task]) -> list[Report]:
    """All probes in batches small enough that no log is overrun."""
    taps = (Tap(netns=naming.INTERNET, device=""), *(Tap(netns=task.netns, device="eth0") for task in tasks))
    reports: list[Report] = []
    for start in range(0, len(asked), 100):
        batch = ProbeBatch(
            probes=tuple(item.probe for item in asked[start : start + 100]), deciders=DECIDERS, arrivals=taps
        )
        answer = msgspec.convert(lab.net.ask("probe", **msgspec.to_builtins(batch)), ProbeReports)
        assert answer.missed == 0
        reports += answer.reports
    return reports


def test_packets_meet_what_the_settings_say(net: TestWorld) -> None:
    lab = Lab(net)
    tasks, addresses = build(lab)
    asked = list(questions(tasks, addresses))
    answers = [trace(lab.store.snapshot, item.flow) for item in asked]
    reports = ask(lab, asked, tasks)
    wrong = [
        f"{item.probe.source} → {item.probe.destination} {item.probe.protocol}/{item.probe.port}: {text}"
        for item, answer, report in zip(asked, answers, reports, strict=True)
        if (text := disagreement(answer, report))
    ]
    assert wrong == []
    assert {answer.verdict for answer in answers} == {"reachable", "blocked"}
    assert len({answer.deciding.what for answer in answers if answer.deciding}) >= 6
