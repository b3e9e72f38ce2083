"""Public templates deployed as they are, into an ecsnet that begins empty: who runs there, and places to ask from."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from ecsnet.cli.dial import Place, dial
from ecsnet.cli.errors import CliError, Exit
from ecsnet.cli.traffic import INTERNET
from ecsnet.fabric.kernel.naming import instance_namespace, load_balancer_namespace
from ecsnet.testing.instance import Instance
from ecsnet.testing.waiting import eventually

RESOLVER = "169.254.169.253"
CLIENT = "198.19.255.254"
"""The address of the machine on the internet side."""
SCAFFOLD = Path(__file__).resolve().parents[2] / "bench" / "templates" / "scaffold.yaml"
"""What templates expect to find in an account already: a network, a cluster with a capacity provider, roles."""

Task = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An ecsnet, and the folder of templates."""

    instance: Instance
    templates: Path

    def __post_init__(self) -> None:
        self.instance.reset()

    def client(self, service: str) -> Any:
        return self.instance.client(service)

    # ── stacks ───────────────────────────────────────────────────────────────────────────────────────────────────

    def deploy(self, template: str, stack: str, **parameters: str) -> dict[str, str]:
        """`ecsnet deploy` of `<repository>/<path>`; the stack's outputs."""
        return self.instance.deploy(self.templates / template, stack, parameters)

    def scaffold(self) -> dict[str, str]:
        return self.instance.deploy(SCAFFOLD, "scaffold")

    def refused(self, template: str, stack: str, **parameters: str) -> str:
        """With what words a template fails to deploy."""
        words = [word for key, value in parameters.items() for word in ("--param", f"{key}={value}")]
        done = self.instance.run(
            "deploy", str(self.templates / template), "--stack-name", stack, "--quiet", *words, check=False
        )
        assert done.returncode == 1, done.stdout
        return " ".join(done.stderr.split())

    # ── what runs ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def cluster(self) -> str:
        """The cluster, when there is one."""
        (found,) = self.client("ecs").list_clusters()["clusterArns"]
        return str(found)

    def tasks(self, service: str | None = None, *, cluster: str | None = None) -> list[Task]:
        """Running tasks of a cluster (default: the only one), or of a service there."""
        ecs, cluster = self.client("ecs"), cluster or self.cluster
        named = {} if service is None else {"serviceName": service}
        arns = [
            arn
            for page in ecs.get_paginator("list_tasks").paginate(cluster=cluster, **named)
            for arn in page["taskArns"]
        ]
        return [
            task
            for begin in range(0, len(arns), 100)
            for task in ecs.describe_tasks(cluster=cluster, tasks=arns[begin : begin + 100])["tasks"]
        ]

    def scale(self, service: str, count: int, *, cluster: str | None = None) -> None:
        """Set a service's count and wait until so many run."""
        where = cluster or self.cluster
        self.client("ecs").update_service(cluster=where, service=service, desiredCount=count)
        eventually(
            lambda: len(running(self.tasks(service, cluster=where))) == count,
            f"{count} tasks of {service} run",
            timeout=60,
        )

    def balancer(self) -> dict[str, Any]:
        """The load balancer, when there is one."""
        (found,) = self.client("elbv2").describe_load_balancers()["LoadBalancers"]
        return dict(found)

    def node_addresses(self, balancer: dict[str, Any]) -> set[str]:
        """The addresses of a load balancer's nodes in its VPC."""
        name = balancer["LoadBalancerArn"].partition("loadbalancer/")[2]
        found = self.client("ec2").describe_network_interfaces(
            Filters=[{"Name": "description", "Values": [f"ELB {name}"]}]
        )
        return {one["PrivateIpAddress"] for one in found["NetworkInterfaces"]}

    def interface(self, task: Task) -> dict[str, Any]:
        details = {item["name"]: item["value"] for item in task["attachments"][0]["details"]}
        (found,) = self.client("ec2").describe_network_interfaces(NetworkInterfaceIds=[details["networkInterfaceId"]])[
            "NetworkInterfaces"
        ]
        return dict(found)

    def machines(self) -> list[dict[str, Any]]:
        """Running instances."""
        found = self.client("ec2").describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["running"]}])
        return [one for reservation in found["Reservations"] for one in reservation["Instances"]]

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────

    def host(self, subnet: str, *groups: str) -> Place:
        """A plain instance in a subnet, in groups (default: the VPC's own)."""
        ec2 = self.client("ec2")
        more: dict[str, Any] = {"SecurityGroupIds": list(groups)} if groups else {}
        (made,) = ec2.run_instances(
            ImageId="ami-12345678", InstanceType="t3.micro", MinCount=1, MaxCount=1, SubnetId=subnet, **more
        )["Instances"]
        ec2.get_waiter("instance_running").wait(
            InstanceIds=[made["InstanceId"]], WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
        return place_of_instance(made["InstanceId"])

    def ask(self, url: str, place: Place = INTERNET, **headers: str) -> tuple[int, dict[str, Any]]:
        """One request: status, and what the stand-in says of itself and the request ({} when it was not one)."""
        reply = self.instance.curl(url, place=place, headers={k.replace("_", "-"): v for k, v in headers.items()})
        try:
            return reply.status, json.loads(reply.body)
        except ValueError:
            return reply.status, {}

    def who(self, url: str, times: int, place: Place = INTERNET) -> Counter[str]:
        """Which tasks answer how often; every request must succeed."""
        seen: Counter[str] = Counter()
        for _ in range(times):
            status, about = self.ask(url, place)
            assert status == 200, about
            seen[about["task"]] += 1
        return seen

    def fetch(self, place: Place, port: int, url: str) -> tuple[int, dict[str, Any]]:
        """What a stand-in gets that is told, on its own loopback, to ask for a URL."""
        reply = self.instance.curl(
            f"http://127.0.0.1:{port}/fetch?url={quote(url, safe='')}", place=place, timeout=30.0
        )
        return reply.status, json.loads(reply.body)["fetch"]

    def eventually_fetches(self, status: int, place: Place, port: int, url: str) -> None:
        eventually(lambda: self.fetch(place, port, url)[1].get("status") == status, f"{url}: {status}", timeout=60)

    def fails(self, url: str, place: Place = INTERNET, *, timeout: float = 0.7) -> Exit:
        """How a request fails that gets no answer within so many seconds: TIMED_OUT when it is dropped."""
        with pytest.raises(CliError) as caught:
            self.instance.curl(url, place=place, timeout=timeout)
        return caught.value.code

    def refuses(self, url: str, place: Place) -> bool:
        """Whether the answer is a reset, for which a busy machine gets time."""
        return self.fails(url, place, timeout=30.0) is Exit.NO_CONNECTION

    @contextmanager
    def listening(self, netns: str, address: str, port: int) -> Iterator[socket.socket]:
        with self.instance.inside(netns):
            made = socket.create_server((address, port))
        made.settimeout(30)
        with made:
            yield made

    def source_seen(self, place: Place, port: int = 8080) -> str | None:
        """As whom the internet sees a place; None when nothing of it arrives."""
        with self.listening("internet", CLIENT, port) as server:
            try:
                dial(self.instance.home, place, CLIENT, port, timeout=0.7).close()
            except CliError as error:
                assert error.code is Exit.TIMED_OUT, error.message  # noqa: PT017 (silence is one of the answers)
                return None
            connection, peer = server.accept()
            connection.close()
            return str(peer[0])


def place_of(task: Task) -> Place:
    """Inside a task with an interface of its own."""
    return Place(netns="t" + identifier(task)[:12], nameserver=RESOLVER)


def place_of_instance(instance: str) -> Place:
    return Place(netns=instance_namespace(instance), nameserver=RESOLVER)


def place_of_balancer(balancer: dict[str, Any]) -> Place:
    """Among the nodes of a load balancer: what starts there has the address of one, and its groups."""
    return Place(netns=load_balancer_namespace(balancer["LoadBalancerArn"]), nameserver=RESOLVER)


def identifier(task: Task) -> str:
    return str(task["taskArn"].rpartition("/")[2])


def address(task: Task) -> str:
    details = {item["name"]: item["value"] for item in task["attachments"][0]["details"]}
    return str(details["privateIPv4Address"])


def running(tasks: Sequence[Task]) -> list[Task]:
    return [task for task in tasks if task["lastStatus"] == "RUNNING"]
