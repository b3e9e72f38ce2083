"""Real packets that say who decided: one probe per decision of docs/decisions.md, and what comes back otherwise."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import rows
from vpc_lab import Lab, Task, router

from ecsnet.fabric.kernel import naming
from ecsnet.hostplan.probes import Probe, ProbeBatch, ProbeReports, Report, Tap
from ecsnet.testing.world import TestWorld, throw_away_world

pytestmark = pytest.mark.network

CLIENT = "198.19.255.254"
"""The internet side's own address."""
GATEWAY = naming.internet_gateway_namespace(rows.IGW)


@pytest.fixture(scope="module")
def net() -> Iterator[TestWorld]:
    with throw_away_world() as made:
        yield made


@pytest.fixture
def lab(net: TestWorld) -> Iterator[Lab]:
    yield Lab(net)
    net.sync()


def send(
    lab: Lab, *probes: Probe, deciders: tuple[str, ...] = (), arrivals: tuple[Task | str, ...] = ()
) -> list[Report]:
    """The reports of probes that are sent together; nothing may have been missed."""
    taps = tuple(
        Tap(netns=place, device="") if isinstance(place, str) else Tap(netns=place.netns, device="eth0")
        for place in arrivals
    )
    batch = ProbeBatch(probes=probes, deciders=deciders or (router(),), arrivals=taps)
    answer = msgspec.convert(lab.net.ask("probe", **msgspec.to_builtins(batch)), ProbeReports)
    assert answer.missed == 0
    assert [report.number for report in answer.reports] == [probe.number for probe in probes]
    return list(answer.reports)


def probe(
    source: Task | str, destination: Task | str, protocol: Any = "tcp", port: int | None = 80, **more: Any
) -> Probe:
    if isinstance(source, str):
        start = {"netns": source, "device": "", "source": CLIENT}
    else:
        start = {"netns": source.netns, "device": "eth0", "source": source.address}
    address = destination if isinstance(destination, str) else destination.address
    fields = {**start, "destination": address, "protocol": protocol, "port": port, **more}
    return Probe(number=next(_NUMBERS), **fields)


_NUMBERS = itertools.count(1)


def pair(lab: Lab, *, subnet: int = 1) -> tuple[Task, Task]:
    """A client (group 1) and a server whose group 2 admits TCP port 80 and 81, UDP 53 and ping from the VPC."""
    lab.vpc()
    lab.group(1)
    lab.group(
        2,
        rows.rule(1, 2, ports=(80, 81), cidr="10.0.0.0/16"),
        rows.rule(2, 2, protocol="udp", ports=(53, 54), cidr="10.0.0.0/16"),
        rows.rule(3, 2, protocol="icmp", ports=(8, 0), cidr="10.0.0.0/16"),
    )
    client = lab.task("10.0.1.10", 1)
    return client, lab.task(f"10.0.{subnet}.11", 2, subnet=subnet)


def rule(number: int) -> str:
    return f"A {rows.identifier('sgr', number)}"


def test_a_listening_port_is_reached_and_a_closed_one_refuses(lab: Lab) -> None:
    client, server = pair(lab)
    with lab.net.listen(server.netns, server.address, 80):
        listening, closed = send(lab, probe(client, server), probe(client, server, port=81), arrivals=(server,))
    for report, kind in ((listening, "syn-ack"), (closed, "reset")):
        assert report.arrived == (server.netns,)
        assert report.reply is not None
        assert (report.reply.kind, report.reply.source) == (kind, server.address)
        assert [decision.prefix for decision in report.accepted] == [rule(1001), rule(1)]
        assert report.dropped is None
        assert report.source_port is not None
        assert 32768 <= report.source_port <= 60999


def test_a_datagram_arrives_or_is_refused_by_icmp(lab: Lab) -> None:
    client, server = pair(lab)
    with lab.net.listen(server.netns, server.address, 53, "udp"):
        answered, refused = send(
            lab, probe(client, server, "udp", 53), probe(client, server, "udp", 54), arrivals=(server,)
        )
    assert answered.arrived == refused.arrived == (server.netns,)
    assert answered.reply is not None
    assert (answered.reply.kind, answered.reply.source) == ("datagram", server.address)
    assert refused.reply is not None
    assert (refused.reply.kind, refused.reply.type, refused.reply.code) == ("unreachable", 3, 3)


def test_an_echo_comes_back(lab: Lab) -> None:
    client, server = pair(lab)
    (report,) = send(lab, probe(client, server, "icmp", None), arrivals=(server,))
    assert report.reply is not None
    assert (report.reply.kind, report.arrived) == ("echo-reply", (server.netns,))
    assert [decision.prefix for decision in report.accepted] == [rule(1001), rule(3)]


def test_the_receivers_and_the_senders_groups(lab: Lab) -> None:
    client, server = pair(lab)
    lab.group(3, egress=False)
    mute = lab.task("10.0.1.12", 3)
    closed, muted = send(lab, probe(client, server, port=443), probe(mute, server), arrivals=(server,))
    for report, side, of in ((closed, "in", server), (muted, "out", mute)):
        assert report.dropped is not None
        assert report.dropped.prefix == f"D sg-{side} {rows.identifier('eni', of.number)}"
        assert (report.dropped.netns, report.dropped.direction) == (router(), "forward")
        assert report.dropped.out_link == server.link
        assert (report.arrived, report.reply) == ((), None)
    assert closed.dropped is not None
    assert closed.dropped.in_link == client.link
    assert [decision.prefix for decision in closed.accepted] == [rule(1001)]
