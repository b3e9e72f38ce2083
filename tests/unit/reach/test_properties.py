"""Laws that hold for every flow of a random network."""

from __future__ import annotations

from ipaddress import ip_address

import msgspec
import rows
from hypothesis import given, settings
from hypothesis import strategies as st
from reach_net import ANY, Net

from ecsnet.model import ec2
from ecsnet.reach.flow import ICMP, TCP, UDP, Flow, Stage, Trace
from ecsnet.reach.records import Records
from ecsnet.reach.trace import trace

ADDRESSES = ("10.0.1.10", "10.0.1.11", "10.0.2.10", "10.0.2.99", "198.18.0.10", "198.19.255.254", "192.168.1.1")

rules = st.builds(
    lambda number, group, egress, port, cidr: rows.rule(
        number, group, egress=egress, ports=(port, port + 10), cidr=cidr
    ),
    st.integers(1, 9), st.integers(1, 3), st.booleans(), st.sampled_from((75, 79, 300)),
    st.sampled_from((ANY, "10.0.1.0/24", "10.0.2.0/23")),
)  # fmt: skip
flows = st.builds(
    lambda source, destination, protocol, port: Flow(
        source=source and rows.identifier("eni", source),
        destination=ip_address(destination),
        protocol=protocol,
        port=port,
    ),
    st.sampled_from((None, 1, 2, 3)), st.sampled_from(ADDRESSES), st.sampled_from((TCP, UDP, ICMP)),
    st.sampled_from((80, 81, 305)),
)  # fmt: skip


PORTS = (0, 1, 74, 75, 79, 80, 85, 86, 89, 90, 300, 310, 311, 39_999, 40_000, 40_001, 65_535)
entries = st.builds(
    lambda number, egress, protocol, first, length, cidr, allow: rows.entry(
        number, egress=egress, protocol=protocol, ports=(first, min(first + length, 65_535)), cidr=cidr, allow=allow
    ),
    st.integers(1, 99), st.booleans(), st.sampled_from(("6", "17")), st.sampled_from(PORTS),
    st.sampled_from((0, 5, 30_000)), st.sampled_from((ANY, "10.0.1.0/24")), st.booleans(),
)  # fmt: skip
many_flows = st.lists(
    st.builds(
        lambda flow, port, source_port: msgspec.structs.replace(flow, port=port, source_port=source_port),
        flows, st.sampled_from(PORTS), st.sampled_from(PORTS),
    ),
    min_size=2, max_size=30,
)  # fmt: skip


def network(chosen: list[object]) -> Net:
    net = Net()
    for number in (1, 2, 3):
        net.group(number, egress=number == 1)
    net.put(*chosen)  # type: ignore[arg-type]
    net.task(1, "10.0.1.10", 1, 1, public="198.18.0.10")
    net.task(2, "10.0.1.11", 1, 2)
    net.task(3, "10.0.2.10", 2, 2, 3)
    net.internet_gateway()
    return net


def ask(net: Net, flow: Flow) -> Trace:
    return trace(net.store.snapshot, flow)


def reasons(net: Net, flow: Flow) -> set[tuple[str, Stage, str]]:
    return {(step.direction, step.stage, step.code) for step in ask(net, flow).blockers}


@settings(max_examples=150, deadline=None)
@given(chosen=st.lists(rules, max_size=6), more=rules, flow=flows)
def test_another_rule_never_blocks(chosen: list[object], more: object, flow: Flow) -> None:
    net = network(chosen)
    before = ask(net, flow)
    extra = rows.rule(99, int(more.group[3:7], 16), egress=more.egress, ports=(more.from_port, more.to_port),  # type: ignore[attr-defined]
                      cidr=str(more.cidr))  # type: ignore[attr-defined]  # fmt: skip
    net.put(extra)
    after = ask(net, flow)
    assert before.verdict == after.verdict or (before.verdict, after.verdict) in {
        ("blocked", "reachable"),
        ("blocked", "unknown"),
    }
    assert len(after.blockers) <= len(before.blockers)
    assert before.ingress <= after.ingress
    assert before.egress <= after.egress


@settings(max_examples=150, deadline=None)
@given(chosen=st.lists(rules, max_size=6), flow=flows)
def test_a_verdict_and_its_reasons_belong_together(chosen: list[object], flow: Flow) -> None:
    net = network(chosen)
    answer = ask(net, flow)
    assert (answer.verdict == "blocked") == bool(answer.blockers)
    assert (answer.first is None) == (answer.verdict != "blocked")
    assert all(bool(step.code) != step.ok and step.text for step in answer.steps)
    assert answer == ask(net, flow)


@settings(max_examples=100, deadline=None)
@given(chosen=st.lists(rules, max_size=6), flow=flows)
def test_opening_every_group_leaves_blockers_of_routes_only(chosen: list[object], flow: Flow) -> None:
    """What groups block, an open rule admits: no other reason appears or vanishes with it."""
    net = network(chosen)
    others = {
        (s.direction, s.stage, s.code) for s in ask(net, flow).blockers if s.stage.name not in ("SG_IN", "SG_OUT")
    }
    for number in (1, 2, 3):
        for egress in (False, True):
            net.put(rows.rule(50 + 2 * number + egress, number, egress=egress, protocol="-1", cidr=ANY))
    assert reasons(net, flow) == others


@settings(max_examples=150, deadline=None)
@given(chosen=st.lists(rules, max_size=6), denied=st.lists(entries, max_size=6), asked=many_flows)
def test_what_is_remembered_of_other_flows_changes_no_answer(
    chosen: list[object], denied: list[ec2.NetworkAclEntry], asked: list[Flow]
) -> None:
    """Ports around every bound of a rule or entry: two that some rule tells apart are never taken for the same."""
    net = network(chosen)
    net.put(rows.acl(1, rows.entry(100), rows.entry(100, egress=True), *denied, vpc=rows.VPC, default=True))
    snapshot = net.store.snapshot
    records = Records(snapshot)
    assert [trace(snapshot, flow, records) for flow in asked] == [trace(snapshot, flow) for flow in asked]
