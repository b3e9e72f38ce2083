"""Beyond one VPC: internet and NAT gateways, gateway route tables, peering, prefix lists, IPv6."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import msgspec
import pytest
import rows
from reach_net import ANY, Net, codes, said

from ecsnet.logical.network import INTERNET_CLIENT, INTERNET_CLIENT6
from ecsnet.model import ec2
from ecsnet.reach.flow import CLIENTS, ICMP, PUBLIC_POOL, TCP
from ecsnet.services.ec2 import addressing

OUTSIDE = str(INTERNET_CLIENT)
WEB, WORKER = rows.identifier("eni", 1), rows.identifier("eni", 2)
NAT = rows.identifier("nat", 1)


@pytest.fixture
def net() -> Net:
    """A public web task 1 in subnet 1, a worker 2 in subnet 2, an internet gateway in the main table."""
    net = Net()
    net.group(1, rows.rule(1, 1, ports=(80, 80), cidr=ANY))
    net.task(1, "10.0.1.10", 1, 1, public="198.18.0.10")
    net.task(2, "10.0.2.10", 2, 1)
    net.internet_gateway()
    return net


@pytest.fixture
def natted(net: Net) -> Net:
    """Subnet 2 leaves through a NAT gateway in subnet 1."""
    net.put(
        rows.interface(4, "10.0.1.9", 1, owner=("nat", NAT), checked=False), rows.nat(1, 4, 1, "10.0.1.9"),
        rows.elastic_ip(1, "198.18.0.2", 4, "10.0.1.9"), rows.association(2, 2, subnet=2),
    )  # fmt: skip
    net.table(2, rows.route(ANY, "nat", NAT))
    return net


def test_the_client_is_the_one_that_the_network_has() -> None:
    assert CLIENTS == (INTERNET_CLIENT, INTERNET_CLIENT6)


# ── internet gateway ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_from_the_internet_and_to_it(net: Net) -> None:
    assert said(net.ask(None, "198.18.0.10")) == ("reachable", "")
    assert said(net.ask(None, "198.18.0.10", 81)) == ("blocked", f"D sg-in {WEB}")
    assert said(net.ask(WEB, OUTSIDE, 443)) == ("reachable", "")


def test_without_a_public_address_nothing_goes_out_or_comes_in(net: Net) -> None:
    answer = net.ask(WORKER, OUTSIDE)
    assert said(answer) == ("blocked", f"D igw-no-public {rows.IGW}")
    assert codes(answer) == [("forward", "GATEWAY", "IGW_PUBLIC_IP_ASSOCIATION_FOR_EGRESS")]
    assert said(net.ask(None, "10.0.2.10")) == ("blocked", "D route")
    assert said(net.ask(None, "198.18.0.99")) == ("blocked", "D route")


@pytest.mark.parametrize(("address", "block"), [("192.168.7.7", "RFC1918"), ("100.64.1.1", "RFC6598")])
def test_private_addresses_are_not_on_the_internet(net: Net, address: str, block: str) -> None:
    answer = net.ask(WEB, address)
    assert said(answer) == ("blocked", f"D igw-private {rows.IGW}")
    assert codes(answer) == [("forward", "GATEWAY", f"IGW_DESTINATION_ADDRESS_NOT_IN_{block}_EGRESS")]
    assert said(net.ask(None, "198.18.0.10", source_address=ip_address(address)))[1] == f"D igw-private {rows.IGW}"


def test_what_is_on_the_real_internet_nobody_knows(net: Net) -> None:
    answer = net.ask(WEB, "203.0.113.5", 443)
    assert (answer.verdict, answer.blockers) == ("unknown", ())
    assert said(net.ask(WEB, "198.18.0.77", 443)) == ("blocked", "D route")  # of the pool, so that nobody has it


def test_public_addresses_are_of_the_pool_that_interfaces_get_theirs_from() -> None:
    assert PUBLIC_POOL == addressing.PUBLIC_POOL


def test_a_public_server_needs_its_way_back(net: Net) -> None:
    net.internet_gateway(main=False)
    net.table(1)
    answer = net.ask(None, "198.18.0.10")
    assert said(answer) == ("blocked", "D route")
    assert codes(answer) == [("return", "ROUTE", "NO_ROUTE_TO_DESTINATION")]


def test_a_detached_gateway_is_a_black_hole(net: Net) -> None:
    net.put(rows.internet_gateway(vpc=None))
    assert codes(net.ask(WEB, OUTSIDE)) == [("forward", "ROUTE", "BAD_STATE_ROUTE")]
    assert said(net.ask(None, "198.18.0.10")) == ("blocked", "D route")


def test_within_the_vpc_by_public_address_the_sender_is_a_stranger(net: Net) -> None:
    net.group(3, rows.rule(3, 3, ports=(80, 80), peer=1))
    server = net.task(3, "10.0.2.30", 2, 3, public="198.18.0.30")
    assert said(net.ask(WEB, "10.0.2.30")) == ("reachable", "")
    assert said(net.ask(WEB, "198.18.0.30")) == ("blocked", f"D sg-in {server}")
    net.put(rows.rule(3, 3, ports=(80, 80), cidr="198.18.0.10/32"))
    assert said(net.ask(WEB, "198.18.0.30")) == ("reachable", "")


def test_an_elastic_ip_replaces_the_automatic_address(net: Net) -> None:
    net.put(rows.elastic_ip(5, "198.18.0.50", 1, "10.0.1.10"))
    assert said(net.ask(None, "198.18.0.50")) == ("reachable", "")
    assert said(net.ask(None, "198.18.0.10")) == ("blocked", "D route")


def test_a_gateway_route_table_leads_through_an_appliance(net: Net) -> None:
    net.group(5, rows.rule(5, 5, protocol="-1", cidr=ANY))
    middle = net.task(5, "10.0.3.10", 3, 5, checked=False)
    net.table(5, rows.route("10.0.1.0/24", "eni", middle))
    edge = msgspec.structs.replace(rows.association(5, 5), gateway=rows.IGW)
    net.put(edge)
    net.table(2, rows.route(ANY, "eni", middle))
    net.put(rows.association(2, 2, subnet=1))
    answer = net.ask(None, "198.18.0.10")
    assert said(answer) == ("reachable", "")
    assert [step.component for step in answer.steps if step.stage.name == "SG_IN"].count(middle) == 2
    net.task(5, "10.0.3.10", 3, 5)
    assert said(net.ask(None, "198.18.0.10")) == ("blocked", "D dstcheck")


# ── NAT gateway ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_out_through_a_nat_gateway_and_never_in(natted: Net) -> None:
    assert said(natted.ask(WORKER, OUTSIDE, 443)) == ("reachable", "")
    assert said(natted.ask(WORKER, OUTSIDE, protocol=ICMP)) == ("reachable", "")
    assert said(natted.ask(None, "198.18.0.2")) == ("blocked", f"D nat-in {NAT}")
    assert said(natted.ask(WORKER, OUTSIDE, protocol=50)) == ("blocked", f"D nat-protocol {NAT}")


def test_a_nat_gateway_uses_the_acl_and_table_of_its_own_subnet(natted: Net) -> None:
    natted.put(
        rows.acl(5, rows.entry(100), rows.entry(100, egress=True, cidr="10.0.0.0/8")), rows.acl_association(1, 5)
    )
    assert said(natted.ask(WORKER, OUTSIDE)) == ("blocked", f"D {rows.identifier('acl', 5)}/out/*")
    natted.put(rows.acl_association(1, 1))
    natted.table(1)
    assert codes(natted.ask(WORKER, OUTSIDE)) == [("forward", "ROUTE", "NO_ROUTE_TO_DESTINATION")]


def test_a_nat_gateway_without_elastic_ip_ends_at_the_internet_gateway(natted: Net) -> None:
    natted.drop(rows.elastic_ip(1, "198.18.0.2"))
    assert said(natted.ask(WORKER, OUTSIDE)) == ("blocked", f"D igw-no-public {rows.IGW}")


@pytest.mark.parametrize("state", ["deleting", "failed"])
def test_a_nat_gateway_that_is_gone_is_a_black_hole(natted: Net, state: str) -> None:
    natted.put(rows.nat(1, 4, 1, "10.0.1.9", state))
    assert codes(natted.ask(WORKER, OUTSIDE)) == [("forward", "ROUTE", "BAD_STATE_ROUTE")]


def test_a_nat_gateway_serves_its_own_vpc_only(natted: Net) -> None:
    natted.task(2, "10.0.2.10", 2, 1, checked=False)
    answer = natted.ask(WORKER, OUTSIDE, source_address=ip_address("172.16.0.5"))
    assert said(answer) == ("blocked", f"D nat-source {NAT}")


# ── prefix lists ─────────────────────────────────────────────────────────────────────────────────────────────────────


def prefix_list(*blocks: str) -> ec2.PrefixList:
    return ec2.PrefixList(
        id="pl-1", account=rows.ACCOUNT, region=rows.REGION, name="x", family=4, max_entries=10,
        entries=tuple(ec2.PrefixListEntry(cidr=ip_network(block)) for block in blocks),
    )  # fmt: skip


def test_a_route_for_a_prefix_list_wins_when_longer_and_loses_a_tie(natted: Net) -> None:
    natted.put(prefix_list("198.19.0.0/16"))
    listed = ec2.Route(prefix_list="pl-1", target=ec2.RouteTarget(kind="igw", id=rows.IGW))
    natted.table(2, rows.route(ANY, "nat", NAT), listed)
    assert said(natted.ask(WORKER, OUTSIDE)) == ("blocked", f"D igw-no-public {rows.IGW}")
    natted.table(2, listed, rows.route("198.19.0.0/16", "nat", NAT))
    assert said(natted.ask(WORKER, OUTSIDE)) == ("reachable", "")


def test_a_rule_for_a_prefix_list(net: Net) -> None:
    net.put(msgspec.structs.replace(rows.rule(1, 1, ports=(80, 80)), prefix_list="pl-1"))
    assert net.ask(WORKER, "10.0.1.10").verdict == "blocked"
    net.put(prefix_list("10.0.2.0/24"))
    assert net.ask(WORKER, "10.0.1.10").verdict == "reachable"


# ── peering ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def peering(number: int, one: int, other: int, status: str = "active", region: str = rows.REGION) -> object:
    def side(vpc: int, region: str) -> ec2.PeeringSide:
        return ec2.PeeringSide(account=rows.ACCOUNT, region=region, vpc=rows.identifier("vpc", vpc))

    return ec2.VpcPeeringConnection(
        id=rows.identifier("pcx", number), requester=side(one, rows.REGION), accepter=side(other, region),
        status=status, message="", created=0.0,  # type: ignore[arg-type]
    )  # fmt: skip


PCX = rows.identifier("pcx", 1)


@pytest.fixture
def peered(net: Net) -> Net:
    """VPC 2 (10.1.0.0/16) with server 20, whose group 20 admits the web task's group 1."""
    net.vpc(2, "10.1", 2)
    net.group(20, rows.rule(20, 20, ports=(80, 80), peer=1, peer_vpc=1), vpc=2)
    net.task(20, "10.1.1.10", 11, 20, vpc=2)
    net.put(peering(1, 1, 2))  # type: ignore[arg-type]
    net.table(1, rows.route("10.1.0.0/16", "pcx", PCX), rows.route(ANY, "igw", rows.IGW))
    net.table(11, rows.route("10.0.0.0/16", "pcx", PCX), vpc=2)
    return net


def test_peered_vpcs_reach_each_other_and_know_each_others_groups(peered: Net) -> None:
    assert said(peered.ask(WEB, "10.1.1.10")) == ("reachable", "")
    assert said(peered.ask(WEB, "10.1.1.99")) == ("blocked", "D route")
    peered.put(peering(1, 1, 2, region="eu-west-1"))  # type: ignore[arg-type]
    assert said(peered.ask(WEB, "10.1.1.10")) == ("blocked", f"D sg-in {rows.identifier('eni', 20)}")


def test_a_peering_needs_routes_on_both_sides(peered: Net) -> None:
    peered.table(11, vpc=2)
    assert codes(peered.ask(WEB, "10.1.1.10")) == [("return", "ROUTE", "NO_ROUTE_TO_DESTINATION")]


def test_a_peering_that_is_not_active_is_a_black_hole(peered: Net) -> None:
    peered.put(peering(1, 1, 2, status="deleted"))  # type: ignore[arg-type]
    assert codes(peered.ask(WEB, "10.1.1.10")) == [("forward", "ROUTE", "BAD_STATE_ROUTE")]


def test_a_peering_leads_to_the_other_vpc_and_no_further(peered: Net) -> None:
    peered.table(11, rows.route(ANY, "pcx", PCX), vpc=2)
    answer = peered.ask(rows.identifier("eni", 20), OUTSIDE)
    assert said(answer) == ("blocked", f"D pcx {PCX}")
    assert codes(answer) == [("forward", "PEERING", "PCX_REQUIRES_ADDRESS_IN_VPC_CIDR")]


def test_the_other_vpc_s_resolver_is_not_reached(peered: Net) -> None:
    assert said(peered.ask(WEB, "10.1.0.2", 53)) == ("blocked", "D service")


# ── IPv6 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

ALL6 = ip_network("::/0")


@pytest.fixture
def dual(net: Net) -> Net:
    """Tasks 1 and 2 with IPv6 addresses; groups and ACLs are open for it."""
    block = ec2.CidrAssociation(id="a6", cidr=IPv6Network("2001:db8:1::/56"))
    net.put(
        msgspec.structs.replace(rows.vpc(1), ipv6_cidrs=(block,)),
        rows.acl(
            1, rows.entry(100), rows.entry(101, cidr="::/0"), rows.entry(100, egress=True),
            rows.entry(101, egress=True, cidr="::/0"), default=True,
        ),
        rows.rule(6, 1, ports=(80, 80), cidr="::/0"), rows.rule(7, 1, egress=True, protocol="-1", cidr="::/0"),
    )  # fmt: skip
    for number in (1, 2):
        own = IPv6Network(f"2001:db8:1:{number}::/64")
        subnet = rows.subnet(number, f"10.0.{number}.0/24")
        net.put(msgspec.structs.replace(subnet, ipv6_cidr=ec2.CidrAssociation(id="s6", cidr=own)))
        owner = ("task", rows.task_arn(number))
        held = rows.interface(number, f"10.0.{number}.10", number, groups=(1,), owner=owner)
        net.put(msgspec.structs.replace(held, ipv6_ips=(IPv6Address(f"2001:db8:1:{number}::10"),)))
    return net


def test_ipv6_inside_the_vpc(dual: Net) -> None:
    assert said(dual.ask(WEB, "2001:db8:1:2::10")) == ("reachable", "")
    assert said(dual.ask(WEB, "2001:db8:1:2::11")) == ("blocked", "D route")
    dual.drop(rows.rule(6, 1))
    assert said(dual.ask(WEB, "2001:db8:1:2::10")) == ("blocked", f"D sg-in {WORKER}")


def test_ipv6_has_routes_of_its_own(dual: Net) -> None:
    client = str(INTERNET_CLIENT6)
    assert codes(dual.ask(WEB, client)) == [("forward", "ROUTE", "NO_ROUTE_TO_DESTINATION")]
    assert codes(dual.ask(None, "2001:db8:1:1::10")) == [("return", "ROUTE", "NO_ROUTE_TO_DESTINATION")]
    dual.table(1, rows.route("::/0", "igw", rows.IGW))
    assert said(dual.ask(WEB, client)) == ("reachable", "")
    assert said(dual.ask(None, "2001:db8:1:1::10")) == ("reachable", "")
    assert dual.ask(WEB, "2001:db8:ffff::1").verdict == "unknown"
    assert said(dual.ask(WEB, "fd00:ec2::253", 53)) == ("reachable", "")
    assert said(dual.ask(WEB, "fd00:ec2::1")) == ("blocked", "D route")


def test_an_egress_only_gateway_lets_answers_in_and_nothing_else(dual: Net) -> None:
    gateway = ec2.EgressOnlyInternetGateway(id="eigw-1", account=rows.ACCOUNT, region=rows.REGION, vpc=rows.VPC)
    dual.put(gateway, rows.association(2, 2, subnet=2))
    dual.table(2, rows.route("::/0", "eigw", "eigw-1"))
    dual.table(1, rows.route("::/0", "igw", rows.IGW))
    assert said(dual.ask(WORKER, str(INTERNET_CLIENT6))) == ("reachable", "")
    assert said(dual.ask(None, "2001:db8:1:2::10")) == ("blocked", "D eigw eigw-1")
    assert said(dual.ask(None, "2001:db8:1:1::10")) == ("reachable", "")


def test_a_task_without_ipv6_cannot_send_it(net: Net) -> None:
    assert codes(net.ask(WEB, "2001:db8:1:2::10")) == [("forward", "SOURCE", "ECSNET_NO_ADDRESS")]


# ── the rest ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_delegated_prefixes_belong_to_their_interface(net: Net) -> None:
    row = rows.interface(2, "10.0.2.10", 2, groups=(1,), owner=("task", rows.task_arn(2)))
    assert said(net.ask(WEB, "10.0.2.35")) == ("blocked", "D route")
    net.put(msgspec.structs.replace(row, ipv4_prefixes=(IPv4Network("10.0.2.32/28"),)))
    assert said(net.ask(WEB, "10.0.2.35")) == ("reachable", "")


@pytest.mark.parametrize(("state", "verdict"), [("running", "reachable"), ("stopped", "blocked")])
def test_an_instance_holds_its_interfaces_while_it_runs(net: Net, state: str, verdict: str) -> None:
    net.put(
        rows.interface(8, "10.0.2.80", 2, groups=(1,), owner=("instance", "i-8")),
        ec2.Instance(
            id="i-8", account=rows.ACCOUNT, region=rows.REGION, az="us-east-1a", vpc=rows.VPC, launched=0.0,
            subnet=rows.identifier("subnet", 2), image="ami-1", type="t3.small", state=state, reservation="r-1",  # type: ignore[arg-type]
        ),
    )  # fmt: skip
    assert net.ask(WEB, "10.0.2.80", 80, TCP).verdict == verdict
