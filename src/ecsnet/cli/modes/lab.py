"""What the comparison runs on, made through the AWS API: three container instances, and in each mode the same two
services, the client's on the first instance and the server's on the second.

The third instance is a cluster of its own, for starting tasks: how fast, and how many. ECS's reason for placing no
further one is then about that instance alone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ecsnet.cli.client import aws
from ecsnet.cli.errors import CliError
from ecsnet.cli.modes import service
from ecsnet.cli.modes.report import Density

INSTANCE_TYPE = "t3.medium"
CLUSTER, STARTS = "modes", "starts"
CLIENT, SERVER, NEIGHBOUR = "client", "server", "neighbour"
INSTANCES_GROUP, TASKS_GROUP = "instances", "tasks"

_OPEN = (
    ("udp", service.HOPS),
    *(("tcp", port) for port in (service.ASK, service.STREAM, service.ECHO, service.CONNECT)),
)
_CLOSED_OF_BRIDGE = 9081
"""The host port that stands for CLOSED in bridge mode; CLOSED itself is the host task's. Both lie outside the
dynamic range, which the instances' group admits."""

_DYNAMIC = (32768, 60999)
_POLL = 0.002
_PATIENCE = 20.0
_MEMORY = 256
"""MiB of a task that is started to see how many fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One running container of a service's task."""

    task: str
    pid: int
    ports: dict[tuple[str, int], int]
    """(protocol, its own port) → the port at which others reach it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The two services of a mode."""

    mode: str
    client: Container
    server: Container
    neighbour: Container
    """The second container of the server's task."""
    interfaces: int
    """Network interfaces that came with them."""


class Lab:
    """The VPC, the instances and the cluster."""

    def __init__(self) -> None:
        self._ec2, self._ecs = aws("ec2"), aws("ecs")
        self.vpc = self._ec2.create_vpc(CidrBlock="10.40.0.0/16")["Vpc"]["VpcId"]
        self._subnets = [
            self._ec2.create_subnet(VpcId=self.vpc, CidrBlock=f"10.40.{n}.0/24")["Subnet"]["SubnetId"] for n in range(3)
        ]
        self._groups = {name: self._group(name) for name in (INSTANCES_GROUP, TASKS_GROUP)}
        self._admit(INSTANCES_GROUP, [*_OPEN, ("tcp", _DYNAMIC), ("udp", _DYNAMIC)])
        self._admit(TASKS_GROUP, _OPEN)
        for cluster in (CLUSTER, STARTS):
            self._ecs.create_cluster(clusterName=cluster)
        clusters = (CLUSTER, CLUSTER, STARTS)
        self.instances = [self._instance(*both) for both in zip(self._subnets, clusters, strict=True)]
        for cluster in (CLUSTER, STARTS):
            _until(
                lambda cluster=cluster: self._connected(cluster) == clusters.count(cluster),  # type: ignore[misc]
                "the instances' agents did not register",
            )

    # ── the network ──────────────────────────────────────────────────────────────────────────────────────────────

    def _group(self, name: str) -> str:
        reply = self._ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)
        return str(reply["GroupId"])

    def _admit(self, name: str, ports: Sequence[tuple[str, int | tuple[int, int]]]) -> None:
        """From members of the same group only."""
        permissions = []
        for protocol, port in ports:
            first, last = port if isinstance(port, tuple) else (port, port)
            peer = {"UserIdGroupPairs": [{"GroupId": self._groups[name]}]}
            permissions.append({"IpProtocol": protocol, "FromPort": first, "ToPort": last, **peer})
        self._ec2.authorize_security_group_ingress(GroupId=self._groups[name], IpPermissions=permissions)

    def _connected(self, cluster: str) -> int:
        reply = self._ecs.list_container_instances(cluster=cluster, filter="agentConnected == true")
        return len(reply["containerInstanceArns"])

    def _instance(self, subnet: str, cluster: str) -> str:
        reply = self._ec2.run_instances(
            ImageId="ami-12345678",
            InstanceType=INSTANCE_TYPE,
            MinCount=1,
            MaxCount=1,
            SubnetId=subnet,
            SecurityGroupIds=[self._groups[INSTANCES_GROUP]],
            UserData=f"#!/bin/bash\necho ECS_CLUSTER={cluster} >> /etc/ecs/ecs.config\n",
        )
        return str(reply["Instances"][0]["InstanceId"])

    def interfaces(self) -> list[dict[str, Any]]:
        """The network interfaces of the VPC, as DescribeNetworkInterfaces shows them."""
        reply = self._ec2.describe_network_interfaces(Filters=[{"Name": "vpc-id", "Values": [self.vpc]}])
        return list(reply["NetworkInterfaces"])

    def hop_limit(self, instance: str) -> int:
        """How far an instance's metadata tokens travel (DescribeInstances)."""
        found = self._ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        return int(found["MetadataOptions"]["HttpPutResponseHopLimit"])

    def attachments(self, task: str) -> list[dict[str, Any]]:
        """The attachments of a task, as DescribeTasks shows them."""
        return list(self._described(CLUSTER, [task])[0]["attachments"])

    def rules(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        return list(self._ec2.describe_security_group_rules(SecurityGroupRuleIds=list(ids))["SecurityGroupRules"])

    def group_name(self, identifier: str) -> str:
        return next(name for name, known in self._groups.items() if known == identifier)

    # ── the two services ─────────────────────────────────────────────────────────────────────────────────────────

    def run(self, mode: str) -> Running | str:
        """Start the two services of a mode; when they do not come up, what is seen of their tasks."""
        before = len(self.interfaces())
        for name, number in ((CLIENT, 0), (SERVER, 1)):
            self._ecs.create_service(
                cluster=CLUSTER,
                serviceName=f"{mode}-{name}",
                taskDefinition=self._register(f"{mode}-{name}", mode, _containers(name, mode)),
                desiredCount=1,
                **self._on(number),
                **self._network(mode, number),
            )
        deadline = time.monotonic() + _PATIENCE
        while True:
            tasks = [task for name in (CLIENT, SERVER) for task in self._tasks(f"{mode}-{name}")]
            if len(tasks) == 2 and all(task["lastStatus"] == "RUNNING" for task in tasks):
                break
            if time.monotonic() > deadline:
                seen = self._trouble(mode, tasks)
                self._end(mode)
                return seen
            time.sleep(0.05)
        client, server = ({one["name"]: _container(task, one) for one in task["containers"]} for task in tasks)
        return Running(
            mode=mode,
            client=client[CLIENT],
            server=server[SERVER],
            neighbour=server[NEIGHBOUR],
            interfaces=len(self.interfaces()) - before,
        )

    def _register(self, family: str, mode: str, containers: list[dict[str, Any]]) -> str:
        reply = self._ecs.register_task_definition(family=family, networkMode=mode, containerDefinitions=containers)
        return str(reply["taskDefinition"]["taskDefinitionArn"])

    def _on(self, number: int) -> dict[str, Any]:
        expression = f"ec2InstanceId == {self.instances[number]}"
        return {"launchType": "EC2", "placementConstraints": [{"type": "memberOf", "expression": expression}]}

    def _network(self, mode: str, number: int) -> dict[str, Any]:
        """In awsvpc mode an interface in the instance's subnet, with a group of the tasks' own."""
        if mode != "awsvpc":
            return {}
        network = {"subnets": [self._subnets[number]], "securityGroups": [self._groups[TASKS_GROUP]]}
        return {"networkConfiguration": {"awsvpcConfiguration": network}}

    def _tasks(self, name: str) -> list[dict[str, Any]]:
        arns = self._ecs.list_tasks(cluster=CLUSTER, serviceName=name)["taskArns"]
        return self._described(CLUSTER, arns)

    def _described(self, cluster: str, arns: Sequence[str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for first in range(0, len(arns), 100):
            found += self._ecs.describe_tasks(cluster=cluster, tasks=arns[first : first + 100])["tasks"]
        return found

    def _trouble(self, mode: str, tasks: Sequence[dict[str, Any]]) -> str:
        if tasks:
            states = ", ".join(f"{task['lastStatus']} {task.get('stoppedReason', '')}".strip() for task in tasks)
            return f"after {_PATIENCE:.0f} s its tasks are {states}"
        services = self._ecs.describe_services(cluster=CLUSTER, services=[f"{mode}-{SERVER}"])["services"]
        events = services[0]["events"]
        return str(events[0]["message"]) if events else f"after {_PATIENCE:.0f} s it has no task"

    def _end(self, mode: str) -> None:
        for name in (CLIENT, SERVER):
            self._ecs.delete_service(cluster=CLUSTER, service=f"{mode}-{name}", force=True)

    # ── starting tasks ───────────────────────────────────────────────────────────────────────────────────────────

    def starts(self, mode: str, count: int) -> Iterator[float]:
        """Milliseconds from RunTask sent to DescribeTasks saying RUNNING, one task after the other.

        The first one is not counted: it starts the server that all stand-ins share.
        """
        definition = self._small(mode)
        for number in range(count + 1):
            began = time.perf_counter()
            arns, refusal = self._run_tasks(mode, definition, 1)
            if refusal:
                raise CliError(f"a task in {mode} mode found no place: {refusal}.")
            _until(lambda arns=arns: self._are(arns, "RUNNING"), f"a task in {mode} mode did not run")  # type: ignore[misc]
            passed = time.perf_counter() - began
            self._stop(arns)
            if number > 0:
                yield passed * 1000

    def density(self, mode: str) -> Density:
        """Run tasks on the third instance until ECS refuses one; then stop them."""
        definition = self._small(mode)
        arns: list[str] = []
        refusal = ""
        while not refusal:
            more, refusal = self._run_tasks(mode, definition, 10)
            arns += more
        _until(lambda: self._are(arns, "RUNNING"), f"{len(arns)} tasks in {mode} mode did not run")
        self._stop(arns)
        return Density(tasks=len(arns), refusal=refusal)

    def _run_tasks(self, mode: str, definition: str, count: int) -> tuple[list[str], str]:
        """The tasks, and ECS's reason when there are fewer than `count`."""
        reply = self._ecs.run_task(
            cluster=STARTS, taskDefinition=definition, count=count, launchType="EC2", **self._network(mode, 2)
        )
        refusal = next((str(failure["reason"]) for failure in reply["failures"]), "")
        return [str(task["taskArn"]) for task in reply["tasks"]], refusal

    def _small(self, mode: str) -> str:
        """One stand-in container with one port, as the compared services have it."""
        mapping = {"containerPort": service.ASK, **({"hostPort": 0} if mode == "bridge" else {})}
        container = {"name": "app", "image": "ecsnet/none", "memory": _MEMORY, "portMappings": [mapping]}
        return self._register(f"{mode}-small", mode, [{**container, "dockerLabels": {"ecsnet.runtime": "stand-in"}}])

    def _are(self, arns: Sequence[str], status: str) -> bool:
        return all(task["lastStatus"] == status for task in self._described(STARTS, arns))

    def _stop(self, arns: Sequence[str]) -> None:
        for arn in arns:
            self._ecs.stop_task(cluster=STARTS, task=arn)
        _until(lambda: self._are(arns, "STOPPED"), "tasks did not stop")


def _containers(name: str, mode: str) -> list[dict[str, Any]]:
    """The client's task only waits; the server's serves, and has a second container beside it."""
    wait = ["sleep", "infinity"]
    if name == CLIENT:
        return [_definition(CLIENT, wait)]
    mappings = []
    for protocol, port in (*_OPEN, ("tcp", service.CLOSED)):
        host = {"bridge": _CLOSED_OF_BRIDGE if port == service.CLOSED else 0}.get(mode, port)
        mappings.append({"containerPort": port, "hostPort": host, "protocol": protocol})
    serve = [sys.executable, "-m", "ecsnet.cli.modes.service"]
    return [{**_definition(SERVER, serve), "portMappings": mappings}, _definition(NEIGHBOUR, wait)]


def _definition(name: str, command: list[str]) -> dict[str, Any]:
    labels = {"ecsnet.runtime": "process"}
    return {"name": name, "image": "ecsnet/none", "memory": 128, "command": command, "dockerLabels": labels}


def _container(task: dict[str, Any], one: dict[str, Any]) -> Container:
    bindings = one.get("networkBindings", ())
    return Container(
        task=task["taskArn"],
        pid=int(one["runtimeId"].removeprefix("process:")),
        ports={(binding["protocol"], binding["containerPort"]): binding["hostPort"] for binding in bindings},
    )


def _until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition. Raises CliError with `what` when it does not come true."""
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise CliError(f"{what} in {_PATIENCE:.0f} s.", hint="See: ecsnet status --log")
        time.sleep(_POLL)
