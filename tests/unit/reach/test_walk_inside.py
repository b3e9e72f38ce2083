"""Inside one VPC: checks, groups, ACLs, routes, appliances, services. Every outcome, with its opposite."""

from __future__ import annotations

import msgspec
import pytest
import rows
from reach_net import ANY, Net, codes, said

from ecsnet.model import ecs
from ecsnet.reach.flow import ICMP, TCP, UDP, Stage

SGR = {number: rows.identifier("sgr", number) for number in range(1, 40)}


@pytest.fixture
def net() -> Net:
    """Client 1 in subnet 1 (group 1), servers 2 in subnet 2 and 3 in subnet 1 (group 2, port 80 from group 1)."""
    net = Net()
    net.group(1)
    net.group(2, rows.rule(1, 2, ports=(80, 80), peer=1))
    net.task(1, "10.0.1.10", 1, 1)
    net.task(2, "10.0.2.10", 2, 2)
    net.task(3, "10.0.1.11", 1, 2)
    return net


CLIENT, SERVER = rows.identifier("eni", 1), rows.identifier("eni", 2)


def test_a_flow_that_works_names_the_rules_that_can_have_admitted_it(net: Net) -> None:
    net.put(rows.rule(2, 2, ports=(80, 90), cidr="10.0.0.0/16"))
    answer = net.ask(CLIENT, "10.0.2.10")
    assert said(answer) == ("reachable", "")
    assert answer.egress == {rows.identifier("sgr", 1001)}
    assert answer.ingress == {SGR[1], SGR[2]}
    assert {step.direction for step in answer.steps} == {"forward", "return"}
    assert answer.revision == net.store.snapshot.revision


def test_groups_admit_by_port_protocol_and_member(net: Net) -> None:
    assert said(net.ask(CLIENT, "10.0.2.10", 81)) == ("blocked", f"D sg-in {SERVER}")
    assert said(net.ask(CLIENT, "10.0.2.10", protocol=UDP))[0] == "blocked"
    assert said(net.ask(rows.identifier("eni", 3), "10.0.2.10"))[1] == f"D sg-in {SERVER}"
    assert codes(net.ask(CLIENT, "10.0.2.10", 81)) == [("forward", "SG_IN", "ENI_SG_RULES_MISMATCH")]


def test_a_group_without_rules_has_a_code_of_its_own(net: Net) -> None:
    net.group(4, egress=False)
    closed = net.task(4, "10.0.2.11", 2, 4)
    assert codes(net.ask(closed, "10.0.2.10")) == [
        ("forward", "SG_OUT", "SG_HAS_NO_RULES"),
        ("forward", "SG_IN", "ENI_SG_RULES_MISMATCH"),
    ]
    assert said(net.ask(closed, "10.0.2.10"))[1] == f"D sg-out {closed}"


def test_icmp_rules_are_about_type_and_code(net: Net) -> None:
    net.put(rows.rule(3, 2, protocol="icmp", ports=(8, 0), cidr=ANY))
    assert net.ask(CLIENT, "10.0.2.10", protocol=ICMP).verdict == "reachable"
    assert net.ask(CLIENT, "10.0.2.10", protocol=ICMP, icmp=(13, 0)).verdict == "blocked"
    net.put(rows.rule(3, 2, protocol="icmp", ports=(-1, -1), cidr=ANY))
    answer = net.ask(CLIENT, "10.0.2.10", protocol=ICMP, icmp=(13, 0))
    assert answer.verdict == "reachable"
    assert {step.direction for step in answer.steps} == {"forward"}  # nobody answers it


def test_another_protocol_has_no_ports(net: Net) -> None:
    net.put(rows.rule(3, 2, protocol="50", ports=(1, 2), cidr=ANY))
    assert net.ask(CLIENT, "10.0.2.10", protocol=50).verdict == "reachable"
    assert net.ask(CLIENT, "10.0.2.10", protocol=51).verdict == "blocked"


def test_the_acl_is_asked_at_the_border_of_a_subnet_only(net: Net) -> None:
    net.put(rows.acl(5, rows.entry(90, allow=False, protocol="6", ports=(80, 80)), rows.entry(100)))
    net.put(rows.acl_association(1, 5))
    assert net.ask(CLIENT, "10.0.1.11").verdict == "reachable"
    answer = net.ask(CLIENT, "10.0.2.10")
    assert said(answer) == ("blocked", f"D {rows.identifier('acl', 5)}/out/*")
    assert codes(answer) == [("forward", "ACL_OUT", "SUBNET_ACL_RESTRICTION")]
    assert said(net.ask(SERVER, "10.0.1.10")) == ("blocked", f"D {rows.identifier('acl', 5)}/in/90")


def test_the_reply_is_judged_by_the_acl_again(net: Net) -> None:
    net.put(rows.acl(5, rows.entry(100), rows.entry(100, egress=True, protocol="6", ports=(49152, 65535))))
    net.put(rows.acl_association(2, 5))
    answer = net.ask(CLIENT, "10.0.2.10")
    assert said(answer) == ("blocked", f"D {rows.identifier('acl', 5)}/out/*")
    assert codes(answer) == [("return", "ACL_OUT", "SUBNET_ACL_RESTRICTION")]
    assert net.ask(CLIENT, "10.0.2.10", source_port=50000).verdict == "reachable"


def test_a_subnet_whose_acl_is_gone_lets_nothing_through(net: Net) -> None:
    net.put(rows.acl_association(2, 77))
    assert said(net.ask(CLIENT, "10.0.2.10")) == ("blocked", "D acl missing")


def test_every_blocker_is_named_and_the_kernels_first_one_decides(net: Net) -> None:
    net.put(rows.acl(5), rows.acl_association(2, 5))
    answer = net.ask(CLIENT, "10.0.2.10", 81)
    assert codes(answer) == [
        ("forward", "ACL_IN", "SUBNET_ACL_RESTRICTION"),
        ("forward", "SG_IN", "ENI_SG_RULES_MISMATCH"),
        ("return", "ACL_OUT", "SUBNET_ACL_RESTRICTION"),
    ]
    assert str(answer.deciding) == f"D {rows.identifier('acl', 5)}/in/*"


def test_a_forged_source_address(net: Net) -> None:
    answer = net.ask(CLIENT, "10.0.2.10", source_address=rows.IPv4Address("10.0.1.77"))
    assert said(answer) == ("blocked", "D spoof")
    net.task(1, "10.0.1.10", 1, 1, checked=False)
    answer = net.ask(CLIENT, "10.0.2.10", source_address=rows.IPv4Address("10.0.1.77"))
    assert "SOURCE" not in {stage for _, stage, _ in codes(answer)}


def test_addresses_that_nobody_has_or_holds(net: Net) -> None:
    for address in ("10.0.1.99", "10.0.2.99"):
        answer = net.ask(CLIENT, address)
        assert said(answer) == ("blocked", "D route")
        assert codes(answer) == [("forward", "ROUTE", "UNKNOWN_DESTINATION")]
    net.put(rows.interface(9, "10.0.2.99", 2, groups=(2,)))
    assert codes(net.ask(CLIENT, "10.0.2.99")) == [("forward", "ROUTE", "BAD_STATE_ATTACHMENT")]
    net.put(rows.task(2, 2, ecs.TaskStatus.DEPROVISIONING))
    assert codes(net.ask(CLIENT, "10.0.2.10")) == [("forward", "ROUTE", "BAD_STATE_ATTACHMENT")]


def test_no_packet_starts_at_an_interface_that_nothing_holds(net: Net) -> None:
    net.put(rows.interface(9, "10.0.2.99", 2, groups=(1,)))
    answer = net.ask(rows.identifier("eni", 9), "10.0.2.10")
    assert said(answer) == ("blocked", "")
    assert codes(answer) == [("forward", "SOURCE", "BAD_STATE_ATTACHMENT")]
    assert net.ask(rows.identifier("eni", 99), "10.0.2.10").verdict == "blocked"


def test_a_missing_route_and_a_black_hole(net: Net) -> None:
    assert codes(net.ask(CLIENT, "198.51.100.1")) == [("forward", "ROUTE", "NO_ROUTE_TO_DESTINATION")]
    net.table(1, rows.route(ANY, "igw", rows.IGW), rows.route("198.51.100.0/24", "eni", rows.identifier("eni", 99)))
    answer = net.ask(CLIENT, "198.51.100.1")
    assert said(answer) == ("blocked", "D route")
    assert codes(answer) == [("forward", "ROUTE", "BAD_STATE_ROUTE")]


def test_groups_come_before_the_missing_route_and_are_not_asked_after_it(net: Net) -> None:
    net.group(1, egress=False)
    net.drop(rows.rule(1001, 1, egress=True, protocol="-1", cidr=ANY))
    answer = net.ask(CLIENT, "198.51.100.1")
    assert str(answer.deciding) == f"D sg-out {CLIENT}"
    assert [stage for _, stage, _ in codes(answer)] == ["SG_OUT", "ROUTE"]


def test_a_tracked_reply_needs_no_rule_and_an_untracked_one_has_one(net: Net) -> None:
    net.drop(rows.rule(1002, 2, egress=True, protocol="-1", cidr=ANY))
    answer = net.ask(CLIENT, "10.0.2.10")
    assert answer.verdict == "reachable"
    (reply,) = [step for step in answer.steps if step.direction == "return" and step.stage is Stage.SG_OUT]
    assert reply.text.startswith("tracked")

    net.put(rows.rule(1, 2, ports=(80, 80), cidr=ANY), rows.rule(1002, 2, egress=True, protocol="-1", cidr=ANY))
    answer = net.ask(CLIENT, "10.0.2.10")
    (reply,) = [step for step in answer.steps if step.direction == "return" and step.stage is Stage.SG_OUT]
    assert reply.rules == (rows.identifier("sgr", 1002),)


@pytest.fixture
def appliance(net: Net) -> Net:
    """Subnet 1 reaches subnet 2 through interface 5 in subnet 3, and back."""
    net.group(5, rows.rule(5, 5, protocol="-1", cidr="10.0.0.0/16"))
    net.task(5, "10.0.3.10", 3, 5, checked=False)
    net.put(rows.rule(1, 2, ports=(80, 80), cidr="10.0.1.0/24"))
    net.table(2, rows.route("10.0.2.0/24", "eni", rows.identifier("eni", 5)))
    net.table(3, rows.route("10.0.1.0/24", "eni", rows.identifier("eni", 5)))
    net.put(rows.association(2, 2, subnet=1), rows.association(3, 3, subnet=2))
    return net


def test_an_appliance_is_judged_on_both_passes(appliance: Net) -> None:
    answer = appliance.ask(CLIENT, "10.0.2.10")
    assert said(answer) == ("reachable", "")
    middle = rows.identifier("eni", 5)
    passes = [(s.stage.name, s.crossing) for s in answer.steps if s.component == middle and s.direction == "forward"]
    assert passes == [("SG_IN", 1), ("SG_OUT", 2)]
    appliance.put(rows.rule(5, 5, protocol="-1", cidr="192.168.0.0/16"))
    assert said(appliance.ask(CLIENT, "10.0.2.10")) == ("blocked", f"D sg-in {middle}")


def test_an_appliance_needs_its_check_off(appliance: Net) -> None:
    appliance.task(5, "10.0.3.10", 3, 5)
    answer = appliance.ask(CLIENT, "10.0.2.10")
    assert said(answer) == ("blocked", "D dstcheck")
    assert codes(answer)[:2] == [
        ("forward", "DESTINATION_CHECK", "ENI_SOURCE_DEST_CHECK_RESTRICTION"),
        ("forward", "SOURCE", "ENI_SOURCE_DEST_CHECK_RESTRICTION"),
    ]


def test_a_rule_for_a_group_does_not_know_the_sender_behind_an_appliance(appliance: Net) -> None:
    appliance.put(rows.rule(1, 2, ports=(80, 80), peer=1))
    assert said(appliance.ask(CLIENT, "10.0.2.10")) == ("blocked", f"D sg-in {SERVER}")


def test_two_tables_that_send_round_in_a_circle(appliance: Net) -> None:
    appliance.task(6, "10.0.2.20", 2, 5, checked=False)
    appliance.table(4, rows.route("10.0.2.0/24", "eni", rows.identifier("eni", 5)))
    appliance.put(rows.association(4, 4, subnet=3))
    answer = appliance.ask(CLIENT, "10.0.2.10")
    assert codes(answer) == [("forward", "ARRIVAL", "ECSNET_ROUTING_LOOP")]
    assert said(answer) == ("blocked", "")


@pytest.mark.parametrize(
    ("address", "protocol", "port", "expected"),
    [
        ("10.0.0.2", UDP, 53, ("reachable", "")),
        ("169.254.169.253", TCP, 53, ("reachable", "")),
        ("169.254.170.2", TCP, 80, ("reachable", "")),
        ("169.254.170.2", TCP, 443, ("blocked", "D service")),
        ("10.0.0.2", TCP, 80, ("blocked", "D service")),
        ("10.0.2.1", TCP, 80, ("blocked", "D service")),
        ("169.254.7.7", TCP, 80, ("blocked", "D route")),
    ],
)
def test_services_of_the_vpc_are_beyond_groups_and_acls(
    net: Net, address: str, protocol: int, port: int, expected: tuple[str, str]
) -> None:
    if expected[1] != "D route":
        net.drop(rows.rule(1001, 1, egress=True, protocol="-1", cidr=ANY))
        net.put(rows.acl(5), rows.acl_association(1, 5))
    assert said(net.ask(CLIENT, address, port, protocol)) == expected


def test_a_network_load_balancer_without_groups_admits_everything(net: Net) -> None:
    balancer = rows.interface(7, "10.0.2.30", 2, owner=("load_balancer", rows.load_balancer_arn(1)))
    net.put(rows.load_balancer(1, (7, 2, "10.0.2.30")), balancer)
    assert said(net.ask(CLIENT, "10.0.2.30")) == ("blocked", f"D sg-in {balancer.id}")
    net.put(msgspec.structs.replace(balancer, interface_type="network_load_balancer"))
    assert said(net.ask(CLIENT, "10.0.2.30")) == ("reachable", "")
