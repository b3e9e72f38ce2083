"""API calls against ecsnet and against moto's own server, in the same run: raw HTTP (one connection) and boto3.

ecsnet here is the gateway with the real services and a real store on disk, without a data plane: writes do not wait
for an agent. `bench/network.py` measures the whole. moto is its stock `moto_server` (werkzeug, threaded).
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import boto3
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

from harness import resident, summary, write

ACCOUNT = "123456789012"
REGION = "us-east-1"
INTERFACES = 1_000
TASKS = 100
ECS_TARGET = "AmazonEC2ContainerServiceV20141113."

TARGETS = {
    "DescribeVpcs": 10,
    "CreateSecurityGroup": 10,
    "DescribeNetworkInterfaces(1000)": 50,
    "DescribeTasks(100)": 50,
    "ListTasks(100)": 10,
}
"""How many times faster than moto a median raw call is meant to be."""


# ── the two servers ──────────────────────────────────────────────────────────────────────────────────────────────


def serve_ecsnet(port: int, directory: Path) -> None:
    """Run the gateway in this process until it is killed."""
    import gc

    from ecsnet.aws.app import make_app
    from ecsnet.aws.ids import RandomIds
    from ecsnet.aws.server import make_server
    from ecsnet.daemon import SERVICES
    from ecsnet.model.tables import SCHEMA
    from ecsnet.services.backing import Backing
    from ecsnet.services.call import Settings
    from ecsnet.services.ec2.ops import seed_account
    from ecsnet.store.store import Store

    async def applied(revision: int) -> None:
        return None

    app = make_app(
        store=Store(directory / "store.journal", SCHEMA),
        services=SERVICES,
        ids=RandomIds(),
        clock=time.time,
        settings=Settings(quotas={"interfaces_per_region": 10_000, "groups_per_region": 1_000_000}),
        backing=Backing(directory),
        seed=seed_account,
        applied=applied,
        routes={},
    )
    # As the daemon has it.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    make_server(app, port=port).run()


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    name: str
    port: int
    process: subprocess.Popen[bytes]

    def cpu(self) -> float:
        """Seconds of processor time so far, own threads included."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def client(self, service: str) -> Any:
        return boto3.session.Session().client(
            service,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name=REGION,
            aws_access_key_id=ACCOUNT if self.name == "ecsnet" else "AKIAIOSFODNN7EXAMPLE",
            aws_secret_access_key="secret",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=120),
        )


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def start(name: str, directory: Path) -> Server:
    """Start one of the two and wait until it answers."""
    port = free_port()
    if name == "ecsnet":
        command = [sys.executable, __file__, "--serve", str(port), "--directory", str(directory)]
    else:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    environment = {**os.environ, "MOTO_EC2_LOAD_DEFAULT_AMIS": "false"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    server = Server(name=name, port=port, process=process)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"{name} ended with status {process.returncode}")
        try:
            server.client("sts").get_caller_identity()
            return server
        except EndpointConnectionError:
            time.sleep(0.1)
    raise SystemExit(f"{name} did not answer within 60 s")


# ── the same contents in both ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    vpc: str
    cluster: str
    tasks: tuple[str, ...]


def fill(server: Server) -> Contents:
    """A VPC with a subnet of 1,000 interfaces, and a cluster with 100 Fargate tasks."""
    ec2, ecs = server.client("ec2"), server.client("ecs")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    # moto (5.2) can make no task in a VPC without it.
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/20")["Subnet"]["SubnetId"]
    for _ in range(INTERFACES):
        ec2.create_network_interface(SubnetId=subnet)
    tasks_subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.32.0/20")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="tasks", Description="bench", VpcId=vpc)["GroupId"]
    ecs.create_cluster(clusterName="bench")
    ecs.register_task_definition(
        family="bench",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "web", "image": "web", "memory": 128, "portMappings": [{"containerPort": 80}]}],
    )
    arns: list[str] = []
    for _ in range(TASKS // 10):
        reply = ecs.run_task(
            cluster="bench",
            taskDefinition="bench",
            launchType="FARGATE",
            count=10,
            networkConfiguration={"awsvpcConfiguration": {"subnets": [tasks_subnet], "securityGroups": [group]}},
        )
        arns += [task["taskArn"] for task in reply["tasks"]]
    assert len(arns) == TASKS, f"{server.name} ran {len(arns)} tasks"
    return Contents(vpc=vpc, cluster="bench", tasks=tuple(arns))


# ── the calls ────────────────────────────────────────────────────────────────────────────────────────────────────

Raw = Callable[[int], tuple[dict[str, str], bytes]]
"""The headers and body of the n-th request."""


def _headers(service: str) -> dict[str, str]:
    scope = f"{ACCOUNT}/20260101/{REGION}/{service}/aws4_request"
    return {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"}


def _ec2(action: str, **params: str) -> tuple[dict[str, str], bytes]:
    headers = _headers("ec2") | {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    return headers, urlencode({"Action": action, "Version": "2016-11-15", **params}).encode()


def _ecs(operation: str, body: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    kind = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": ECS_TARGET + operation}
    return _headers("ecs") | kind, json.dumps(body).encode()


def raw_calls(contents: Contents) -> dict[str, Raw]:
    tasks = {"cluster": contents.cluster, "tasks": list(contents.tasks)}
    subnet_filter = {"Filter.1.Name": "vpc-id", "Filter.1.Value.1": contents.vpc}
    subnet_filter |= {"Filter.2.Name": "status", "Filter.2.Value.1": "available"}
    return {
        "DescribeVpcs": lambda _: _ec2("DescribeVpcs"),
        "CreateSecurityGroup": lambda n: _ec2(
            "CreateSecurityGroup", GroupName=f"raw-{n}", GroupDescription="bench", VpcId=contents.vpc
        ),
        "DescribeNetworkInterfaces(1000)": lambda _: _ec2("DescribeNetworkInterfaces", **subnet_filter),
        "DescribeTasks(100)": lambda _: _ecs("DescribeTasks", tasks),
        "ListTasks(100)": lambda _: _ecs("ListTasks", {"cluster": contents.cluster}),
    }


def boto_calls(server: Server, contents: Contents) -> dict[str, Callable[[int], Any]]:
    ec2, ecs = server.client("ec2"), server.client("ecs")
    filters = [{"Name": "vpc-id", "Values": [contents.vpc]}, {"Name": "status", "Values": ["available"]}]
    return {
        "DescribeVpcs": lambda _: ec2.describe_vpcs(),
        "CreateSecurityGroup": lambda n: ec2.create_security_group(
            GroupName=f"boto-{n}", Description="bench", VpcId=contents.vpc
        ),
        "DescribeNetworkInterfaces(1000)": lambda _: ec2.describe_network_interfaces(Filters=filters),
        "DescribeTasks(100)": lambda _: ecs.describe_tasks(cluster=contents.cluster, tasks=list(contents.tasks)),
        "ListTasks(100)": lambda _: ecs.list_tasks(cluster=contents.cluster),
    }


ROUNDS = 8
"""Ours and moto's calls take turns: this machine is faster in some seconds than in others."""


class Sample:
    """One call repeated against one server: milliseconds of each, and what the server spent on them."""

    def __init__(self, server: Server, call: Callable[[int], int], *, most: int) -> None:
        self._server, self._call, self._most = server, call, most
        self._times: list[float] = []
        self._elapsed = self._processor = 0.0
        self._bytes = 0
        for n in range(3):
            call(n)

    def round(self, seconds: float) -> None:
        """Repeat the call for about `seconds`, at least twice."""
        processor, began, made = self._server.cpu(), time.perf_counter(), 0
        while made < 2 or (time.perf_counter() - began < seconds and made < self._most):
            before = time.perf_counter()
            self._bytes = self._call(3 + len(self._times))
            self._times.append((time.perf_counter() - before) * 1000)
            made += 1
        self._elapsed += time.perf_counter() - began
        self._processor += self._server.cpu() - processor

    def result(self) -> dict[str, Any]:
        return {
            **summary(self._times),
            "per_second": round(len(self._times) / self._elapsed, 1),
            "server_cpu_ms": round(self._processor / len(self._times) * 1000, 4),
            "bytes": self._bytes,
        }


def raw_call(connection: http.client.HTTPConnection, make: Raw) -> Callable[[int], int]:
    def call(n: int) -> int:
        headers, body = make(n)
        connection.request("POST", "/", body, headers)
        reply = connection.getresponse()
        text = reply.read()
        if reply.status != 200:
            raise SystemExit(f"HTTP {reply.status}: {text[:500]!r}")
        return len(text)

    return call


def counted(call: Callable[[int], Any]) -> Callable[[int], int]:
    return lambda n: len(call(n))


def connect(server: Server) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.connect()
    assert connection.sock is not None
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def run(servers: Sequence[Server], seconds: float) -> dict[str, Any]:
    """All calls against the servers, in turns; by the server's name what was measured of it."""
    results: dict[str, Any] = {}
    calls: dict[str, dict[str, dict[str, Callable[[int], int]]]] = {}
    for server in servers:
        began = time.perf_counter()
        contents = fill(server)
        results[server.name] = {"seconds_to_fill": round(time.perf_counter() - began, 1), "raw": {}, "boto3": {}}
        connection = connect(server)
        calls[server.name] = {
            "raw": {name: raw_call(connection, make) for name, make in raw_calls(contents).items()},
            "boto3": {name: counted(call) for name, call in boto_calls(server, contents).items()},
        }
    for way, most in (("raw", 5_000), ("boto3", 500)):
        for name in TARGETS:
            samples = {one.name: Sample(one, calls[one.name][way][name], most=most // ROUNDS) for one in servers}
            for _ in range(ROUNDS):
                for sample in samples.values():
                    sample.round(seconds / ROUNDS)
            for server, sample in samples.items():
                results[server][way][name] = sample.result()
    for server in servers:
        results[server.name]["resident_mb"] = round(resident(server.process.pid), 1)
    return results


def show(results: dict[str, Any]) -> None:
    ours, theirs = results["ecsnet"], results["moto"]
    for way in ("raw", "boto3"):
        print(f"\n{way}: one client, milliseconds per call; ratio of medians")
        print(
            f"{'':34}{'ecsnet p50':>11}{'p99':>9}{'cpu':>8}{'moto p50':>12}{'p99':>10}{'cpu':>10}{'ratio':>8}  target"
        )
        for name in TARGETS:
            a, b = ours[way][name], theirs[way][name]
            ratio = b["p50"] / a["p50"]
            target = ""
            if way == "raw":
                target = f"≥ {TARGETS[name]}× {'met' if ratio >= TARGETS[name] else 'NOT MET'}"
            print(
                f"{name:34}{a['p50']:11.3f}{a['p99']:9.3f}{a['server_cpu_ms']:8.3f}"
                f"{b['p50']:12.3f}{b['p99']:10.3f}{b['server_cpu_ms']:10.3f}{ratio:7.1f}×  {target}"
            )
    print(f"\nresident: ecsnet {ours['resident_mb']} MB, moto {theirs['resident_mb']} MB")
    print("ecsnet without a data plane: gateway, services and store on disk; writes do not wait for an agent.")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--serve", type=int)
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--seconds", type=float, default=4.0, help="per call and way")
    options = parser.parse_args()
    if options.serve is not None:
        serve_ecsnet(options.serve, options.directory)
        return
    # Client and servers share one core: woken across cores, a small call took 0.26 or 0.38 ms as the scheduler liked.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with ExitStack() as stack:
        servers = []
        for name in ("ecsnet", "moto"):
            server = start(name, Path(stack.enter_context(tempfile.TemporaryDirectory())))
            stack.callback(server.process.wait)
            stack.callback(server.process.kill)
            servers.append(server)
        measured = run(servers, options.seconds)
    results: dict[str, Any] = {"note": "ecsnet without a data plane; moto_server as shipped", **measured}
    results["ratio_of_medians"] = {
        way: {n: round(results["moto"][way][n]["p50"] / results["ecsnet"][way][n]["p50"], 1) for n in TARGETS}
        for way in ("raw", "boto3")
    }
    show(results)
    write("api", results)


if __name__ == "__main__":
    main()
