"""Parts of flows as records of interfaces and lines of logs."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import msgspec
import pytest
import rows

from ecsnet.control.flows.batches import batches
from ecsnet.control.flows.lines import Line, header, render
from ecsnet.control.flows.records import FlowRecord, records
from ecsnet.hostplan.flows import Interval, Part
from ecsnet.model import ec2
from ecsnet.model import tables as t
from ecsnet.services.ec2 import flow_log_format as fmt
from ecsnet.store.snapshot import Snapshot
from ecsnet.store.store import Store

WEB, DATABASE, NAT = (rows.identifier("eni", number) for number in (1, 2, 3))
OUT_RULE, IN_RULE = rows.identifier("sgr", 11), rows.identifier("sgr", 12)


@pytest.fixture
def store() -> Store:
    store = Store(None, t.SCHEMA)
    with store.transaction() as tx:
        tx.put(t.VPCS, rows.vpc())
        for number in (1, 2):
            tx.put(t.SUBNETS, rows.subnet(number, f"10.0.{number}.0/24"))
            tx.put(t.GROUPS, rows.group(number))
        tx.put(t.GROUP_RULES, rows.rule(11, 1, egress=True, protocol="-1", cidr="0.0.0.0/0"))
        tx.put(t.GROUP_RULES, rows.rule(12, 2, ports=(5432, 5432), peer=1))
        web = rows.interface(1, "10.0.1.10", 1, groups=(1,), owner=("task", rows.task_arn(1)), secondary=("10.0.1.11",))
        tx.put(t.INTERFACES, web)
        tx.put(t.TASKS, rows.task(1, 1))
        tx.put(t.INTERFACES, rows.interface(2, "10.0.2.20", 2, groups=(2,)))
        tx.put(t.INTERFACES, rows.interface(3, "10.0.1.30", 1, owner=("nat", rows.identifier("nat", 1)), checked=False))
        for key in (WEB, DATABASE, NAT):
            tx.put(t.OBSERVED_INTERFACES, ec2.ObservedInterface(interface=key, revision=1))
    return store


def part(source: str = "10.0.1.10", destination: str = "10.0.2.20", **more: Any) -> Part:
    plain = Part(
        protocol=6,
        source=ip_address(source).packed,
        destination=ip_address(destination).packed,
        source_port=40000,
        destination_port=5432,
        in_link="e000100000000",
        out_link="e000200000000",
        reply=False,
        denied="",
        rules=(OUT_RULE, IN_RULE),
        sent_packets=3,
        sent_bytes=300,
        packets=2,
        size=200,
        flags=2,
        start=1000.4,
        end=1060.0,
    )
    return msgspec.structs.replace(plain, **more)


def found(store: Store, one: Part) -> list[FlowRecord]:
    return list(records(store.snapshot, rows.VPC, one))


def line(snapshot: Snapshot, record: FlowRecord, text: str) -> str:
    return render(Line(snapshot=snapshot, interface=record.interface, record=record, status="OK", start=0, end=0), text)


def test_a_packet_leaves_one_interface_and_enters_another(store: Store) -> None:
    sent, received = found(store, part())
    assert (sent.interface.id, sent.egress, sent.packets, sent.rule, sent.path) == (WEB, True, 3, OUT_RULE, 1)
    assert (received.interface.id, received.egress, received.packets, received.rule) == (DATABASE, False, 2, IN_RULE)


def test_an_answer_is_admitted_by_the_rule_of_what_it_answers(store: Store) -> None:
    reply = part("10.0.2.20", "10.0.1.10", reply=True, in_link="e000200000000", out_link="e000100000000")
    sent, received = found(store, reply)
    assert (sent.interface.id, sent.rule) == (DATABASE, IN_RULE)
    assert (received.interface.id, received.rule) == (WEB, OUT_RULE)


def test_without_links_the_interfaces_are_found_by_address(store: Store) -> None:
    assert [record.interface.id for record in found(store, part(in_link="", out_link=""))] == [WEB, DATABASE]


def test_through_a_nat_gateway_the_packets_own_addresses_are_kept_apart(store: Store) -> None:
    """VPC user guide, "Traffic through a NAT gateway"."""
    sent, received = found(store, part("10.0.1.11", "198.51.100.7", out_link="e000300000000", rules=(OUT_RULE,)))
    addresses = "${srcaddr} ${dstaddr} ${pkt-srcaddr} ${pkt-dstaddr}"
    assert line(store.snapshot, sent, addresses) == "10.0.1.10 198.51.100.7 10.0.1.11 198.51.100.7"
    assert received.interface.id == NAT
    assert line(store.snapshot, received, addresses) == "10.0.1.11 10.0.1.30 10.0.1.11 198.51.100.7"
    assert received.rule is None


@pytest.mark.parametrize(("link", "path"), [("g000100000000", "8"), ("p000100000000", "4"), ("void0", "-")])
def test_where_traffic_leaves_the_vpc(store: Store, link: str, path: str) -> None:
    (sent,) = found(store, part(destination="203.0.113.9", out_link=link))
    assert line(store.snapshot, sent, "${traffic-path} ${flow-direction}") == f"{path} egress"


@pytest.mark.parametrize(
    ("denied", "interface", "egress"),
    [
        (f"sg-out {WEB}", WEB, True),
        ("acl-1/out/*", WEB, True),
        ("spoof", WEB, True),
        ("invalid", WEB, True),
        (f"sg-in {DATABASE}", DATABASE, False),
        ("acl-1/in/100", DATABASE, False),
        ("dstcheck", DATABASE, False),
    ],
)
def test_a_denial_is_the_record_of_one_interface(store: Store, denied: str, interface: str, egress: bool) -> None:
    (record,) = found(store, part(denied=denied, sent_packets=0))
    assert (record.interface.id, record.egress, record.action) == (interface, egress, "REJECT")
    assert record.rule == denied.partition(" ")[0]


@pytest.mark.parametrize(
    "one",
    [
        part(destination="169.254.169.254"),
        part(destination="10.0.1.1", out_link="void0"),
        part(denied="limit", destination="10.0.0.2"),
        part(denied="service"),
        part(denied="route", sent_packets=0),
        part(protocol=17, source_port=68, destination_port=67),
    ],
)
def test_what_is_never_logged(store: Store, one: Part) -> None:
    assert found(store, one) == []


def flow_log(number: int, resource: str, **more: Any) -> ec2.FlowLog:
    plain = ec2.FlowLog(
        id=rows.identifier("fl", number),
        account=rows.ACCOUNT,
        region=rows.REGION,
        resource_kind="VPC",
        resource=resource,
        traffic="ALL",
        destination_type="local-file",
        format="${interface-id} ${action} ${log-status}",
        created=0.0,
    )
    return msgspec.structs.replace(plain, **more)


def lines_of(store: Store, *parts: Part, missed: bool = False, logs: tuple[ec2.FlowLog, ...]) -> list[list[str]]:
    with store.transaction() as tx:
        for log in logs:
            tx.put(t.FLOW_LOGS, log)
    interval = Interval(router="r1", start=1000.0, end=1060.0, parts=parts, missed=missed)
    made = {batch.log.id: batch for batch in batches(store.snapshot, rows.VPC, interval, logs)}
    return [
        sorted(text for lines in made[log.id].lines.values() for _, text in lines) if log.id in made else []
        for log in logs
    ]


def test_each_log_gets_what_it_covers_and_says_who_was_silent(store: Store) -> None:
    logs = (
        flow_log(1, rows.VPC),
        flow_log(2, rows.VPC, traffic="REJECT"),
        flow_log(3, DATABASE, resource_kind="NetworkInterface"),
        flow_log(4, rows.identifier("subnet", 1), resource_kind="Subnet"),
    )
    everything, rejected, database, subnet = lines_of(store, part(), logs=logs)
    silent = f"{NAT} - NODATA"
    assert everything == [f"{WEB} ACCEPT OK", f"{DATABASE} ACCEPT OK", silent]
    assert rejected == [silent]
    assert database == [f"{DATABASE} ACCEPT OK"]
    assert subnet == [f"{WEB} ACCEPT OK", silent]


def test_lost_events_are_skipdata_of_every_interface(store: Store) -> None:
    log = flow_log(1, DATABASE, resource_kind="NetworkInterface")
    assert lines_of(store, part(), missed=True, logs=(log,)) == [[f"{DATABASE} - SKIPDATA", f"{DATABASE} ACCEPT OK"]]


def test_the_default_format_is_the_one_of_the_guide(store: Store) -> None:
    (sent, _) = found(store, part())
    assert line(store.snapshot, sent, fmt.DEFAULT) == (
        f"2 {rows.ACCOUNT} {WEB} 10.0.1.10 10.0.2.20 40000 5432 6 3 300 1000 1060 ACCEPT OK"
    )
    assert header("${version} ${ecsnet-rule}") == "version ecsnet-rule"


def test_every_field_has_a_value_or_a_dash(store: Store) -> None:
    sent, received = found(store, part())
    text = " ".join(f"${{{name}}}" for name in fmt.VERSIONS)
    values = dict(zip(fmt.VERSIONS, line(store.snapshot, sent, text).split(), strict=True))
    assert values["ecs-task-arn"] == rows.task_arn(1)
    assert values["az-id"] == "use1-az1"
    assert values["tcp-flags"] == "2"
    assert values["ecsnet-rule"] == OUT_RULE
    assert {name for name, value in values.items() if value == "-"} >= {
        "instance-id", "sublocation-type", "sublocation-id", "pkt-src-aws-service", "pkt-dst-aws-service",
        "ecs-container-instance-arn", "ecs-container-instance-id", "ecs-second-container-id",
    }  # fmt: skip
    values = dict(zip(fmt.VERSIONS, line(store.snapshot, received, text).split(), strict=True))
    assert values["ecs-task-arn"] == "-", "its interface is no task's"
