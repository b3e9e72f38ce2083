"""API calls against ecsnet and against moto's own server, in the same run: raw HTTP by wrk, and boto3.

wrk, because a client in Python takes longer than a small call does: with http.client ecsnet's 0.1 ms were 0.3.

ecsnet here is the gateway with the real services and a real store on disk, without a data plane: writes do not wait
for an agent. `bench/network.py` measures the whole. moto is its stock `moto_server` (werkzeug, threaded).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
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
"""How many times faster than moto a raw call is to be: its median with one client, calls per second with more."""

CLIENTS = {"one client": 1, "eight clients": 8}
LISTS = ("DescribeNetworkInterfaces(1000)", "DescribeTasks(100)")
"""Asked by one client only: eight of moto's lists of 1,000 at once take eight seconds each."""


# ── the two servers ──────────────────────────────────────────────────────────────────────────────────────────────


def serve_ecsnet(port: int, directory: Path) -> None:
    """Run the gateway in this process until it is killed."""
    from ecsnet.aws.app import make_app
    from ecsnet.aws.ids import RandomIds
    from ecsnet.aws.server import make_server
    from ecsnet.daemon import SERVICES, collect_little
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
    collect_little()
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

COUNTER = "COUNTER"
"""In a body: what wrk replaces by a number that no request before had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """A request of wrk's."""

    headers: dict[str, str]
    body: str


def _headers(service: str) -> dict[str, str]:
    scope = f"{ACCOUNT}/20260101/{REGION}/{service}/aws4_request"
    return {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"}


def _ec2(action: str, **params: str) -> Raw:
    headers = _headers("ec2") | {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    return Raw(headers=headers, body=urlencode({"Action": action, "Version": "2016-11-15", **params}))


def _ecs(operation: str, body: dict[str, Any]) -> Raw:
    kind = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": ECS_TARGET + operation}
    return Raw(headers=_headers("ecs") | kind, body=json.dumps(body))


def raw_calls(contents: Contents) -> dict[str, Raw]:
    subnet_filter = {"Filter.1.Name": "vpc-id", "Filter.1.Value.1": contents.vpc}
    subnet_filter |= {"Filter.2.Name": "status", "Filter.2.Value.1": "available"}
    return {
        "DescribeVpcs": _ec2("DescribeVpcs"),
        "CreateSecurityGroup": _ec2(
            "CreateSecurityGroup", GroupName=f"raw-{COUNTER}", GroupDescription="bench", VpcId=contents.vpc
        ),
        "DescribeNetworkInterfaces(1000)": _ec2("DescribeNetworkInterfaces", **subnet_filter),
        "DescribeTasks(100)": _ecs("DescribeTasks", {"cluster": contents.cluster, "tasks": list(contents.tasks)}),
        "ListTasks(100)": _ecs("ListTasks", {"cluster": contents.cluster}),
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


ROUNDS = 6
"""Ours and moto's calls take turns: this machine is faster in some seconds than in others."""

ERRORS = {"ecsnet": 0.0, "moto": 0.01}
"""Part of the calls that may fail. With eight clients at once one of 147 of moto's did, in one run; the result says how
many."""

WRK = """
local run, n = "%(run)s", 0
local headers = { %(headers)s }
local body = [==[%(body)s]==]
request = function()
  n = n + 1
  local text = body:gsub("%(counter)s", run .. "-" .. n)
  return wrk.format("POST", "/", headers, text)
end
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format('\\n{"count": %%d, "us": %%d, "bytes": %%d, "p50": %%d, "p99": %%d, "errors": %%d}',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def wrk(server: Server, call: Raw, clients: int, seconds: float, run: str) -> dict[str, float]:
    """One run of wrk: calls, errors, bytes (heads too), microseconds of the run and of a call.

    wrk counts a pause of the server for every call that would have been made in it, so a pause of 1 % is the p99.
    """
    headers = ", ".join(f'["{name}"] = "{value}"' for name, value in call.headers.items())
    script = WRK % {"run": run, "headers": headers, "body": call.body, "counter": COUNTER}
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        command = ["wrk", "-t1", f"-c{clients}", f"-d{math.ceil(seconds)}s", "--timeout", "60s", "-s", file.name]
        printed = subprocess.run(
            [*command, f"http://127.0.0.1:{server.port}/"], capture_output=True, text=True, check=True
        ).stdout
    found: dict[str, float] = json.loads(printed.splitlines()[-1])
    if not found["count"] or found["errors"] > found["count"] * ERRORS[server.name]:
        raise SystemExit(f"wrk against {server.name}: {printed}")
    return found


def raw(servers: Mapping[str, tuple[Server, Raw]], clients: int, seconds: float) -> dict[str, Any]:
    """The call against each server in turns; medians of the rounds, milliseconds."""
    found: dict[str, list[dict[str, float]]] = {one: [] for one in servers}
    processor = dict.fromkeys(servers, 0.0)
    for turn in range(ROUNDS):
        for one, (server, call) in servers.items():
            before = server.cpu()
            found[one].append(wrk(server, call, clients, seconds, f"{clients}-{turn}"))
            processor[one] += server.cpu() - before
    return {
        one: {
            "count": (count := sum(run["count"] for run in runs)),
            "p50": round(statistics.median(run["p50"] for run in runs) / 1000, 4),
            "p99": round(statistics.median(run["p99"] for run in runs) / 1000, 4),
            "per_second": round(statistics.median(run["count"] / run["us"] for run in runs) * 1e6, 1),
            "server_cpu_ms": round(processor[one] / count * 1000, 4),
            "bytes": round(sum(run["bytes"] for run in runs) / count),
            "errors": sum(run["errors"] for run in runs),
        }
        for one, runs in found.items()
    }


def boto(calls: Mapping[str, Callable[[int], Any]], seconds: float) -> dict[str, Any]:
    """The call against each server in turns, from this process."""
    times: dict[str, list[float]] = {one: [] for one in calls}
    for call in calls.values():
        call(-1)
    for _ in range(ROUNDS):
        for one, call in calls.items():
            end = time.perf_counter() + seconds
            while True:
                before = time.perf_counter()
                call(len(times[one]))
                times[one].append((time.perf_counter() - before) * 1000)
                if time.perf_counter() > end:
                    break
    return {
        one: {**summary(values), "per_second": round(1000 / statistics.mean(values), 1)}
        for one, values in times.items()
    }


def run(servers: Sequence[Server], seconds: float) -> dict[str, Any]:
    """All calls against the servers, in turns; by the way of calling, the call and the server what was measured."""
    filled, contents = {}, {}
    for server in servers:
        began = time.perf_counter()
        contents[server.name] = fill(server)
        filled[server.name] = round(time.perf_counter() - began, 1)
    found: dict[str, Any] = {"seconds_to_fill": filled, "raw": {}, "boto3": {}}
    for way, clients in CLIENTS.items():
        found["raw"][way] = {}
        for name in TARGETS:
            if name in LISTS and clients > 1:
                continue
            calls = {one.name: (one, raw_calls(contents[one.name])[name]) for one in servers}
            found["raw"][way][name] = raw(calls, clients, seconds * (4 if name in LISTS else 1))
    made = {one.name: boto_calls(one, contents[one.name]) for one in servers}
    for name in TARGETS:
        found["boto3"][name] = boto({one: calls[name] for one, calls in made.items()}, seconds / 2)
    found["resident_mb"] = {one.name: round(resident(one.process.pid), 1) for one in servers}
    return found


def ratio(call: Mapping[str, Mapping[str, float]], clients: int) -> float:
    """How many times faster than moto: medians with one client, calls per second with more."""
    ours, theirs = call["ecsnet"], call["moto"]
    return theirs["p50"] / ours["p50"] if clients == 1 else ours["per_second"] / theirs["per_second"]


def show(results: dict[str, Any]) -> None:
    titles = (f"{one} {what}" for one in ("ecsnet", "moto") for what in ("p50", "p99", "calls/s"))
    head = "".join(f"{title:>16}" for title in titles)
    for way, calls, clients in [
        *((f"raw, {way}", results["raw"][way], clients) for way, clients in CLIENTS.items()),
        ("boto3", results["boto3"], 1),
    ]:
        print(f"\n{way}: milliseconds per call; ratio of {'medians' if clients == 1 else 'calls per second'}")
        print(f"{'':34}{head}{'ratio':>9}  target")
        for name, call in calls.items():
            figures = "".join(
                f"{call[one]['p50']:16.3f}{call[one]['p99']:16.3f}{call[one]['per_second']:16,.0f}"
                for one in ("ecsnet", "moto")
            )
            times = ratio(call, clients)
            target = f"≥ {TARGETS[name]}× {'met' if times >= TARGETS[name] else 'NOT MET'}" if way != "boto3" else ""
            print(f"{name:34}{figures}{times:8.1f}×  {target}")
    memory = results["resident_mb"]
    print(f"\nresident: ecsnet {memory['ecsnet']} MB, moto {memory['moto']} MB")
    print("ecsnet without a data plane: gateway, services and store on disk; writes do not wait for an agent.")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--serve", type=int)
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--seconds", type=float, default=1.0, help="per round of a small call")
    options = parser.parse_args()
    if options.serve is not None:
        serve_ecsnet(options.serve, options.directory)
        return
    with ExitStack() as stack:
        servers = []
        for name in ("ecsnet", "moto"):
            server = start(name, Path(stack.enter_context(tempfile.TemporaryDirectory())))
            stack.callback(server.process.wait)
            stack.callback(server.process.kill)
            servers.append(server)
        measured = run(servers, options.seconds)
    note = "ecsnet without a data plane; moto_server as shipped; raw: wrk, one thread, keep-alive"
    results: dict[str, Any] = {"note": note, **measured}
    results["times_faster"] = {
        way: {name: round(ratio(call, clients), 1) for name, call in measured["raw"][way].items()}
        for way, clients in CLIENTS.items()
    }
    show(results)
    write("api", results)


if __name__ == "__main__":
    main()
