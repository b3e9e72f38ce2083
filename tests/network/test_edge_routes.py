"""Route tables of internet gateways, and routes inside a VPC that compete or lead through two appliances.

Source: VPC user guide, "Gateway route tables" and "Routing for a middlebox appliance".
"""

from __future__ import annotations

from contextlib import ExitStack

import msgspec
import pytest
import rows
from vpc_lab import Lab, Task, router
from walks import check, walk

from ecsnet.model import ec2
from ecsnet.model import tables as t
from ecsnet.testing.world import wait_until

pytestmark = pytest.mark.network

CLIENT = "198.19.255.254"
PUBLIC = "198.18.0.20"


def _appliance(lab: Lab, address: str, group: int, subnet: int) -> Task:
    """A task that forwards, with its source/destination check off."""
    task = lab.task(address, group, subnet=subnet)
    with lab.store.transaction() as tx:
        row = tx.get(t.INTERFACES, _eni(task))
        assert row is not None
        tx.put(t.INTERFACES, msgspec.structs.replace(row, source_dest_check=False))
    lab.flush()
    _forward(lab, task, on=True)
    return task


def _eni(task: Task) -> str:
    return rows.identifier("eni", task.number)


def _forward(lab: Lab, task: Task, *, on: bool) -> None:
    done = lab.net.run(task.netns, "sh", "-c", f"echo {int(on)} > /proc/sys/net/ipv4/ip_forward")
    assert done.returncode == 0, done.stderr


def _table(lab: Lab, subnet: int, *routes: ec2.Route) -> None:
    """A route table of its own for a subnet."""
    with lab.store.transaction() as tx:
        tx.put(t.ROUTE_TABLES, rows.route_table(50 + subnet, *routes))
        tx.put(t.ROUTE_TABLE_ASSOCIATIONS, rows.association(50 + subnet, 50 + subnet, subnet=subnet))
    lab.flush()


def _edge(lab: Lab, *routes: ec2.Route) -> None:
    """A route table for what comes in through the internet gateway."""
    with lab.store.transaction() as tx:
        tx.put(t.ROUTE_TABLES, rows.route_table(60, *routes))
        tx.put(t.ROUTE_TABLE_ASSOCIATIONS, rows.association(60, 60, gateway=rows.IGW))
    lab.flush()


def _behind_an_appliance(lab: Lab) -> tuple[Task, Task]:
    """Web server in subnet 2, appliance in subnet 3; both directions of its internet traffic lead through it."""
    lab.vpc(subnets=3)
    lab.gateway()
    lab.group(2, rows.rule(1, 2, ports=(80, 81), cidr=f"{CLIENT}/32"))
    lab.group(3, rows.rule(2, 3, ports=(80, 80), cidr="0.0.0.0/0"))
    web = lab.task("10.0.2.20", 2, subnet=2, public=PUBLIC)
    appliance = _appliance(lab, "10.0.3.10", 3, subnet=3)
    _table(lab, 2, rows.route("0.0.0.0/0", "eni", _eni(appliance)))
    _table(lab, 3, rows.route("0.0.0.0/0", "igw", rows.IGW))
    _edge(lab, rows.route("10.0.2.0/24", "eni", _eni(appliance)))
    return web, appliance


def _passed(lab: Lab, link: str) -> int:
    """Packets that the router has sent out of a link."""
    words = lab.net.run(router(), "ip", "-s", "-j", "link", "show", link).stdout
    return int(msgspec.json.decode(words)[0]["stats64"]["tx"]["packets"])


def test_traffic_from_the_internet_goes_through_the_appliance_and_back(lab: Lab) -> None:
    web, appliance = _behind_an_appliance(lab)
    with lab.net.listen(web.netns, web.address, 80):
        before = _passed(lab, appliance.link)
        assert lab.net.tcp("internet", PUBLIC, 80) == CLIENT, "the server sees the client's own address"
        # The server's end comes when its thread has read the client's, which is after the echo.
        wait_until(
            lambda: _passed(lab, appliance.link) - before >= 8,
            10.0,
            "SYN, its answer, data, echo and the ends do not pass both ways",
        )
        _forward(lab, appliance, on=False)
        assert lab.net.tcp("internet", PUBLIC, 80) is None


def test_without_the_edge_table_it_is_not_asked_on_the_way_in(lab: Lab) -> None:
    web, appliance = _behind_an_appliance(lab)
    with lab.store.transaction() as tx:
        tx.delete(t.ROUTE_TABLE_ASSOCIATIONS, rows.identifier("rtbassoc", 60))
    _table(lab, 2, rows.route("0.0.0.0/0", "igw", rows.IGW))
    _forward(lab, appliance, on=False)
    with lab.net.listen(web.netns, web.address, 80):
        assert lab.net.tcp("internet", PUBLIC, 80) == CLIENT


@pytest.mark.parametrize("missing", [1, 2], ids=["the-servers", "the-appliances"])
def test_both_groups_decide(lab: Lab, missing: int) -> None:
    web, _ = _behind_an_appliance(lab)
    with lab.net.listen(web.netns, web.address, 80), lab.net.listen(web.netns, web.address, 81):
        assert lab.net.tcp("internet", PUBLIC, 80) == CLIENT
        assert lab.net.tcp("internet", PUBLIC, 81) is None, "the appliance's group has no rule for it"
        lab.drop_rules(missing)
        assert lab.net.tcp("internet", PUBLIC, 80) is None


def test_other_subnets_are_reached_directly(lab: Lab) -> None:
    _, appliance = _behind_an_appliance(lab)
    other = lab.task("10.0.1.10", 2, public="198.18.0.30")
    _forward(lab, appliance, on=False)
    with lab.net.listen(other.netns, other.address, 80):
        assert lab.net.tcp("internet", "198.18.0.30", 80) == CLIENT


def test_an_edge_route_to_an_interface_that_is_gone_is_a_black_hole(lab: Lab) -> None:
    web, appliance = _behind_an_appliance(lab)
    lab.stop(appliance)
    _table(lab, 2, rows.route("0.0.0.0/0", "igw", rows.IGW))
    with lab.net.listen(web.netns, web.address, 80):
        assert lab.net.tcp("internet", PUBLIC, 80) is None
        _edge(lab)
        assert lab.net.tcp("internet", PUBLIC, 80) == CLIENT


def test_the_edge_table_may_lead_the_whole_vpc_through_the_appliance(lab: Lab) -> None:
    web, appliance = _behind_an_appliance(lab)
    with lab.store.transaction() as tx:
        table = rows.route_table(60)
        tx.put(
            t.ROUTE_TABLES,
            msgspec.structs.replace(table, routes=(rows.route("10.0.0.0/16", "eni", _eni(appliance)),)),
        )
    lab.flush()
    with lab.net.listen(web.netns, web.address, 80):
        assert lab.net.tcp("internet", PUBLIC, 80) == CLIENT
        _forward(lab, appliance, on=False)
        assert lab.net.tcp("internet", PUBLIC, 80) is None


# ── routes inside the VPC ────────────────────────────────────────────────────────────────────────────────────────────


def _three_subnets(lab: Lab) -> tuple[Task, Task, Task]:
    """A client in subnet 1, a server in 2, an appliance in 4; everything within the VPC is admitted."""
    lab.vpc(subnets=5)
    lab.group(1, rows.rule(1, 1, protocol="-1", cidr="10.0.0.0/16"))
    return lab.task("10.0.1.10", 1), lab.task("10.0.2.10", 1, subnet=2), _appliance(lab, "10.0.4.10", 1, subnet=4)


def test_a_local_route_that_is_pointed_at_an_interface_leads_every_subnet_through_it(lab: Lab) -> None:
    client, server, appliance = _three_subnets(lab)
    neighbour = lab.task("10.0.1.11", 1)
    local = rows.route("10.0.0.0/16", "eni", _eni(appliance))
    with lab.store.transaction() as tx:
        tx.put(t.ROUTE_TABLES, msgspec.structs.replace(rows.route_table(51), routes=(local,)))
        tx.put(t.ROUTE_TABLE_ASSOCIATIONS, rows.association(51, 51, subnet=1))
    lab.flush()
    with ExitStack() as stack:
        for task in (server, neighbour):
            stack.enter_context(lab.net.listen(task.netns, task.address, 80))
        assert lab.net.tcp(client.netns, server.address, 80) == client.address
        _forward(lab, appliance, on=False)
        assert lab.net.tcp(client.netns, server.address, 80) is None
        assert lab.net.tcp(client.netns, neighbour.address, 80) == client.address, "inside a subnet nothing is routed"
        _table(lab, 1)  # ReplaceRoute with LocalTarget
        assert lab.net.tcp(client.netns, server.address, 80) == client.address


def test_of_routes_inside_the_vpc_the_longest_prefix_counts(lab: Lab) -> None:
    client, server, dead = _three_subnets(lab)
    _forward(lab, dead, on=False)
    live = _appliance(lab, "10.0.5.10", 1, subnet=5)
    local = rows.route("10.0.0.0/16", "eni", _eni(dead))
    specific = rows.route("10.0.2.0/24", "eni", _eni(live))
    with lab.store.transaction() as tx:
        tx.put(t.ROUTE_TABLES, msgspec.structs.replace(rows.route_table(51), routes=(local, specific)))
        tx.put(t.ROUTE_TABLE_ASSOCIATIONS, rows.association(51, 51, subnet=1))
    lab.flush()
    with lab.net.listen(server.netns, server.address, 80):
        assert lab.net.tcp(client.netns, server.address, 80) == client.address
        _forward(lab, live, on=False)
        assert lab.net.tcp(client.netns, server.address, 80) is None, "no fall-back to a shorter prefix"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)], ids=["widest-first", "narrowest-first"])
def test_of_three_overlapping_routes_out_of_the_vpc_the_longest_counts(lab: Lab, order: tuple[int, ...]) -> None:
    lab.vpc()
    lab.gateway()
    lab.group(1)
    web = lab.task("10.0.1.10", 1, public=PUBLIC)
    nowhere = rows.identifier("nat", 9)
    routes = (
        rows.route("0.0.0.0/0", "nat", nowhere),
        rows.route("198.19.0.0/16", "igw", rows.IGW),
        rows.route("198.19.255.255/32", "nat", nowhere),
    )
    with lab.store.transaction() as tx:
        tx.put(t.ROUTE_TABLES, rows.route_table(1, *(routes[index] for index in order)))
    lab.flush()
    with lab.net.listen("internet", CLIENT, 80):
        assert lab.net.tcp(web.netns, CLIENT, 80) == PUBLIC
        with lab.store.transaction() as tx:
            narrow = rows.route(f"{CLIENT}/32", "nat", nowhere)
            tx.put(t.ROUTE_TABLES, rows.route_table(1, *(routes[index] for index in order), narrow))
        lab.flush()
        assert lab.net.tcp(web.netns, CLIENT, 80) is None


def _series(lab: Lab) -> tuple[Task, Task, Task, Task]:
    """Client (subnet 1) and server (2) with two appliances between them: first (3) and second (4), both ways."""
    lab.vpc(subnets=4)
    lab.group(1, rows.rule(1, 1, protocol="-1", cidr="10.0.0.0/16"))
    lab.group(3, rows.rule(3, 3, protocol="-1", cidr="10.0.0.0/16"))
    lab.group(4, rows.rule(4, 4, protocol="-1", cidr="10.0.0.0/16"))
    client, server = lab.task("10.0.1.10", 1), lab.task("10.0.2.10", 1, subnet=2)
    first, second = _appliance(lab, "10.0.3.10", 3, subnet=3), _appliance(lab, "10.0.4.10", 4, subnet=4)
    _table(lab, 1, rows.route("10.0.2.0/24", "eni", _eni(first)))
    _table(lab, 3, rows.route("10.0.2.0/24", "eni", _eni(second)))
    _table(lab, 2, rows.route("10.0.1.0/24", "eni", _eni(second)))
    _table(lab, 4, rows.route("10.0.1.0/24", "eni", _eni(first)))
    return client, server, first, second


@pytest.mark.parametrize("which", [0, 1], ids=["first", "second"])
def test_two_appliances_in_series_both_see_every_packet(lab: Lab, which: int) -> None:
    client, server, *appliances = _series(lab)
    with lab.net.listen(server.netns, server.address, 80):
        before = [_passed(lab, one.link) for one in appliances]
        assert lab.net.tcp(client.netns, server.address, 80) == client.address
        for one, start in zip(appliances, before, strict=True):
            wait_until(
                lambda link=one.link, start=start: _passed(lab, link) - start >= 8,  # type: ignore[misc]
                10.0,
                f"{one.address} does not see every packet",
            )
        _forward(lab, appliances[which], on=False)
        assert lab.net.tcp(client.netns, server.address, 80) is None


@pytest.mark.parametrize("rule", [3, 4], ids=["first", "second"])
def test_the_ingress_of_each_appliance_in_series_decides(lab: Lab, rule: int) -> None:
    client, server, *_ = _series(lab)
    with lab.net.listen(server.netns, server.address, 80):
        assert lab.net.tcp(client.netns, server.address, 80) == client.address
        lab.drop_rules(rule)
        assert lab.net.tcp(client.netns, server.address, 80) is None


@pytest.mark.parametrize("rule", [1003, 1004], ids=["first", "second"])
def test_the_egress_of_each_appliance_in_series_decides(lab: Lab, rule: int) -> None:
    client, server, *_ = _series(lab)
    with lab.net.listen(server.netns, server.address, 80):
        lab.drop_rules(rule)
        assert lab.net.tcp(client.netns, server.address, 80) is None


def test_a_flow_through_both_outlives_their_rules(lab: Lab) -> None:
    client, server, *_ = _series(lab)
    with (
        lab.net.listen(server.netns, server.address, 80),
        lab.net.flow(client.netns, server.address, 80) as talk,
    ):
        assert talk()
        lab.drop_rules(3, 4, 1003, 1004)
        assert talk()
        assert lab.net.tcp(client.netns, server.address, 80) is None


def test_the_walk_of_a_request_from_the_internet_is_what_the_document_says(lab: Lab) -> None:
    web, appliance = _behind_an_appliance(lab)
    vpc, gateway = rows.VPC, rows.IGW
    with lab.net.listen(web.netns, web.address, 80):
        request = walk(lab, "tcp dport 80 tcp flags & (syn | ack) == syn", lambda: lab.net.tcp("internet", PUBLIC, 80))
        answer = walk(
            lab, "tcp sport 80 tcp flags & (syn | ack) == (syn | ack)", lambda: lab.net.tcp("internet", PUBLIC, 80)
        )
    assert [(hop.owner, hop.goes, hop.end) for hop in request[1:]] == [
        (vpc, appliance.link, "accept"),
        (vpc, web.link, "accept"),
    ]
    assert [(hop.owner, hop.came) for hop in answer] == [(vpc, web.link), (vpc, appliance.link), (gateway, "vpc0")]
    check("edge-routes", WALK, {"The request": request, "The answer": answer})


WALK = f"""
# A packet's walk from the internet through an appliance

Written by `tests/network/test_edge_routes.py` from what the kernel told about real packets. The internet gateway has a
route table of its own, which leads 10.0.2.0/24 to the interface of an appliance, 10.0.3.10; the server's subnet sends
everything that leaves the VPC there too. The client {CLIENT} asks {PUBLIC}, which is the server 10.0.2.20.

The router sees each packet twice: on its way to the appliance, whose groups decide about receiving it, and on its way
from there, where the appliance's groups decide about sending it. Only the router's second passage ends at the server.
"""
