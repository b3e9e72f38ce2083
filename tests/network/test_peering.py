"""VPC peering: what passes between two VPCs, and what never does.

VPC 1 is 10.0.0.0/16 with a task 10.0.1.10, VPC 2 is 10.1.0.0/16 with 10.1.1.10, and so on.
"""

from __future__ import annotations

import json
import sys

import pytest
import rows
from test_gateways import PATH_MTU
from vpc_lab import Lab, Task, router
from walks import check, walk

from ecsnet.model import tables as t

pytestmark = pytest.mark.network

WALKS = """
# A packet's walk through a VPC peering

Written by `tests/network/test_peering.py` from what the kernel told about real packets. VPC 1 is 10.0.0.0/16, VPC 2 is
10.1.0.0/16; they are peered, and each has a route to the other. A security group of each admits 10.0.0.0/8.

The link between the two routers (`p…`) is an uplink of both. The guard asks first whether a packet is between the two
networks. The source's network ACL and groups decide in the source's router, the destination's in its own.
"""


def vpc(lab: Lab, number: int, block: int | None = None) -> Task:
    """A VPC 10.<block>.0.0/16 with one subnet, group `number` open to the world, and one task in it."""
    base, vpc_id = 10 * (number - 1), rows.identifier("vpc", number)
    prefix = f"10.{number - 1 if block is None else block}"
    with lab.store.transaction() as tx:
        tx.put(t.VPCS, rows.vpc(number, f"{prefix}.0.0/16"))
        tx.put(t.ROUTE_TABLES, rows.route_table(base + 1, vpc=vpc_id))
        tx.put(t.ROUTE_TABLE_ASSOCIATIONS, rows.association(base + 1, base + 1, vpc=vpc_id, main=True))
        tx.put(t.ACLS, rows.acl(base + 1, rows.entry(100), rows.entry(100, egress=True), vpc=vpc_id, default=True))
        tx.put(t.SUBNETS, rows.subnet(base + 1, f"{prefix}.1.0/24", vpc_id))
        tx.put(t.ACL_ASSOCIATIONS, rows.acl_association(base + 1, base + 1, vpc_id))
    lab.group(number, rows.rule(number, number, protocol="-1", cidr="10.0.0.0/8"), vpc=number)
    return lab.task(f"{prefix}.1.10", number, subnet=base + 1, vpc=number)


def routes(lab: Lab, number: int, *ways: tuple[str, int]) -> None:
    """The main table of a VPC: (destination, peering) …"""
    table = rows.route_table(
        10 * (number - 1) + 1,
        *(rows.route(to, "pcx", rows.identifier("pcx", peering)) for to, peering in ways),
        vpc=rows.identifier("vpc", number),
    )
    with lab.store.transaction() as tx:
        tx.put(t.ROUTE_TABLES, table)
    lab.flush()


def peer(lab: Lab, number: int, one: int, other: int, status: str = "active", region: str = rows.REGION) -> None:
    with lab.store.transaction() as tx:
        tx.put(t.PEERINGS, rows.peering(number, one, other, status, region=region))  # type: ignore[arg-type]
    lab.flush()


def two(lab: Lab, region: str = rows.REGION) -> tuple[Task, Task]:
    """VPCs 1 and 2, peered, with routes on both sides."""
    one, other = vpc(lab, 1), vpc(lab, 2)
    peer(lab, 1, 1, 2, region=region)
    routes(lab, 1, ("10.1.0.0/16", 1))
    routes(lab, 2, ("10.0.0.0/16", 1))
    return one, other


def received(lab: Lab, task: Task, counter: str = "Icmp InEchos") -> int:
    """What a task's own stack has counted, by the names of /proc/net/snmp: echo requests, unless told otherwise."""
    protocol, name = counter.split()
    done = lab.net.run(task.netns, "cat", "/proc/net/snmp")
    names, values = (line.split() for line in done.stdout.splitlines() if line.startswith(f"{protocol}:"))
    return int(values[names.index(name)])


def dropped(lab: Lab, number: int, prefix: str) -> int:
    """Packets that the rules of a router dropped under a log prefix."""
    done = lab.net.run(router(number), "nft", "-j", "list", "table", "inet", "ecs")
    found = 0
    for item in json.loads(done.stdout)["nftables"]:
        words = item.get("rule", {}).get("expr", ())
        if any(word.get("log", {}).get("prefix") == prefix for word in words):
            found += sum(word["counter"]["packets"] for word in words if "counter" in word)
    return found


def test_with_a_route_on_one_side_the_request_arrives_and_the_reply_is_lost(lab: Lab) -> None:
    one, other = two(lab)
    routes(lab, 2)
    assert not lab.net.ping(one.netns, other.address)
    assert received(lab, other) == 1
    routes(lab, 2, ("10.0.0.0/16", 1))
    assert lab.net.ping(one.netns, other.address)


def test_with_routes_on_both_sides_each_reaches_the_other_under_its_own_address(lab: Lab) -> None:
    one, other = two(lab)
    with lab.net.listen(other.netns, other.address, 80), lab.net.listen(one.netns, one.address, 80):
        assert lab.net.tcp(one.netns, other.address, 80) == one.address
        assert lab.net.tcp(other.netns, one.address, 80) == other.address


def test_without_a_peering_or_before_it_is_accepted_nothing_passes(lab: Lab) -> None:
    one, other = two(lab)
    peer(lab, 1, 1, 2, "pending-acceptance")
    assert not lab.net.ping(one.netns, other.address)
    assert received(lab, other) == 0
    peer(lab, 1, 1, 2)
    assert lab.net.ping(one.netns, other.address)
    assert received(lab, other) == 1


def test_deleting_the_peering_cuts_a_flow(lab: Lab) -> None:
    one, other = two(lab)
    with lab.net.listen(other.netns, other.address, 80), lab.net.flow(one.netns, other.address, 80) as alive:
        assert alive()
        peer(lab, 1, 1, 2, "deleted")
        assert not alive()


def test_a_group_of_the_peer_admits_its_members_only_and_a_stale_rule_nobody(lab: Lab) -> None:
    one, other = two(lab)
    lab.group(5)
    stranger = lab.task("10.0.1.11", 5)
    lab.drop_rules(2)
    lab.put_rules(rows.rule(2, 2, ports=(80, 80), peer=1, peer_vpc=1))
    with lab.net.listen(other.netns, other.address, 80):
        assert lab.net.tcp(one.netns, other.address, 80) == one.address
        assert lab.net.tcp(stranger.netns, other.address, 80) is None
        newcomer = lab.task("10.0.1.12", 1)
        assert lab.net.tcp(newcomer.netns, other.address, 80) == newcomer.address
        lab.stop(newcomer)
        peer(lab, 1, 1, 2, "deleted")
        peer(lab, 2, 2, 1)
        routes(lab, 1, ("10.1.0.0/16", 2))
        routes(lab, 2, ("10.0.0.0/16", 2))
        assert lab.net.tcp(one.netns, other.address, 80) == one.address  # the same VPCs again: the rule revives
        peer(lab, 2, 2, 1, region="eu-west-1")
        assert lab.net.tcp(one.netns, other.address, 80) is None  # no group references between regions
        lab.put_rules(rows.rule(3, 2, ports=(80, 80), cidr="10.0.0.0/16"))
        assert lab.net.tcp(one.netns, other.address, 80) == one.address


def test_peering_is_not_transitive_whatever_the_route_tables_say(lab: Lab) -> None:
    one, middle = two(lab)
    far = vpc(lab, 3)
    peer(lab, 2, 2, 3)
    routes(lab, 1, ("10.1.0.0/16", 1), ("10.2.0.0/16", 1))
    routes(lab, 2, ("10.0.0.0/16", 1), ("10.2.0.0/16", 2))
    routes(lab, 3, ("10.1.0.0/16", 2), ("10.0.0.0/16", 2))
    assert lab.net.ping(middle.netns, far.address)
    assert received(lab, far) == 1
    assert not lab.net.ping(one.netns, far.address)
    assert received(lab, far) == 1
    # The destination is no address of the peer, so the sender's own end of the peering ends it.
    assert dropped(lab, 1, f"D pcx {rows.identifier('pcx', 1)}") > 0
    assert dropped(lab, 2, f"D pcx {rows.identifier('pcx', 1)}") == 0


def test_the_peers_end_guards_too(lab: Lab) -> None:
    """A source that is no address of the peer's VPC, which an appliance may send, does not come in."""
    one, other = two(lab)
    appliance = lab.task("10.0.1.20", 1)
    with lab.store.transaction() as tx:
        row = tx.get(t.INTERFACES, rows.identifier("eni", appliance.number))
        assert row is not None
        owner = ("task", rows.task_arn(appliance.number))
        rows.put_interface(
            tx,
            rows.interface(appliance.number, appliance.address, 1, groups=(1,), owner=owner, checked=False),
        )
    lab.flush()
    assert lab.net.run(appliance.netns, "ip", "addr", "add", "192.168.7.7/32", "dev", "lo").returncode == 0
    with lab.net.listen(other.netns, other.address, 80, "udp"):
        assert lab.net.udp(appliance.netns, other.address, 80) == appliance.address
        assert lab.net.udp(one.netns, other.address, 80) == one.address
        before = received(lab, other, "Udp InDatagrams")
        assert lab.net.udp(appliance.netns, other.address, 80, source="192.168.7.7") is None
        assert received(lab, other, "Udp InDatagrams") == before
    assert dropped(lab, 1, f"D pcx {rows.identifier('pcx', 1)}") == 1


def test_an_overlapping_third_vpc_stays_apart(lab: Lab) -> None:
    """VPCs 1 and 3 have the same block and the same task address; only 1 has a way back from 2."""
    one, other = two(lab)
    twin = vpc(lab, 3, block=0)
    peer(lab, 2, 2, 3)
    routes(lab, 3, ("10.1.0.0/16", 2))
    with (
        lab.net.listen(one.netns, one.address, 80),
        lab.net.listen(twin.netns, twin.address, 80),
        lab.net.listen(other.netns, other.address, 80),
    ):
        assert lab.net.tcp(one.netns, other.address, 80) == one.address
        assert lab.net.tcp(other.netns, one.address, 80) == other.address
        assert received(lab, twin, "Tcp PassiveOpens") == 0
        assert lab.net.tcp(twin.netns, other.address, 80) is None  # the reply goes to VPC 1, as its route says


def test_a_group_of_the_peer_is_not_mixed_up_with_another_vpc_of_the_same_addresses(lab: Lab) -> None:
    one, other = two(lab)
    twin = vpc(lab, 3, block=0)
    peer(lab, 2, 2, 3)
    routes(lab, 3, ("10.1.0.0/16", 2))
    lab.drop_rules(2)
    lab.put_rules(rows.rule(2, 2, protocol="icmp", ports=(8, 0), peer=1, peer_vpc=1))
    assert lab.net.ping(one.netns, other.address)
    assert one.address == twin.address
    assert not lab.net.ping(twin.netns, other.address)
    assert received(lab, other) == 1
    lab.put_rules(rows.rule(3, 2, protocol="udp", ports=(53, 53), peer=3, peer_vpc=3))
    with lab.net.listen(other.netns, other.address, 53, "udp"):
        assert lab.net.udp(twin.netns, other.address, 53) is None  # it arrives, and its answer goes to VPC 1
        assert received(lab, other, "Udp InDatagrams") == 1
        assert lab.net.udp(one.netns, other.address, 53) is None
        assert received(lab, other, "Udp InDatagrams") == 1


@pytest.mark.parametrize(("region", "size"), [(rows.REGION, 9001), ("eu-west-1", 8500)])
def test_packets_have_up_to_9001_bytes_and_8500_between_regions(lab: Lab, region: str, size: int) -> None:
    """The sender is told by its own router when the path is narrower than its link; no rule is needed for that."""
    one, other = two(lab, region)
    with lab.net.listen(other.netns, other.address, 53, "udp"):
        for payload, answer in ((size - 28, "answered True"), (size - 27, f"OSError {size}")):
            sender = (sys.executable, "-c", PATH_MTU, other.address, "53", str(payload))
            done = lab.net.run(one.netns, *sender)
            assert done.stdout.strip() == answer, done.stderr


@pytest.mark.parametrize("side", [1, 2])
def test_the_network_acl_of_either_side_decides_in_its_own_router(lab: Lab, side: int) -> None:
    one, other = two(lab)
    base = 10 * (side - 1) + 1
    rule = rows.entry(90, egress=side == 1, allow=False, protocol="6", cidr=f"10.{2 - side}.0.0/16", ports=(80, 80))
    acl = rows.acl(
        base, rows.entry(100), rule, rows.entry(100, egress=True), vpc=rows.identifier("vpc", side), default=True
    )
    with lab.net.listen(other.netns, other.address, 80), lab.net.listen(other.netns, other.address, 81):
        assert lab.net.tcp(one.netns, other.address, 80) == one.address
        with lab.store.transaction() as tx:
            tx.put(t.ACLS, acl)
        lab.flush()
        assert lab.net.tcp(one.netns, other.address, 80) is None
        assert lab.net.tcp(one.netns, other.address, 81) == one.address
    direction = "out" if side == 1 else "in"
    assert dropped(lab, side, f"D {rows.identifier('acl', base)}/{direction}/90") > 0


def test_the_walk_of_a_ping_is_what_the_document_says(lab: Lab) -> None:
    one, other = two(lab)
    far = vpc(lab, 3)
    peer(lab, 2, 2, 3)
    routes(lab, 1, ("10.1.0.0/16", 1), ("10.2.0.0/16", 1))
    request = walk(lab, "icmp type echo-request", lambda: lab.net.ping(one.netns, other.address))
    answer = walk(lab, "icmp type echo-reply", lambda: lab.net.ping(one.netns, other.address))
    through = walk(lab, "icmp type echo-request", lambda: lab.net.ping(one.netns, far.address))
    vpcs = [rows.identifier("vpc", number) for number in (1, 2)]
    assert [(hop.owner, hop.end) for hop in request] == [(vpc_id, "accept") for vpc_id in vpcs]
    assert [(hop.owner, hop.end) for hop in answer] == [(vpc_id, "accept") for vpc_id in reversed(vpcs)]
    assert [(hop.owner, hop.end) for hop in through] == [(vpcs[0], f"D pcx {rows.identifier('pcx', 1)}")]
    check(
        "peering",
        WALKS,
        {
            "The request, 10.0.1.10 to 10.1.1.10": request,
            "The answer": answer,
            "Not transitive: 10.0.1.10 to 10.2.1.10, an address of a VPC that is peered with the peer": through,
        },
    )


def test_ipv6_passes_where_both_sides_route_it_and_only_between_the_two_blocks(lab: Lab) -> None:
    """VPC n has 2001:db8:8000:n00::/56 and a task ::a in its first subnet; VPC 3 is peered with 2 alone."""
    tasks = {}
    for number in (1, 2, 3):
        vpc(lab, number)
        vpc_id, base = rows.identifier("vpc", number), 10 * (number - 1) + 1
        block = f"2001:db8:8000:{number}00::"
        acl = (
            rows.entry(rule, egress=egress, cidr=cidr)
            for egress in (False, True)
            for rule, cidr in ((100, "0.0.0.0/0"), (101, "::/0"))
        )
        with lab.store.transaction() as tx:
            tx.put(t.VPCS, rows.vpc(number, f"10.{number - 1}.0.0/16", ipv6=f"{block}/56"))
            tx.put(t.SUBNETS, rows.subnet(base, f"10.{number - 1}.1.0/24", vpc_id, ipv6=f"{block}/64"))
            tx.put(t.ACLS, rows.acl(base, *acl, vpc=vpc_id, default=True))
        lab.put_rules(
            rows.rule(100 + number, number, egress=True, protocol="-1", cidr="::/0"),
            rows.rule(200 + number, number, protocol="-1", cidr="2001:db8:8000::/48"),
        )
        tasks[number] = lab.task(f"10.{number - 1}.1.20", number, subnet=base, vpc=number, ipv6=(f"{block}a",))
    peer(lab, 1, 1, 2)
    peer(lab, 2, 2, 3)
    one, two, three = (f"2001:db8:8000:{number}00::" for number in (1, 2, 3))
    routes(lab, 1, (f"{two}/56", 1), (f"{three}/56", 1))
    with lab.net.listen(tasks[2].netns, f"{two}a", 80), lab.net.listen(tasks[3].netns, f"{three}a", 80):
        assert lab.net.tcp(tasks[1].netns, f"{two}a", 80) is None
        routes(lab, 2, (f"{one}/56", 1), (f"{three}/56", 2))
        routes(lab, 3, (f"{two}/56", 2), (f"{one}/56", 2))
        assert lab.net.tcp(tasks[1].netns, f"{two}a", 80) == f"{one}a"
        assert lab.net.tcp(tasks[2].netns, f"{three}a", 80) == f"{two}a"
        assert lab.net.tcp(tasks[1].netns, f"{three}a", 80) is None
    assert dropped(lab, 1, f"D pcx {rows.identifier('pcx', 1)}") > 0
