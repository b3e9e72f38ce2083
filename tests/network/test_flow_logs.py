"""Flow logs and the live view, from packets: through the API, with the records read back where they were delivered."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from ecsnet.home import Home
from ecsnet.testing.instance import HEARS_CTRL_C, Instance, free_port
from ecsnet.testing.waiting import eventually

pytestmark = [pytest.mark.network]

SPEED = 30.0
MINUTE = 60 / SPEED
"""Seconds of an interval."""
INTERNET = "198.19.255.254"
"""The address of the machine on the internet side."""
ROLE = "arn:aws:iam::123456789012:role/flow-logs"
FIELDS = (
    "interface-id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "bytes", "action", "log-status",
    "flow-direction", "tcp-flags", "pkt-srcaddr", "pkt-dstaddr", "traffic-path", "type", "vpc-id", "subnet-id", "az-id",
    "ecs-task-id", "ecs-cluster-name", "start", "end", "ecsnet-rule", "version",
)  # fmt: skip
FORMAT = " ".join(f"${{{field}}}" for field in FIELDS)
PAYLOAD = b"x" * 1000

Record = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    arn: str
    address: str
    interface: str
    netns: str


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """An ecsnet whose minutes last two seconds."""
    made = Instance(home=Home(path=tmp_path_factory.mktemp("ecsnet")), port=free_port(), speed=SPEED)
    made.up()
    try:
        yield made
    finally:
        made.down()


@dataclass(slots=True, kw_only=True)
class Lab:
    """A VPC with a client and a server in two subnets; the server's group admits port 80 from the VPC."""

    instance: Instance
    vpc: str
    subnets: list[str]
    groups: dict[str, str]
    client: Task
    server: Task

    def flow_log(self, resource: str, kind: str = "VPC", **more: Any) -> str:
        request = {
            "ResourceIds": [resource],
            "ResourceType": kind,
            "TrafficType": "ALL",
            "LogDestinationType": "local-file",
            "LogFormat": FORMAT,
            "MaxAggregationInterval": 60,
        } | more
        reply = self.instance.client("ec2").create_flow_logs(**request)
        assert reply["Unsuccessful"] == []
        return str(reply["FlowLogIds"][0])

    def records(self, flow_log: str) -> list[Record]:
        """What a local file holds by now."""
        path = self.instance.home.path / "flow-logs" / f"{flow_log}.log"
        text = path.read_text() if path.exists() else ""
        first, *lines = text.splitlines() or [""]  # it is there before its first line is
        return [dict(zip(first.split(), line.split(), strict=True)) for line in lines]

    def found(self, flow_log: str, **wanted: str) -> list[Record]:
        names = {name.replace("_", "-"): value for name, value in wanted.items()}
        return [row for row in self.records(flow_log) if names.items() <= row.items()]

    def wait(self, flow_log: str, **wanted: str) -> list[Record]:
        """Wait for such a record, and give all of them."""
        return eventually(lambda: self.found(flow_log, **wanted), f"a record with {wanted}", timeout=60) or []

    def one_more_interval(self, flow_log: str) -> None:
        """Wait until everything that has happened by now must have been written."""
        # Intervals are written in their order, each in one piece, and on a busy machine long after their end.
        happened = time.time() + MINUTE
        eventually(
            lambda: any(int(row["end"]) > happened for row in self.records(flow_log)), "another interval", timeout=60
        )

    def listener(self, task: Task, port: int) -> socket.socket:
        with self.instance.inside(task.netns):
            made = socket.create_server((task.address, port))
        made.settimeout(30)
        return made

    def connect(self, task: Task, address: str, port: int, timeout: float = 30.0) -> socket.socket | None:
        with self.instance.inside(task.netns):
            stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        stream.settimeout(timeout)
        try:
            stream.connect((address, port))
        except TimeoutError:
            stream.close()
            return None
        return stream

    def exchange(self, port: int) -> tuple[str, str]:
        """One request of a kilobyte and its echo; the client's port and the server's."""
        with self.listener(self.server, port) as listener:
            stream = self.connect(self.client, self.server.address, port)
            assert stream is not None
            with stream:
                peer, _ = listener.accept()
                with peer:
                    stream.sendall(PAYLOAD)
                    received = b""
                    while len(received) < len(PAYLOAD):
                        received += peer.recv(4096)
                    peer.sendall(received)
                    back = b""
                    while len(back) < len(PAYLOAD):
                        back += stream.recv(4096)
                return str(stream.getsockname()[1]), str(port)


@pytest.fixture(scope="module")
def lab(instance: Instance) -> Lab:
    ec2, ecs = instance.client("ec2"), instance.client("ecs")
    vpc = ec2.create_vpc(CidrBlock="10.70.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.70.{n}.0/24", AvailabilityZone="us-east-1a")["Subnet"]["SubnetId"]
        for n in (1, 2)
    ]
    groups = {
        name: ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]
        for name in ("client", "server")
    }
    ec2.authorize_security_group_ingress(
        GroupId=groups["server"],
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 89, "IpRanges": [{"CidrIp": "10.70.0.0/16"}]},
            {"IpProtocol": "tcp", "FromPort": 90, "ToPort": 99, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
        ],
    )
    ecs.create_cluster(clusterName="flows")
    definition = ecs.register_task_definition(
        family="flows",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "app", "image": "absent"}],
    )["taskDefinition"]["taskDefinitionArn"]
    tasks = [
        _task(instance, definition, subnet, groups[name])
        for name, subnet in zip(("client", "server"), subnets, strict=True)
    ]
    return Lab(instance=instance, vpc=vpc, subnets=subnets, groups=groups, client=tasks[0], server=tasks[1])


def _task(instance: Instance, definition: str, subnet: str, group: str) -> Task:
    ecs = instance.client("ecs")
    arn = ecs.run_task(
        cluster="flows",
        taskDefinition=definition,
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": [group]}},
    )["tasks"][0]["taskArn"]

    def running() -> dict[str, Any] | None:
        task: dict[str, Any] = ecs.describe_tasks(cluster="flows", tasks=[arn])["tasks"][0]
        return task if task["lastStatus"] == "RUNNING" else None

    task = eventually(running, "the task runs", timeout=60) or {}
    details = {item["name"]: item["value"] for item in task["attachments"][0]["details"]}
    return Task(
        arn=arn,
        address=details["privateIPv4Address"],
        interface=details["networkInterfaceId"],
        netns="t" + arn.rpartition("/")[2][:12],
    )


def _rules(lab: Lab, group: str, *, egress: bool) -> dict[int, str]:
    """First port → rule id."""
    rows = lab.instance.client("ec2").describe_security_group_rules(
        Filters=[{"Name": "group-id", "Values": [lab.groups[group]]}]
    )["SecurityGroupRules"]
    return {row["FromPort"]: row["SecurityGroupRuleId"] for row in rows if row["IsEgress"] == egress}


def test_an_admitted_flow_is_four_records_with_its_packets_and_bytes(lab: Lab) -> None:
    log = lab.flow_log(lab.vpc)
    port, _ = lab.exchange(80)
    there = {"srcport": port, "dstport": "80", "action": "ACCEPT"}
    back = {"srcport": "80", "dstport": port, "action": "ACCEPT"}
    lab.wait(log, interface_id=lab.server.interface, **back)
    lab.one_more_interval(log)
    client, server = lab.client.interface, lab.server.interface
    for names, direction, interface in (
        (there, "egress", client),
        (there, "ingress", server),
        (back, "egress", server),
        (back, "ingress", client),
    ):
        rows = lab.found(log, interface_id=interface, flow_direction=direction, **names)
        assert rows, (names, direction, lab.records(log))
        # request and answer are 1,000 bytes in one packet each; the rest is headers of 40 to 60 bytes
        packets, size = (sum(int(row[field]) for row in rows) for field in ("packets", "bytes"))
        assert 4 <= packets <= 7
        assert 1000 + 40 * packets <= size <= 1000 + 60 * packets
        assert all(row["protocol"] == "6" and row["type"] == "IPv4" and row["version"] == "7" for row in rows)
        assert all(row["az-id"] == "use1-az1" and row["vpc-id"] == lab.vpc for row in rows)
        assert all(row["ecs-cluster-name"] == "flows" for row in rows)
    (first, *_) = lab.found(log, interface_id=client, flow_direction="egress", **there)
    assert (first["srcaddr"], first["dstaddr"]) == (lab.client.address, lab.server.address)
    assert first["ecs-task-id"] == lab.client.arn.rpartition("/")[2]
    assert first["traffic-path"] == "1"
    assert first["ecsnet-rule"] == _rules(lab, "client", egress=True)[-1]
    (first, *_) = lab.found(log, interface_id=server, flow_direction="ingress", **there)
    assert first["ecsnet-rule"] == _rules(lab, "server", egress=False)[80]
    # an answer is admitted by the rule that admitted the request
    (first, *_) = lab.found(log, interface_id=server, flow_direction="egress", **back)
    assert first["ecsnet-rule"] == _rules(lab, "server", egress=False)[80]
    rejected = [row for row in lab.records(log) if row["action"] == "REJECT"]
    assert rejected == []


def test_a_flow_over_several_intervals_is_told_in_each_without_counting_twice(lab: Lab) -> None:
    log = lab.flow_log(lab.client.interface, "NetworkInterface")
    with lab.listener(lab.server, 81) as listener:
        stream = lab.connect(lab.client, lab.server.address, 81)
        assert stream is not None
        peer, _ = listener.accept()
        port = str(stream.getsockname()[1])
        for number in range(1, 4):
            stream.sendall(PAYLOAD)
            assert len(peer.recv(4096)) == len(PAYLOAD)

            def told(number: int = number) -> bool:
                rows = lab.found(log, srcport=port, dstport="81")
                return sum(int(row["bytes"]) for row in rows) >= number * len(PAYLOAD)

            eventually(told, "the bytes so far are told", timeout=60)
        stream.close()
        peer.close()
    lab.one_more_interval(log)
    rows = lab.found(log, srcport=port, dstport="81")
    assert len(rows) >= 3
    assert 3000 < sum(int(row["bytes"]) for row in rows) < 3000 + 60 * sum(int(row["packets"]) for row in rows) + 1


def test_what_the_receivers_group_denies_is_accepted_at_the_sender_and_rejected_at_the_receiver(lab: Lab) -> None:
    log = lab.flow_log(lab.vpc, LogFormat=FORMAT + " ${region}")
    assert lab.connect(lab.client, lab.server.address, 5432, timeout=0.5) is None
    (row, *_) = lab.wait(log, interface_id=lab.server.interface, dstport="5432")
    assert (row["action"], row["flow-direction"], row["ecsnet-rule"]) == ("REJECT", "ingress", "sg-in")
    assert row["tcp-flags"] == "2"
    (row, *_) = lab.wait(log, interface_id=lab.client.interface, dstport="5432")
    assert (row["action"], row["flow-direction"]) == ("ACCEPT", "egress")
    lab.one_more_interval(log)
    assert lab.found(log, interface_id=lab.server.interface, dstport="5432", action="ACCEPT") == []


def test_what_the_senders_group_denies_is_a_reject_of_the_sender_alone(lab: Lab) -> None:
    ec2 = lab.instance.client("ec2")
    rules = ec2.describe_security_groups(GroupIds=[lab.groups["client"]])["SecurityGroups"][0]["IpPermissionsEgress"]
    ec2.revoke_security_group_egress(GroupId=lab.groups["client"], IpPermissions=rules)
    log = lab.flow_log(lab.vpc, LogFormat=FORMAT + " ${instance-id}")
    try:
        assert lab.connect(lab.client, lab.server.address, 82, timeout=0.5) is None
    finally:
        ec2.authorize_security_group_egress(GroupId=lab.groups["client"], IpPermissions=rules)
    (row, *_) = lab.wait(log, dstport="82")
    assert row["interface-id"] == lab.client.interface
    assert (row["action"], row["flow-direction"], row["ecsnet-rule"]) == ("REJECT", "egress", "sg-out")
    lab.one_more_interval(log)
    assert lab.found(log, interface_id=lab.server.interface, dstport="82") == []
    assert lab.found(log, action="ACCEPT", dstport="82") == []


def test_an_answer_that_the_network_acl_denies_is_accept_in_and_reject_out(lab: Lab) -> None:
    """The signature that the guide names: a group is stateful, a network ACL is not."""
    ec2 = lab.instance.client("ec2")
    acl = ec2.create_network_acl(VpcId=lab.vpc)["NetworkAcl"]["NetworkAclId"]
    ec2.create_network_acl_entry(
        NetworkAclId=acl, RuleNumber=100, Egress=False, RuleAction="allow", Protocol="-1", CidrBlock="0.0.0.0/0"
    )
    (association,) = (
        item["NetworkAclAssociationId"]
        for item in ec2.describe_network_acls(Filters=[{"Name": "association.subnet-id", "Values": [lab.subnets[1]]}])[
            "NetworkAcls"
        ][0]["Associations"]
        if item["SubnetId"] == lab.subnets[1]
    )
    default = ec2.describe_network_acls(
        Filters=[{"Name": "vpc-id", "Values": [lab.vpc]}, {"Name": "default", "Values": ["true"]}]
    )["NetworkAcls"][0]["NetworkAclId"]
    log = lab.flow_log(lab.subnets[1], "Subnet")
    moved = ec2.replace_network_acl_association(AssociationId=association, NetworkAclId=acl)["NewAssociationId"]
    try:
        with lab.listener(lab.server, 83):
            assert lab.connect(lab.client, lab.server.address, 83, timeout=0.5) is None
    finally:
        ec2.replace_network_acl_association(AssociationId=moved, NetworkAclId=default)
    (row, *_) = lab.wait(log, srcport="83", action="REJECT")
    assert (row["flow-direction"], row["ecsnet-rule"], row["tcp-flags"]) == ("egress", f"{acl}/out/*", "18")
    assert lab.wait(log, dstport="83", action="ACCEPT", flow_direction="ingress")
    lab.one_more_interval(log)
    assert lab.found(log, srcport="83", action="ACCEPT") == []
    assert {row["interface-id"] for row in lab.records(log)} == {lab.server.interface}


def test_an_untracked_flow_is_counted_and_ends_with_its_rule(lab: Lab) -> None:
    ec2 = lab.instance.client("ec2")
    log = lab.flow_log(lab.server.interface, "NetworkInterface")
    permission = [{"IpProtocol": "tcp", "FromPort": 90, "ToPort": 99, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    rule = _rules(lab, "server", egress=False)[90]
    with lab.listener(lab.server, 90) as listener:
        stream = lab.connect(lab.client, lab.server.address, 90)
        assert stream is not None
        peer, _ = listener.accept()
        port = str(stream.getsockname()[1])
        (row, *_) = lab.wait(log, srcport=port, dstport="90", action="ACCEPT")
        assert row["ecsnet-rule"] == rule
        ec2.revoke_security_group_ingress(GroupId=lab.groups["server"], IpPermissions=permission)
        try:
            stream.sendall(PAYLOAD)
            (row, *_) = lab.wait(log, srcport=port, dstport="90", action="REJECT")
            assert row["ecsnet-rule"] == "sg-in"
        finally:
            ec2.authorize_security_group_ingress(GroupId=lab.groups["server"], IpPermissions=permission)
            stream.close()
            peer.close()
    accepted = lab.found(log, srcport=port, dstport="90", action="ACCEPT")
    assert sum(int(row["bytes"]) for row in accepted) < 1000, "what was denied is not counted as admitted"


def test_through_a_nat_gateway_its_interface_has_records_with_both_addresses(lab: Lab) -> None:
    """VPC user guide, "Traffic through a NAT gateway"."""
    instance, ec2 = lab.instance, lab.instance.client("ec2")
    public = ec2.create_subnet(VpcId=lab.vpc, CidrBlock="10.70.3.0/24")["Subnet"]["SubnetId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=lab.vpc)
    tables = [ec2.create_route_table(VpcId=lab.vpc)["RouteTable"]["RouteTableId"] for _ in range(2)]
    for table, subnet in zip(tables, (public, lab.subnets[0]), strict=True):
        ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    ec2.create_route(RouteTableId=tables[0], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    eip = ec2.allocate_address(Domain="vpc")["AllocationId"]
    nat = ec2.create_nat_gateway(SubnetId=public, AllocationId=eip)["NatGateway"]["NatGatewayId"]
    ec2.get_waiter("nat_gateway_available").wait(NatGatewayIds=[nat], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    ec2.create_route(RouteTableId=tables[1], DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat)
    address = ec2.describe_nat_gateways(NatGatewayIds=[nat])["NatGateways"][0]["NatGatewayAddresses"][0]
    log = lab.flow_log(lab.vpc, LogFormat=FORMAT + " ${ecs-task-arn}")
    with instance.inside("internet"):
        listener = socket.create_server((INTERNET, 8080))
    listener.settimeout(30)
    with listener:
        stream = lab.connect(lab.client, INTERNET, 8080)
        assert stream is not None
        peer, _ = listener.accept()
        peer.sendall(PAYLOAD)
        assert stream.recv(4096)
        stream.close()
        peer.close()
    (row, *_) = lab.wait(log, interface_id=lab.client.interface, dstport="8080", flow_direction="egress")
    assert (row["dstaddr"], row["traffic-path"], row["action"]) == (INTERNET, "1", "ACCEPT")
    own, inside = address["NetworkInterfaceId"], {"pkt_srcaddr": lab.client.address, "pkt_dstaddr": INTERNET}
    (row, *_) = lab.wait(log, interface_id=own, flow_direction="ingress", **inside)
    assert (row["srcaddr"], row["dstaddr"]) == (lab.client.address, address["PrivateIp"])
    (row, *_) = lab.wait(log, interface_id=own, flow_direction="egress", pkt_srcaddr=INTERNET)
    assert (row["srcaddr"], row["dstaddr"]) == (address["PrivateIp"], lab.client.address)
    (row, *_) = lab.wait(log, interface_id=own, flow_direction="egress", pkt_dstaddr=INTERNET)
    assert (row["srcaddr"], row["pkt-srcaddr"]) == (address["PrivateIp"], address["PrivateIp"])


def test_a_packet_without_a_route_is_accepted_at_its_sender_and_nobodys_record(lab: Lab) -> None:
    log = lab.flow_log(lab.vpc, LogFormat=FORMAT + " ${sublocation-id}")
    assert lab.connect(lab.client, "10.70.9.9", 86, timeout=0.5) is None
    (row, *_) = lab.wait(log, dstaddr="10.70.9.9")
    assert (row["interface-id"], row["action"], row["flow-direction"]) == (lab.client.interface, "ACCEPT", "egress")
    lab.one_more_interval(log)
    assert {row["interface-id"] for row in lab.found(log, dstaddr="10.70.9.9")} == {lab.client.interface}


def test_a_spoofed_packet_is_a_reject_of_its_sender(lab: Lab) -> None:
    log = lab.flow_log(lab.client.interface, "NetworkInterface", LogFormat=FORMAT + " ${region}")
    with lab.instance.inside(lab.client.netns):
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    header = bytes.fromhex("4500001c000000004011") + b"\0\0"
    datagram = bytes.fromhex("04d204d300080000")
    with raw:
        packet = header + socket.inet_aton("10.70.1.77") + socket.inet_aton(lab.server.address) + datagram
        raw.sendto(packet, (lab.server.address, 0))
    (row, *_) = lab.wait(log, pkt_srcaddr="10.70.1.77")
    assert (row["action"], row["ecsnet-rule"], row["srcaddr"]) == ("REJECT", "spoof", lab.client.address)


def test_an_interface_without_traffic_says_so_and_dns_is_never_logged(lab: Lab) -> None:
    log = lab.flow_log(lab.client.interface, "NetworkInterface", LogFormat="${interface-id} ${dstport} ${log-status}")
    with lab.instance.inside(lab.client.netns):
        query = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with query:
        query.settimeout(30)
        query.sendto(
            bytes.fromhex("0001010000010000000000000377777707657861") + b"mple\x03com\x00\x00\x01\x00\x01",
            ("169.254.169.253", 53),
        )
        assert query.recv(512), "the resolver answered"
    lab.wait(log, log_status="NODATA")
    assert lab.found(log, dstport="53") == []


def test_the_events_are_in_cloudwatch_logs(lab: Lab) -> None:
    ec2, logs = lab.instance.client("ec2"), lab.instance.client("logs")
    (made,) = ec2.create_flow_logs(
        ResourceIds=[lab.vpc],
        ResourceType="VPC",
        TrafficType="REJECT",
        LogGroupName="vpc-flows",
        DeliverLogsPermissionArn=ROLE,
    )["FlowLogIds"]
    assert lab.connect(lab.client, lab.server.address, 5433, timeout=0.5) is None
    stream = f"{lab.server.interface}-reject"

    def messages() -> list[str]:
        groups = logs.describe_log_groups(logGroupNamePrefix="vpc-flows")["logGroups"]
        if not groups:
            return []
        names = [item["logStreamName"] for item in logs.describe_log_streams(logGroupName="vpc-flows")["logStreams"]]
        if stream not in names:
            return []
        events = logs.get_log_events(logGroupName="vpc-flows", logStreamName=stream)["events"]
        return [event["message"] for event in events if " 5433 " in event["message"]]

    (line, *_) = eventually(messages, "the event", timeout=60) or []
    fields = line.split()
    assert fields[:3] == ["2", "123456789012", lab.server.interface]
    assert fields[3:5] == [lab.client.address, lab.server.address]
    assert fields[6:8] == ["5433", "6"]
    assert fields[-2:] == ["REJECT", "OK"]

    def delivered() -> bool:
        (row,) = ec2.describe_flow_logs(FlowLogIds=[made])["FlowLogs"]
        return bool(row.get("DeliverLogsStatus") == "SUCCESS")

    eventually(delivered, "the delivery is reported", timeout=60)


def test_the_records_are_in_a_bucket(lab: Lab) -> None:
    ec2, s3 = lab.instance.client("ec2"), lab.instance.client("s3")
    request: dict[str, Any] = {
        "ResourceIds": [lab.vpc],
        "ResourceType": "VPC",
        "TrafficType": "ALL",
        "LogDestinationType": "s3",
        "LogDestination": "arn:aws:s3:::flow-bucket/mine/",
    }
    (failed,) = ec2.create_flow_logs(**request)["Unsuccessful"]
    assert failed["Error"]["Message"] == "LogDestination: flow-bucket does not exist."
    s3.create_bucket(Bucket="flow-bucket")
    (made,) = ec2.create_flow_logs(**request)["FlowLogIds"]
    lab.exchange(84)

    def text() -> str:
        keys = [item["Key"] for item in s3.list_objects_v2(Bucket="flow-bucket").get("Contents", [])]
        assert all(key.startswith("mine/AWSLogs/123456789012/vpcflowlogs/us-east-1/") and made in key for key in keys)
        bodies = [s3.get_object(Bucket="flow-bucket", Key=key)["Body"].read() for key in keys]
        joined = "".join(gzip.decompress(body).decode() for body in bodies)
        return joined if " 84 6 " in joined else ""

    assert (eventually(text, "the object", timeout=60) or "").startswith("version account-id interface-id srcaddr")


def test_the_live_view_names_both_ends_and_the_rules(lab: Lab) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", lab.instance.port, timeout=60)
    connection.request("GET", f"/_ecsnet/flows?vpc={lab.vpc}")
    response = connection.getresponse()
    assert json.loads(response.readline()) == {"watching": True}
    lab.exchange(85)
    assert lab.connect(lab.client, lab.server.address, 5434, timeout=0.5) is None
    seen: dict[tuple[str, int], dict[str, Any]] = {}
    while ("REJECT", 5434) not in seen or ("ACCEPT", 85) not in seen:
        item = json.loads(response.readline())
        seen[item["action"], item["destination"]["port"]] = item
    accepted, rejected = seen["ACCEPT", 85], seen["REJECT", 5434]
    assert accepted["interfaces"] == [lab.client.interface, lab.server.interface]
    assert [item["rule"] for item in accepted["by"]] == [
        _rules(lab, "client", egress=True)[-1],
        _rules(lab, "server", egress=False)[80],
    ]
    assert "no inbound rule of server" in rejected["by"][0]["text"]
    assert lab.server.arn.rpartition("/")[2][:12] in rejected["destination"]["name"]
    connection.close()


def test_the_command_line_shows_what_is_denied(lab: Lab) -> None:
    view = ["flows", "-f", "--rejected", "--interface", lab.server.interface]
    with subprocess.Popen(
        [*HEARS_CTRL_C, sys.executable, "-m", "ecsnet.cli.main", *view],
        env=lab.instance.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as shown:
        assert shown.stdout is not None
        eventually(lambda: _viewers(lab.instance) > 0, "the view is open", timeout=60)
        assert lab.connect(lab.client, lab.server.address, 5435, timeout=0.5) is None
        line = shown.stdout.readline()
        assert all(word in line for word in ("REJECT", "5435/tcp", "no inbound rule of server")), line
        shown.send_signal(2)
        assert shown.wait(60) == 0
        assert shown.stderr is not None
        assert shown.stderr.read().strip() == ""
    eventually(lambda: _viewers(lab.instance) == 0, "the view is closed", timeout=60)


def test_a_reader_that_was_killed_leaves_a_gap_that_is_told(lab: Lab) -> None:
    log = lab.flow_log(lab.server.interface, "NetworkInterface", LogFormat=FORMAT + " ${sublocation-type}")
    lab.one_more_interval(log)
    first = lab.instance.status()["flows"]["reader"]
    os.kill(first, signal.SIGKILL)
    eventually(lambda: lab.instance.status()["flows"]["reader"] not in (None, first), "another reader", timeout=60)
    lab.wait(log, log_status="SKIPDATA")
    port, _ = lab.exchange(87)
    lab.wait(log, srcport=port, dstport="87", action="ACCEPT")


def test_nothing_is_read_when_nobody_wants_to_know(lab: Lab) -> None:
    ec2 = lab.instance.client("ec2")
    ids = [row["FlowLogId"] for row in ec2.describe_flow_logs()["FlowLogs"]]
    if ids:
        ec2.delete_flow_logs(FlowLogIds=ids)
    eventually(lambda: lab.instance.status()["flows"]["reader"] is None, "the reader has ended", timeout=60)


def _viewers(instance: Instance) -> int:
    return int(instance.status()["flows"]["viewers"])
