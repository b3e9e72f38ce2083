"""Probes over IPv6, across peerings, to load balancers' interfaces; and what the prober's process leaves behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import rows
from probing import CLIENT6, probe, send
from test_peering import peer, routes, two
from vpc_lab import Lab, Task, router

from ecsnet.fabric.kernel import naming
from ecsnet.model import tables as t
from ecsnet.testing.world import wait_until

pytestmark = pytest.mark.network

BLOCK = "2001:db8:8000:100::/56"
ONE, TWO = "2001:db8:8000:101::a", "2001:db8:8000:102::b"


# ── IPv6 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def pair6(lab: Lab) -> tuple[Task, Task]:
    """Two tasks with IPv6 in two subnets; the second admits TCP 80 and 81, UDP 54 and echo requests from ::/0."""
    lab.vpc()
    with lab.store.transaction() as tx:
        tx.put(t.VPCS, rows.vpc(ipv6=BLOCK))
        for number in (1, 2):
            tx.put(t.SUBNETS, rows.subnet(number, f"10.0.{number}.0/24", ipv6=f"2001:db8:8000:10{number}::/64"))
        entries = [rows.entry(100 + egress, egress=bool(egress), cidr="::/0") for egress in (0, 1)]
        tx.put(t.ACLS, rows.acl(1, *entries, default=True))
    lab.flush()
    everywhere = {"egress": True, "protocol": "-1", "cidr": "::/0"}
    lab.group(1, rows.rule(11, 1, **everywhere))
    lab.group(
        2,
        rows.rule(12, 2, **everywhere),
        rows.rule(1, 2, ports=(80, 81), cidr="::/0"),
        rows.rule(2, 2, protocol="udp", ports=(54, 54), cidr="::/0"),
        rows.rule(3, 2, protocol="icmpv6", ports=(128, 0), cidr="::/0"),
    )
    return lab.task("10.0.1.10", 1, ipv6=(ONE,)), lab.task("10.0.2.11", 2, ipv6=(TWO,), subnet=2)


def test_ipv6_reached_refused_and_dropped(lab: Lab) -> None:
    one, two_ = pair6(lab)
    with lab.net.listen(two_.netns, TWO, 80):
        reports = send(
            lab,
            probe(one, TWO, source=ONE),
            probe(one, TWO, port=81, source=ONE),
            probe(one, TWO, "udp", 54, source=ONE),
            probe(one, TWO, "icmp", None, source=ONE),
            probe(one, TWO, port=443, source=ONE),
            arrivals=(two_,),
        )
    seen = [report.reply.kind if report.reply else report.dropped and report.dropped.prefix for report in reports]
    denied = f"D sg-in {rows.identifier('eni', two_.number)}"
    assert seen == ["syn-ack", "reset", "unreachable", "echo-reply", denied]
    assert [report.arrived for report in reports] == [(two_.netns,)] * 4 + [()]
    rules = [[decision.prefix for decision in report.accepted] for report in reports[:4]]
    out = f"A {rows.identifier('sgr', 11)}"
    assert rules == [[out, f"A {rows.identifier('sgr', number)}"] for number in (1, 1, 2, 3)]


def test_ipv6_routes_and_the_egress_only_gateway(lab: Lab) -> None:
    one, _two = pair6(lab)
    (nobody, away) = send(lab, probe(one, "2001:db8:8000:1ff::9", source=ONE), probe(one, CLIENT6, source=ONE))
    assert nobody.dropped is not None
    assert nobody.dropped.route is not None
    assert (nobody.dropped.prefix, nobody.dropped.route.prefix) == ("D route", BLOCK)
    assert away.dropped is not None
    assert away.dropped.route is not None
    assert (away.dropped.prefix, away.dropped.route.table) == ("D route", 999)
    gateway = rows.egress_gateway()
    with lab.store.transaction() as tx:
        tx.put(t.EGRESS_ONLY_GATEWAYS, gateway)
        way = rows.route("::/0", "eigw", gateway.id)
        tx.put(t.ROUTE_TABLES, rows.route_table(1, rows.route(BLOCK, "local"), way))
    lab.flush()
    watched = (router(), naming.gateway_namespace(gateway.id), "internet")
    with lab.net.listen("internet", CLIENT6, 80):
        out, into = send(
            lab,
            probe(one, CLIENT6, source=ONE),
            probe("internet", ONE),
            deciders=watched,
            arrivals=("internet", one),
        )
    assert out.reply is not None
    assert (out.reply.kind, out.arrived) == ("syn-ack", ("internet",))
    assert into.dropped is not None
    assert (into.dropped.prefix, into.arrived) == (f"D eigw {gateway.id}", ())


# ── peering ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_rules_of_two_routers_in_the_order_of_the_walk(lab: Lab) -> None:
    one, other = two(lab)
    with lab.net.listen(other.netns, other.address, 80):
        (report,) = send(lab, probe(one, other), deciders=(router(2), router(1)), arrivals=(other,))
    assert report.reply is not None
    assert (report.reply.kind, report.arrived) == ("syn-ack", (other.netns,))
    decided = [(decision.netns, decision.prefix) for decision in report.accepted]
    assert decided == [
        (router(1), f"A {rows.identifier('sgr', 1001)}"),
        (router(2), f"A {rows.identifier('sgr', 2)}"),
    ]


def test_a_missing_route_back_and_a_transitive_route(lab: Lab) -> None:
    one, other = two(lab)
    routes(lab, 2)
    (report,) = send(lab, probe(one, other), deciders=(router(1), router(2)), arrivals=(other,))
    assert report.dropped is not None
    assert (report.dropped.netns, report.dropped.prefix, report.dropped.direction) == (router(2), "D route", "reply")
    assert report.arrived == (other.netns,)
    routes(lab, 2, ("10.0.0.0/16", 1), ("10.2.0.0/16", 1))
    peer(lab, 1, 1, 2)
    (report,) = send(lab, probe(other, "10.2.1.10"), deciders=(router(1), router(2)))
    assert report.dropped is not None
    assert report.dropped.prefix == f"D pcx {rows.identifier('pcx', 1)}"


# ── load balancers ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_load_balancers_second_interface(lab: Lab) -> None:
    """Answers leave through the interface to which the request came, whatever the destination."""
    lab.vpc()
    lab.group(1)
    lab.group(2, rows.rule(1, 2, ports=(80, 81), cidr="10.0.0.0/16"))
    arn = rows.load_balancer_arn(1)
    with lab.store.transaction() as tx:
        for number, subnet in ((51, 1), (52, 2)):
            owner = ("load_balancer", arn)
            rows.put_interface(tx, rows.interface(number, f"10.0.{subnet}.5", subnet, groups=(2,), owner=owner))
        tx.put(t.LOAD_BALANCERS, rows.load_balancer(1, (51, 1, "10.0.1.5"), (52, 2, "10.0.2.5")))
    lab.flush()
    balancer = Task(number=52, address="10.0.2.5", netns=naming.load_balancer_namespace(arn), link="", mac="")
    client = lab.task("10.0.1.10", 1)
    with lab.net.listen(balancer.netns, "10.0.2.5", 80):
        reached, refused = send(
            lab, probe(client, balancer), probe(client, balancer, port=81), arrivals=(balancer.netns,)
        )
    assert reached.reply is not None
    assert refused.reply is not None
    assert (reached.reply.kind, refused.reply.kind) == ("syn-ack", "reset")
    assert reached.arrived == refused.arrived == (balancer.netns,)
    (sent,) = send(lab, probe(balancer, client, device="eth1"), arrivals=(client,))
    assert sent.dropped is not None
    assert sent.dropped.prefix == f"D sg-in {rows.identifier('eni', client.number)}"
    assert sent.dropped.in_link == naming.interface_link(rows.identifier("eni", 52))


# ── the process ──────────────────────────────────────────────────────────────────────────────────────────────────────


def prober_of(lab: Lab) -> int | None:
    """The prober of the lab's world."""
    wanted = ["-m", "ecsnet.agent.prober.server", str(lab.net.state / "prober.sock")]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                arguments = (entry / "cmdline").read_text().split("\0")
            except OSError:
                continue  # it ended meanwhile
            if arguments[1:4] == wanted:
                return int(entry.name)
    return None


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_it_is_started_again_and_keeps_no_namespace_alive(lab: Lab) -> None:
    lab.vpc()
    lab.group(1, rows.rule(1, 1, protocol="-1", cidr="10.0.0.0/16"))
    client, server = lab.task("10.0.1.10", 1), lab.task("10.0.1.11", 1)
    (first,) = send(lab, probe(client, server), arrivals=(server,))
    assert first.reply is not None
    pid = prober_of(lab)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    # Dead in all its parts: what a dying one still takes in gets no answer.
    wait_until(lambda: ended(pid), 30.0, "the prober survived SIGKILL")
    (second,) = send(lab, probe(client, server), arrivals=(server,))
    assert second.reply is not None
    assert prober_of(lab) not in (pid, None)
    lab.stop(server)
    links = lambda: lab.net.run(router(), "ip", "-o", "link").stdout  # noqa: E731
    wait_until(lambda: server.link not in links(), 30.0, "the prober keeps the namespace of a stopped task alive")
    again = lab.task("10.0.1.11", 1)
    (third,) = send(lab, probe(client, again), arrivals=(again,))
    assert third.arrived == (again.netns,)
