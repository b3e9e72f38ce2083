"""Through the API: NAT gateways, and two VPCs with one CIDR."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from ecsnet.cli.dial import Place, dial
from ecsnet.cli.errors import CliError, Exit
from ecsnet.testing.instance import Instance
from ecsnet.testing.waiting import eventually

pytestmark = [pytest.mark.network]

CLIENT = "198.19.255.254"
"""The address of the machine on the internet side."""


@pytest.fixture(scope="module")
def task_definition(instance: Instance) -> str:
    return define_task(instance.client("ecs"))


def define_task(ecs: Any) -> str:
    """A cluster and a task definition, both called gateways, of a client's account and region."""
    ecs.create_cluster(clusterName="gateways")
    reply = ecs.register_task_definition(
        family="gateways",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "app", "image": "absent", "portMappings": [{"containerPort": 80}]}],
    )
    return str(reply["taskDefinition"]["taskDefinitionArn"])


def run_task(
    instance: Instance,
    definition: str,
    subnet: str,
    groups: list[str] | None = None,
    *,
    public: bool = False,
    client: Any = None,
) -> dict[str, Any]:
    """Run one task and wait for it, as `client` (default: the instance's own account and region)."""
    ecs = client or instance.client("ecs")
    configuration = {"subnets": [subnet], "securityGroups": groups or []}
    if public:
        configuration["assignPublicIp"] = "ENABLED"  # type: ignore[assignment]
    arn = ecs.run_task(
        cluster="gateways",
        taskDefinition=definition,
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": configuration},
    )["tasks"][0]["taskArn"]

    def running() -> dict[str, Any] | None:
        task: dict[str, Any] = ecs.describe_tasks(cluster="gateways", tasks=[arn])["tasks"][0]
        return task if task["lastStatus"] == "RUNNING" else None

    return eventually(running, "the task runs", timeout=60) or {}


def place_of(task: dict[str, Any]) -> Place:
    return Place(netns="t" + task["taskArn"].rpartition("/")[2][:12], nameserver="169.254.169.253")


def address_of(task: dict[str, Any]) -> str:
    details = {item["name"]: item["value"] for item in task["attachments"][0]["details"]}
    return str(details["privateIPv4Address"])


@pytest.fixture
def listener(instance: Instance) -> Iterator[socket.socket]:
    """A TCP listener on the internet side."""
    with instance.inside("internet"):
        made = socket.create_server((CLIENT, 8080))
    made.settimeout(30)
    with made:
        yield made


def test_a_private_task_is_seen_as_its_nat_gateway(
    instance: Instance, task_definition: str, listener: socket.socket
) -> None:
    ec2 = instance.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.50.0.0/16")["Vpc"]["VpcId"]
    public, private = (ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.50.{n}.0/24")["Subnet"]["SubnetId"] for n in (1, 2))
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    tables = [ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"] for _ in range(2)]
    ec2.associate_route_table(RouteTableId=tables[0], SubnetId=public)
    ec2.associate_route_table(RouteTableId=tables[1], SubnetId=private)
    ec2.create_route(RouteTableId=tables[0], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    eip = ec2.allocate_address(Domain="vpc")
    nat = ec2.create_nat_gateway(SubnetId=public, AllocationId=eip["AllocationId"])["NatGateway"]["NatGatewayId"]
    ec2.get_waiter("nat_gateway_available").wait(NatGatewayIds=[nat], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    task = run_task(instance, task_definition, private)

    # without a route nothing leaves, and nothing answers
    with pytest.raises(CliError) as caught:
        dial(instance.home, place_of(task), CLIENT, 8080, timeout=1.0)
    assert caught.value.code is Exit.TIMED_OUT

    ec2.create_route(RouteTableId=tables[1], DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat)
    dial(instance.home, place_of(task), CLIENT, 8080, timeout=30.0).close()
    connection, peer = listener.accept()
    connection.close()
    assert peer[0] == eip["PublicIp"]

    ec2.delete_route(RouteTableId=tables[1], DestinationCidrBlock="0.0.0.0/0")
    with pytest.raises(CliError) as caught:
        dial(instance.home, place_of(task), CLIENT, 8080, timeout=1.0)
    assert caught.value.code is Exit.TIMED_OUT


def test_two_vpcs_with_one_cidr_do_not_see_each_other(instance: Instance, task_definition: str) -> None:
    ec2 = instance.client("ec2")
    tasks = []
    for _ in range(2):
        vpc = ec2.create_vpc(CidrBlock="10.60.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.60.1.0/28")["Subnet"]["SubnetId"]
        group = ec2.create_security_group(GroupName="open", Description="open", VpcId=vpc)["GroupId"]
        ec2.authorize_security_group_ingress(
            GroupId=group, IpPermissions=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
        )
        # a /28 has eleven addresses; with ten tasks a side the two VPCs share most of them
        tasks.append([run_task(instance, task_definition, subnet, [group]) for _ in range(10)])
    shared = {address_of(task) for task in tasks[0]} & {address_of(task) for task in tasks[1]}
    assert shared
    for side in tasks:
        own = {address_of(task): task["taskArn"].rpartition("/")[2] for task in side}
        for address, identifier in own.items():
            if address == address_of(side[0]):
                continue
            reply = instance.curl(f"http://{address}/", place=place_of(side[0]))
            assert json.loads(reply.body)["task"] == identifier
    foreign = {address_of(task) for task in tasks[1]} - {address_of(task) for task in tasks[0]}
    for address in foreign:
        with pytest.raises(CliError) as caught:
            instance.curl(f"http://{address}/", place=place_of(tasks[0][0]), timeout=0.5)
        assert caught.value.code is Exit.TIMED_OUT
