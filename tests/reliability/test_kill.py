"""`kill -9` of control and of the agent during a rollout: nothing leaks, nothing doubles, no connection is cut."""

from __future__ import annotations

import os
import random
import signal
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ecsnet.cli.client import running
from ecsnet.home import Home
from ecsnet.testing.instance import Instance, free_port
from ecsnet.testing.waiting import eventually

pytestmark = [pytest.mark.network, pytest.mark.timeout(900)]

TASKS = 20
KILLS = 10
CONNECTIONS = 50


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    made = Instance(home=Home(path=tmp_path_factory.mktemp("kill")), port=free_port(), speed=10.0)
    made.up()
    try:
        yield made
    finally:
        made.down()


class Network:
    """A VPC of our own with one steady service and one that is rolled out."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        ec2, ecs = instance.client("ec2"), instance.client("ecs")
        self.vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
        self.subnet = ec2.create_subnet(VpcId=self.vpc, CidrBlock="10.77.1.0/24")["Subnet"]["SubnetId"]
        self.group = ec2.create_security_group(GroupName="all", Description="all", VpcId=self.vpc)["GroupId"]
        ec2.authorize_security_group_ingress(
            GroupId=self.group,
            IpPermissions=[
                {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "UserIdGroupPairs": [{"GroupId": self.group}]}
            ],
        )
        self.cluster = ecs.create_cluster(clusterName="kill")["cluster"]["clusterArn"]
        ecs.register_task_definition(
            family="app",
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu="256",
            memory="512",
            containerDefinitions=[{"name": "app", "image": "absent", "portMappings": [{"containerPort": 80}]}],
        )

    def service(self, name: str, count: int) -> None:
        self.instance.client("ecs").create_service(
            cluster="kill",
            serviceName=name,
            taskDefinition="app",
            desiredCount=count,
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": {"subnets": [self.subnet], "securityGroups": [self.group]}},
        )

    def tasks(self, service: str, status: str = "RUNNING") -> list[dict[str, Any]]:
        ecs = self.instance.client("ecs")
        arns: list[str] = []
        for page in ecs.get_paginator("list_tasks").paginate(
            cluster="kill", serviceName=service, desiredStatus="RUNNING"
        ):
            arns += page["taskArns"]
        found = ecs.describe_tasks(cluster="kill", tasks=arns)["tasks"] if arns else []
        return [task for task in found if task["lastStatus"] == status]


def address_of(task: dict[str, Any]) -> str:
    details = {item["name"]: item["value"] for item in task["attachments"][0]["details"]}
    return str(details["privateIPv4Address"])


def namespace_of(task: dict[str, Any]) -> str:
    return "t" + task["taskArn"].rpartition("/")[2][:12]


def exchange(connection: socket.socket) -> None:
    connection.sendall(b"GET / HTTP/1.1\r\nHost: kept\r\n\r\n")
    reply = connection.recv(65536)
    assert reply.startswith(b"HTTP/1.1 200"), reply[:80]


def kill_control(instance: Instance) -> None:
    found = running(instance.home)
    assert found is not None
    os.kill(found[0], signal.SIGKILL)
    eventually(lambda: running(instance.home) is None, "control is dead")
    instance.up()


def kill_agent(instance: Instance) -> None:
    pid = instance.status()["agent"]["pid"]
    os.kill(pid, signal.SIGKILL)
    eventually(
        lambda: (status := instance.status())["agent"]["connected"] and status["agent"]["pid"] != pid,
        "a new agent is connected",
    )


@pytest.mark.parametrize("kill", [kill_control, kill_agent], ids=["control", "agent"])
def test_kill_during_a_rollout(own: Instance, kill: Callable[[Instance], None]) -> None:
    network = Network(own)
    network.service("steady", 2)
    steady = eventually(lambda: len(t := network.tasks("steady")) == 2 and t, "the steady service runs")
    with own.inside(namespace_of(steady[0])):
        kept = [socket.create_connection((address_of(steady[1]), 80), timeout=30) for _ in range(CONNECTIONS)]
    for connection in kept:
        exchange(connection)

    dice = random.Random(20261122)
    points = sorted(dice.randrange(TASKS) for _ in range(KILLS))
    network.service("rolled", TASKS)
    for point in points:
        eventually(lambda wanted=point: len(network.tasks("rolled")) >= wanted, f"{point} tasks run", timeout=120)
        kill(own)
    tasks = eventually(lambda: len(t := network.tasks("rolled")) == TASKS and t, "the rollout completes", timeout=120)

    for connection in kept:
        exchange(connection)
        connection.close()

    everything = tasks + network.tasks("steady")
    addresses = Counter(address_of(task) for task in everything)
    assert max(addresses.values()) == 1, addresses
    interfaces = own.client("ec2").describe_network_interfaces()["NetworkInterfaces"]
    assert len(interfaces) == TASKS + 2
    namespaces = {name for name in own.namespaces() if name.startswith("t")}
    assert namespaces == {namespace_of(task) for task in everything}
    # every task answers, each as itself
    with own.inside(namespace_of(steady[0])):
        for task in tasks:
            with socket.create_connection((address_of(task), 80), timeout=30) as connection:
                exchange(connection)
    own.client("ecs").update_service(cluster="kill", service="rolled", desiredCount=0)
    eventually(lambda: len({n for n in own.namespaces() if n.startswith("t")}) == 2, "the rest is gone", timeout=120)
