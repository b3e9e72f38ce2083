"""Real packets that say who decided: one probe per decision of docs/decisions.md, and what comes back otherwise."""

from __future__ import annotations

import time
from typing import Any

import pytest
import rows
from probing import CLIENT, probe, send
from vpc_lab import Lab, Task, router

from ecsnet.fabric.kernel import naming
from ecsnet.hostplan.probes import Probe
from ecsnet.model import tables as t

pytestmark = pytest.mark.network

GATEWAY = naming.gateway_namespace(rows.IGW)


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


def test_many_datagrams_to_one_closed_port_arrive_and_few_are_refused(lab: Lab) -> None:
    """The destination's kernel limits its ICMP errors; the rest is not called refused."""
    client, server = pair(lab)
    reports = send(lab, *(probe(client, server, "udp", 54) for _ in range(50)), arrivals=(server,))
    assert all(report.arrived == (server.netns,) for report in reports)
    refused = [report for report in reports if report.reply is not None]
    assert 1 <= len(refused) < 20
    assert all(report.reply is None or report.reply.kind == "unreachable" for report in reports)


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


# ── network ACLs, addresses, routes ──────────────────────────────────────────────────────────────────────────────────


def drop_of(lab: Lab, sent: Probe, **watched: Any) -> tuple[str, str]:
    """Prefix and direction of the drop that a probe meets."""
    (report,) = send(lab, sent, **watched)
    assert report.dropped is not None, report
    return report.dropped.prefix, report.dropped.direction


def acl(lab: Lab, *entries: Any, subnet: int = 2) -> str:
    """A network ACL of its own for a subnet."""
    with lab.store.transaction() as tx:
        tx.put(t.ACLS, rows.acl(7, *entries))
        tx.put(t.ACL_ASSOCIATIONS, rows.acl_association(subnet, 7))
    lab.flush()
    return rows.identifier("acl", 7)


def test_a_network_acl_on_the_way_in_and_on_the_way_back(lab: Lab) -> None:
    client, server = pair(lab, subnet=2)
    deny = rows.entry(50, allow=False, protocol="6", cidr="10.0.1.0/24", ports=(80, 80))
    name = acl(lab, deny, rows.entry(100), rows.entry(100, egress=True))
    assert drop_of(lab, probe(client, server)) == (f"D {name}/in/50", "forward")
    back = rows.entry(60, allow=False, protocol="6", cidr="10.0.1.0/24", ports=(32768, 60999), egress=True)
    acl(lab, rows.entry(100), back, rows.entry(100, egress=True))
    with lab.net.listen(server.netns, server.address, 80):
        (report,) = send(lab, probe(client, server), arrivals=(server,))
    assert report.dropped is not None
    assert (report.dropped.prefix, report.dropped.direction) == (f"D {name}/out/60", "reply")
    assert (report.dropped.source, report.arrived, report.reply) == (server.address, (server.netns,), None)
    assert drop_of(lab, probe(server, client)) == (f"D sg-in {rows.identifier('eni', client.number)}", "forward")
    acl(lab, rows.entry(100, egress=True))
    assert drop_of(lab, probe(client, server)) == (f"D {name}/in/*", "forward")


def test_a_subnet_without_network_acl(lab: Lab) -> None:
    client, server = pair(lab, subnet=2)
    with lab.store.transaction() as tx:
        tx.put(t.ACLS, rows.acl(1, rows.entry(100), rows.entry(100, egress=True)))  # not the default one any more
        tx.delete(t.ACL_ASSOCIATIONS, rows.acl_association(2, 1).id)
    lab.flush()
    assert drop_of(lab, probe(client, server)) == ("D acl missing", "forward")


def test_a_foreign_source_and_an_unsolicited_answer(lab: Lab) -> None:
    client, server = pair(lab)
    assert drop_of(lab, probe(client, server, source="10.0.1.99")) == ("D spoof", "forward")
    assert drop_of(lab, probe(client, server, "icmp", 0)) == ("D invalid", "forward")


def test_an_address_that_nobody_has_and_a_missing_route(lab: Lab) -> None:
    client, _server = pair(lab)
    nobody, away = send(lab, probe(client, "10.0.9.9"), probe(client, "198.51.100.7"))
    for report in (nobody, away):
        assert report.dropped is not None
        assert (report.dropped.prefix, report.dropped.out_link) == ("D route", "void0")
    assert nobody.dropped is not None
    assert nobody.dropped.route is not None
    assert (nobody.dropped.route.table, nobody.dropped.route.prefix) == (254, "10.0.0.0/16")
    assert away.dropped is not None
    assert away.dropped.route is not None
    assert (away.dropped.route.table, away.dropped.route.device) == (999, "void0")


def test_a_black_hole_is_named_by_its_table_and_prefix(lab: Lab) -> None:
    client, _server = pair(lab)
    with lab.store.transaction() as tx:
        gone = rows.route("198.51.100.0/24", "nat", rows.identifier("nat", 1))
        tx.put(t.ROUTE_TABLES, rows.route_table(1, gone))
    lab.flush()
    (report,) = send(lab, probe(client, "198.51.100.7"))
    assert report.dropped is not None
    assert report.dropped.route is not None
    assert (report.dropped.route.table, report.dropped.route.prefix) == (
        1000 + rows.route_table(1).ordinal,
        "198.51.100.0/24",
    )


def test_a_route_to_an_interface_that_checks_its_destination(lab: Lab) -> None:
    client, server = pair(lab)
    with lab.store.transaction() as tx:
        route = rows.route("198.51.100.0/24", "eni", rows.identifier("eni", server.number))
        tx.put(t.ROUTE_TABLES, rows.route_table(1, route))
    lab.flush()
    assert drop_of(lab, probe(client, "198.51.100.7")) == ("D dstcheck", "forward")


def test_local_services(lab: Lab) -> None:
    client, _server = pair(lab)
    assert drop_of(lab, probe(client, "10.0.0.2", port=81)) == ("D service", "forward")
    began = time.monotonic()
    reports = send(lab, *(probe(client, "10.0.0.2", "udp", 53) for _ in range(3000)))
    took = time.monotonic() - began
    limited = [report for report in reports if report.dropped is not None]
    assert {report.dropped.prefix for report in limited if report.dropped} == {"D limit"}
    admitted = len(reports) - len(limited)
    assert 1000 < admitted <= 1024 * (1 + took), "so many at once, and as many again in every second of a slow machine"


# ── gateways ─────────────────────────────────────────────────────────────────────────────────────────────────────────

NAT = naming.nat_gateway_namespace(rows.identifier("nat", 1))
OUTSIDE = (router(), GATEWAY, NAT, "internet")


def nat_gateway(lab: Lab) -> None:
    """A NAT gateway 10.0.1.9 = 198.18.0.2 in subnet 1 for subnet 2, and an internet gateway."""
    lab.gateway()
    with lab.store.transaction() as tx:
        tx.put(t.ROUTE_TABLES, rows.route_table(2, rows.route("0.0.0.0/0", "nat", rows.identifier("nat", 1))))
        tx.put(t.ROUTE_TABLE_ASSOCIATIONS, rows.association(2, 2, subnet=2))
        owner = ("nat", rows.identifier("nat", 1))
        rows.put_interface(tx, rows.interface(90, "10.0.1.9", 1, owner=owner, checked=False))
        tx.put(t.NAT_GATEWAYS, rows.nat(1, 90, 1, "10.0.1.9"))
        tx.put(t.ELASTIC_IPS, rows.elastic_ip(1, "198.18.0.2", 90, "10.0.1.9"))
    lab.flush()


def test_numbers_survive_two_translations(lab: Lab) -> None:
    pair(lab)
    nat_gateway(lab)
    private = lab.task("10.0.2.20", 1, subnet=2)
    with lab.net.listen("internet", CLIENT, 80), lab.net.listen("internet", CLIENT, 53, "udp"):
        reports = send(
            lab,
            probe(private, CLIENT),
            probe(private, CLIENT, port=81),
            probe(private, CLIENT, "udp", 53),
            probe(private, CLIENT, "udp", 54),
            probe(private, CLIENT, "icmp", None),
            deciders=OUTSIDE,
            arrivals=("internet",),
        )
    kinds = [report.reply.kind if report.reply else None for report in reports]
    assert kinds == ["syn-ack", "reset", "datagram", "unreachable", "echo-reply"]
    for report in reports:
        assert report.arrived == ("internet",)
        assert report.reply is not None
        assert report.reply.source == CLIENT
        assert [decision.prefix for decision in report.accepted] == [rule(1001)]


def test_what_internet_and_nat_gateways_drop(lab: Lab) -> None:
    _client, _server = pair(lab)
    nat_gateway(lab)
    igw, nat = rows.IGW, rows.identifier("nat", 1)
    public, plain = lab.task("10.0.1.20", 1, public="198.18.0.20"), lab.task("10.0.1.21", 1)
    expected = {
        probe(plain, CLIENT): f"D igw-no-public {igw}",
        probe(public, "172.16.0.1"): f"D igw-private {igw}",
        probe("internet", "198.18.0.20", source="10.9.9.9"): f"D igw-private {igw}",
        probe("internet", "198.18.0.20", "icmp", 0): f"D igw-invalid {igw}",
        probe("internet", "198.18.0.99"): "D route",
        probe("internet", "198.18.0.2"): f"D nat-in {nat}",
        probe("internet", "198.18.0.20"): f"D sg-in {rows.identifier('eni', public.number)}",
    }
    reports = send(lab, *expected, deciders=OUTSIDE, arrivals=("internet",))
    seen = [report.dropped.prefix if report.dropped else report for report in reports]
    assert seen == list(expected.values())
    assert all(report.arrived == () for report in reports)


def test_a_public_address_inside_the_vpc_leads_through_the_gateway(lab: Lab) -> None:
    lab.vpc()
    lab.gateway()
    lab.group(1)
    lab.group(2, rows.rule(1, 2, ports=(80, 80), cidr="0.0.0.0/0"))
    lab.group(3, rows.rule(2, 3, ports=(80, 80), peer=1))
    client = lab.task("10.0.1.10", 1, public="198.18.0.10")
    web, members_only = lab.task("10.0.1.11", 2, public="198.18.0.11"), lab.task("10.0.1.12", 3, public="198.18.0.12")
    with lab.net.listen(web.netns, web.address, 80):
        reached, denied = send(
            lab, probe(client, "198.18.0.11"), probe(client, "198.18.0.12"), deciders=OUTSIDE[:2], arrivals=(web,)
        )
    assert reached.reply is not None
    assert (reached.reply.kind, reached.reply.source, reached.arrived) == ("syn-ack", "198.18.0.11", (web.netns,))
    assert [decision.prefix for decision in reached.accepted] == [rule(1001), rule(1)]
    assert [decision.source for decision in reached.accepted] == [client.address, "198.18.0.10"]
    assert denied.dropped is not None
    assert denied.dropped.prefix == f"D sg-in {rows.identifier('eni', members_only.number)}"
