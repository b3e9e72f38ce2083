"""Every network mode through the API, on real instances, with stand-ins.

Source: Amazon ECS Developer Guide, "Amazon ECS task networking options for EC2".
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from ecsnet.cli.dial import Place
from ecsnet.cli.errors import CliError, Exit
from ecsnet.testing.instance import Instance
from ecsnet.testing.waiting import eventually

pytestmark = pytest.mark.network

CLUSTER = "modes"
ROLE = "arn:aws:iam::123456789012:role/shop"
RESOLVER = "10.80.0.2"
TCP = {"IpProtocol": "tcp", "IpRanges": [{"CidrIp": "10.80.0.0/16"}]}


class Fleet:
    """A VPC with one subnet, a cluster with container instances whose group opens 8080 and 9090, and a client."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.ec2, self.ecs = instance.client("ec2"), instance.client("ecs")
        self.ecs.create_cluster(clusterName=CLUSTER)
        self.vpc = self.ec2.create_vpc(CidrBlock="10.80.0.0/16")["Vpc"]["VpcId"]
        self.subnet = self.ec2.create_subnet(VpcId=self.vpc, CidrBlock="10.80.1.0/24", AvailabilityZone="us-east-1a")[
            "Subnet"
        ]["SubnetId"]
        self.group = self.new_group("machines", 8080, 9090)
        self.machines = 0
        self.machine()

    def new_group(self, name: str, *ports: int) -> str:
        group: str = self.ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)["GroupId"]
        for port in ports:
            self.ec2.authorize_security_group_ingress(
                GroupId=group, IpPermissions=[{**TCP, "FromPort": port, "ToPort": port}]
            )
        return group

    def machine(self, **options: Any) -> str:
        """Another container instance; its instance id."""
        (made,) = self.ec2.run_instances(
            ImageId="ami-12345678",
            InstanceType="m5.large",
            MinCount=1,
            MaxCount=1,
            SubnetId=self.subnet,
            SecurityGroupIds=[self.group],
            UserData=f"#!/bin/bash\necho ECS_CLUSTER={CLUSTER} >> /etc/ecs/ecs.config\n",
            **options,
        )["Instances"]
        self.machines += 1
        eventually(lambda: len(self.connected()) == self.machines, "the agent registers", timeout=20)
        return str(made["InstanceId"])

    def connected(self) -> list[str]:
        found: list[str] = self.ecs.list_container_instances(cluster=CLUSTER, filter="agentConnected == true")[
            "containerInstanceArns"
        ]
        return found

    def address(self, task: dict[str, Any]) -> str:
        """The private address of the instance that a task runs on."""
        (row,) = self.ecs.describe_container_instances(
            cluster=CLUSTER, containerInstances=[task["containerInstanceArn"]]
        )["containerInstances"]
        (found,) = self.ec2.describe_instances(InstanceIds=[row["ec2InstanceId"]])["Reservations"]
        return str(found["Instances"][0]["PrivateIpAddress"])

    def define(self, family: str, mode: str, *containers: dict[str, Any], **more: Any) -> str:
        reply = self.ecs.register_task_definition(
            family=family,
            networkMode=mode,
            taskRoleArn=ROLE,
            containerDefinitions=[{"image": "absent", "memory": 64, **one} for one in containers],
            **more,
        )
        return str(reply["taskDefinition"]["taskDefinitionArn"])

    def run(self, definition: str, status: str = "RUNNING", **options: Any) -> dict[str, Any]:
        """A task that has got to a status."""
        reply = self.ecs.run_task(cluster=CLUSTER, taskDefinition=definition, launchType="EC2", **options)
        assert reply["failures"] == []
        return self.wait(reply["tasks"][0]["taskArn"], status)

    def wait(self, arn: str, status: str) -> dict[str, Any]:
        def there() -> dict[str, Any] | None:
            (task,) = self.ecs.describe_tasks(cluster=CLUSTER, tasks=[arn])["tasks"]
            assert status == "STOPPED" or task["lastStatus"] != "STOPPED", task["stoppedReason"]
            return task if task["lastStatus"] == status else None

        found = eventually(there, f"the task is {status}", timeout=40)
        assert found is not None
        return found

    def stop(self, *tasks: dict[str, Any]) -> None:
        for task in tasks:
            self.ecs.stop_task(cluster=CLUSTER, task=task["taskArn"])
        for task in tasks:
            self.wait(task["taskArn"], "STOPPED")

    def place(self, task: dict[str, Any], container: str | None = None) -> Place:
        containers = self.instance.task(task["taskArn"])["containers"]
        (netns,) = (one["netns"] for one in containers if one["name"] == (container or containers[0]["name"]))
        return Place(netns=netns, nameserver=RESOLVER)

    def get(self, url: str, place: Place, timeout: float = 3.0) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(self.instance.curl(url, place=place, timeout=timeout).body)
        return decoded

    def refused(self, url: str, place: Place) -> Exit:
        """How a request fails that must fail."""
        with pytest.raises(CliError) as caught:
            self.instance.curl(url, place=place, timeout=0.5)
        return caught.value.code


@pytest.fixture(scope="module")
def fleet(instance: Instance) -> Fleet:
    return Fleet(instance)


@pytest.fixture(scope="module")
def client(fleet: Fleet) -> dict[str, Any]:
    """A task with an interface of its own, which nobody may reach."""
    definition = fleet.define("client", "awsvpc", {"name": "client", "portMappings": [{"containerPort": 8080}]})
    network = {"subnets": [fleet.subnet], "securityGroups": [fleet.new_group("shut")]}
    return fleet.run(definition, networkConfiguration={"awsvpcConfiguration": network})


def bindings(task: dict[str, Any], container: str) -> list[dict[str, Any]]:
    (found,) = (one["networkBindings"] for one in task["containers"] if one["name"] == container)
    return list(found)


def test_bridge_static_port(fleet: Fleet, client: dict[str, Any]) -> None:
    web = {"name": "web", "portMappings": [{"containerPort": 80, "hostPort": 8080}], "links": ["api:backend"]}
    api = {"name": "api", "portMappings": [{"containerPort": 80}]}
    task = fleet.run(fleet.define("bridge", "bridge", web, api))
    address = fleet.address(task)
    assert bindings(task, "web") == [{"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 8080, "protocol": "tcp"}]
    (dynamic,) = bindings(task, "api")
    assert 32768 <= dynamic["hostPort"] <= 60999

    about = fleet.get(f"http://{address}:8080/", fleet.place(client))
    assert (about["container"], about["mode"], about["task"]) == ("web", "bridge", task["taskArn"].rpartition("/")[2])
    # the instance's group does not open the other port
    assert fleet.refused(f"http://{address}:{dynamic['hostPort']}/", fleet.place(client)) is Exit.TIMED_OUT

    # localhost is each container's own: both listen on port 80, and each finds itself
    for name in ("web", "api"):
        assert fleet.get("http://127.0.0.1/", fleet.place(task, name))["container"] == name
    # one reaches the other by the machine's mapped port, and not by the unmapped one
    place = fleet.place(task, "web")
    assert fleet.get(f"http://{address}:{dynamic['hostPort']}/", place)["container"] == "api"
    assert fleet.refused(f"http://{address}:80/", place) is Exit.NO_CONNECTION

    second = fleet.ecs.run_task(cluster=CLUSTER, taskDefinition="bridge", launchType="EC2")
    assert [one["reason"] for one in second["failures"]] == ["RESOURCE:PORTS"]
    fleet.stop(task)
    fleet.stop(fleet.run("bridge"))


def test_host_shares_the_machine(fleet: Fleet, client: dict[str, Any]) -> None:
    one = fleet.run(fleet.define("host", "host", {"name": "app", "portMappings": [{"containerPort": 8080}]}))
    other = fleet.run(fleet.define("peer", "host", {"name": "peer", "portMappings": [{"containerPort": 7000}]}))
    address = fleet.address(one)
    assert bindings(one, "app") == [{"bindIP": "0.0.0.0", "containerPort": 8080, "hostPort": 8080, "protocol": "tcp"}]
    assert fleet.get(f"http://{address}:8080/", fleet.place(client))["container"] == "app"
    # two tasks share one loopback
    assert fleet.get("http://127.0.0.1:8080/", fleet.place(other))["container"] == "app"
    assert fleet.get("http://127.0.0.1:7000/", fleet.place(one))["container"] == "peer"
    # and the group of the instance decides
    assert fleet.refused(f"http://{address}:7000/", fleet.place(client)) is Exit.TIMED_OUT
    # a mapped port is a matter of placement
    second = fleet.ecs.run_task(cluster=CLUSTER, taskDefinition="host", launchType="EC2")
    assert [one["reason"] for one in second["failures"]] == ["RESOURCE:PORTS"]
    fleet.stop(one, other)


def test_none_reaches_nobody(fleet: Fleet, client: dict[str, Any]) -> None:
    task = fleet.run(fleet.define("none", "none", {"name": "alone"}))
    assert bindings(task, "alone") == []
    assert fleet.refused(f"http://{fleet.address(task)}:8080/", fleet.place(task)) is Exit.NO_CONNECTION
    fleet.stop(task)
