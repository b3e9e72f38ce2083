"""A hundred tasks are replaced behind a load balancer that serves 500 requests a second; then again under `kill -9`.

`ECSNET_KILLS=100` makes the second test as long as it can be; by default it kills fewer times, to be quick.
`ECSNET_SEED` chooses other points.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from test_kill import kill_agent, kill_control

from ecsnet.agent.world import World
from ecsnet.home import Home
from ecsnet.testing.instance import Instance, free_port
from ecsnet.testing.waiting import eventually

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(1500)]

TASKS = 100
RATE = 500
"""Requests a second."""
REACHED = 0.5
"""The part of them that is sent at least: beside other work on two cores 428 were."""
LOADED = 10.0
"""Seconds, at least."""
KILLS = int(os.environ.get("ECSNET_KILLS", "4"))
SEED = int(os.environ.get("ECSNET_SEED", "20261129"))

LOAD = """
import asyncio, json, sys, time
address, rate = sys.argv[1], int(sys.argv[2])
CONNECTIONS = 25
REQUEST = b"GET / HTTP/1.1\\r\\nHost: rolling\\r\\n\\r\\n"
times, failures, answered = [], [], {}
async def client(stop):
    reader = writer = None
    due = time.monotonic()
    while not stop.is_set():
        due += CONNECTIONS / rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        began = time.monotonic()
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection(address, 80)
            writer.write(REQUEST)
            head = await asyncio.wait_for(reader.readuntil(b"\\r\\n\\r\\n"), 5)
            length = int(head.lower().split(b"content-length:")[1].split(b"\\r\\n")[0])
            body = await asyncio.wait_for(reader.readexactly(length), 5)
            if not head.startswith(b"HTTP/1.1 200"):
                raise ValueError(head.split(b"\\r\\n")[0].decode())
            task = json.loads(body).get("task", "?")
            answered[task] = answered.get(task, 0) + 1
            times.append(time.monotonic() - began)
        except (OSError, ValueError, asyncio.IncompleteReadError, TimeoutError) as error:
            failures.append(f"{type(error).__name__}: {error}")
            if writer is not None:
                writer.close()
            reader = writer = None
async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, stop.set)
    began = time.monotonic()
    print("started", flush=True)
    await asyncio.gather(*(client(stop) for _ in range(CONNECTIONS)))
    times.sort()
    pick = lambda share: round(times[int(share * (len(times) - 1))] * 1000, 1) if times else None
    print(json.dumps({"requests": len(times) + len(failures), "failed": len(failures), "first": failures[:5],
                      "seconds": round(time.monotonic() - began, 1), "p50_ms": pick(0.5), "p99_ms": pick(0.99),
                      "answered_by": len(answered)}))
asyncio.run(main())
"""


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    made = Instance(home=Home(path=tmp_path_factory.mktemp("rolling")), port=free_port(), speed=20.0)
    made.up()
    try:
        yield made
    finally:
        made.down()


class Rolling:
    """A service of TASKS tasks behind an internet-facing load balancer."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        ec2, elbv2, ecs = (instance.client(name) for name in ("ec2", "elbv2", "ecs"))
        vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
        found = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
        self.subnets = [subnet["SubnetId"] for subnet in found][:2]
        self.group = ec2.create_security_group(GroupName="web", Description="web", VpcId=vpc)["GroupId"]
        ec2.authorize_security_group_ingress(
            GroupId=self.group, IpProtocol="tcp", FromPort=80, ToPort=80, CidrIp="0.0.0.0/0"
        )
        balancer = elbv2.create_load_balancer(Name="rolling", Subnets=self.subnets, SecurityGroups=[self.group])
        arn = balancer["LoadBalancers"][0]["LoadBalancerArn"]
        self.targets = elbv2.create_target_group(
            Name="rolling", Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip",
            HealthCheckIntervalSeconds=10, HealthyThresholdCount=2,
        )["TargetGroups"][0]["TargetGroupArn"]  # fmt: skip
        elbv2.modify_target_group_attributes(
            TargetGroupArn=self.targets,
            Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "20"}],
        )
        elbv2.create_listener(
            LoadBalancerArn=arn, Protocol="HTTP", Port=80,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": self.targets}],
        )  # fmt: skip
        ecs.create_cluster(clusterName="rolling")
        self.register()
        ecs.create_service(
            cluster="rolling",
            serviceName="web",
            taskDefinition="web",
            desiredCount=TASKS,
            launchType="FARGATE",
            deploymentConfiguration={"minimumHealthyPercent": 100, "maximumPercent": 125},
            loadBalancers=[{"targetGroupArn": self.targets, "containerName": "web", "containerPort": 80}],
            networkConfiguration={
                "awsvpcConfiguration": {
                    "subnets": self.subnets, "securityGroups": [self.group], "assignPublicIp": "ENABLED",
                }
            },
        )  # fmt: skip
        eventually(lambda: self.healthy() == TASKS, f"{TASKS} targets are healthy", timeout=240)

    def register(self) -> None:
        self.instance.client("ecs").register_task_definition(
            family="web", networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512",
            containerDefinitions=[{"name": "web", "image": "absent", "portMappings": [{"containerPort": 80}]}],
        )  # fmt: skip

    def healthy(self) -> int:
        found = self.instance.client("elbv2").describe_target_health(TargetGroupArn=self.targets)
        return sum(one["TargetHealth"]["State"] == "healthy" for one in found["TargetHealthDescriptions"])

    def address(self) -> str:
        filters = [{"Name": "description", "Values": ["ELB app/rolling/*"]}]
        found = self.instance.client("ec2").describe_network_interfaces(Filters=filters)["NetworkInterfaces"]
        return str(found[0]["Association"]["PublicIp"])

    def roll(self) -> None:
        self.register()
        self.instance.client("ecs").update_service(cluster="rolling", service="web", taskDefinition="web")

    def done(self) -> bool:
        service = self.instance.client("ecs").describe_services(cluster="rolling", services=["web"])["services"][0]
        return len(service["deployments"]) == 1 and service["runningCount"] == TASKS

    def tasks(self) -> list[dict[str, Any]]:
        ecs = self.instance.client("ecs")
        arns = [
            arn
            for page in ecs.get_paginator("list_tasks").paginate(cluster="rolling", serviceName="web")
            for arn in page["taskArns"]
        ]
        batches = [arns[start : start + 100] for start in range(0, len(arns), 100)]
        return [task for batch in batches for task in ecs.describe_tasks(cluster="rolling", tasks=batch)["tasks"]]

    @contextmanager
    def under_load(self, result: dict[str, Any]) -> Iterator[None]:
        """Requests from the internet side while the block runs; what became of them is in `result` after it."""
        inside = ["nsenter", "--net=/run/netns/internet", "--", sys.executable, "-c", LOAD, self.address(), str(RATE)]
        process = subprocess.Popen(
            World(self.instance.home.path).enter_command(inside),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "started\n"
            yield
            said, _ = process.communicate("\n", timeout=120)
            result.update(json.loads(said))
        finally:
            process.kill()
            process.wait()


def details(task: dict[str, Any]) -> dict[str, str]:
    return {item["name"]: item["value"] for item in task["attachments"][0]["details"]}


def test_no_request_fails_while_a_hundred_tasks_are_replaced(own: Instance) -> None:
    """Again and again, because one deployment is over in about a second."""
    rolling = Rolling(own)
    seen: dict[str, Any] = {}
    deployments = 0
    began = time.monotonic()
    with rolling.under_load(seen):
        while time.monotonic() - began < LOADED:
            before = {task["taskArn"] for task in rolling.tasks()}
            rolling.roll()
            eventually(rolling.done, "the deployment completes", timeout=600)
            assert before.isdisjoint(task["taskArn"] for task in rolling.tasks())
            deployments += 1
    print(json.dumps({"deployments": deployments, "tasks_replaced": deployments * TASKS, **seen}))
    assert seen["failed"] == 0, seen
    assert seen["requests"] >= REACHED * RATE * seen["seconds"]


def test_a_rollout_completes_whoever_is_killed(own: Instance) -> None:
    rolling = Rolling(own)
    dice = random.Random(SEED)
    kills: Counter[str] = Counter()
    while sum(kills.values()) < KILLS:
        rolling.roll()
        while not rolling.done() and sum(kills.values()) < KILLS:
            wanted = dice.randrange(1, 8)
            start = len(rolling.tasks())
            eventually(
                lambda start=start, wanted=wanted: abs(len(rolling.tasks()) - start) >= wanted or rolling.done(),
                "the deployment moves", timeout=120,
            )  # fmt: skip
            kill: Callable[[Instance], None] = dice.choice((kill_control, kill_agent))
            kill(own)
            kills[kill.__name__] += 1
            addresses = Counter(
                details(task)["privateIPv4Address"] for task in rolling.tasks() if task["lastStatus"] == "RUNNING"
            )
            assert not addresses or max(addresses.values()) == 1, addresses
        eventually(rolling.done, "the deployment completes", timeout=600)
    print(dict(kills))
    eventually(lambda: rolling.healthy() == TASKS, "all targets are healthy", timeout=240)
    tasks = rolling.tasks()
    assert len(tasks) == TASKS
    held = {details(task)["networkInterfaceId"] for task in tasks}
    filters = [{"Name": "interface-type", "Values": ["interface"]}, {"Name": "group-id", "Values": [rolling.group]}]

    def kept() -> set[str]:
        found = own.client("ec2").describe_network_interfaces(Filters=filters)["NetworkInterfaces"]
        return {one["NetworkInterfaceId"] for one in found if "ELB" not in one["Description"]}

    eventually(lambda: kept() == held, "tasks that ended give their interfaces back", timeout=120)
    wanted = {"t" + task["taskArn"].rpartition("/")[2][:12] for task in tasks}

    def different() -> set[str]:
        return {name for name in own.namespaces() if name.startswith("t")} ^ wanted

    try:
        eventually(lambda: not different(), "no namespace leaks and none is missing")
    except AssertionError as error:
        kinds = {name: "missing" if name in wanted else own.kind_of_pin(name) for name in different()}
        raise AssertionError(f"{error}: {kinds}") from error
