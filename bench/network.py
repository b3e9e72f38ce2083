"""Tasks, security-group changes, throughput and deployment: ecsnet beside a bare veth pair, on this machine.

Needs root (it stands inside namespaces of the world to send packets).
"""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ecsnet.agent.world import World
from ecsnet.cli.client import running
from ecsnet.cli.dial import request
from ecsnet.cli.errors import CliError
from ecsnet.cli.traffic import INTERNET
from ecsnet.home import Home
from ecsnet.testing.instance import Instance, free_port
from harness import resident, summary, write

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "storefront"
SINGLE_TASKS = 100
MANY_TASKS = 500
CHANGES = 100
SECONDS = 1
ROUNDS = 9


class Api:
    """ECS over one kept-alive connection, so that the client costs little."""

    def __init__(self, instance: Instance) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", instance.port)

    def ecs(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"AmazonEC2ContainerServiceV20141113.{operation}",
            "Authorization": "AWS4-HMAC-SHA256 Credential=123456789012/20260101/us-east-1/ecs/aws4_request",
        }
        self._connection.request("POST", "/", json.dumps(parameters), headers)
        response = self._connection.getresponse()
        body: dict[str, Any] = json.loads(response.read())
        if response.status != 200:
            raise RuntimeError(body)
        return body


class Network:
    """One VPC with two subnets, one group and one task definition."""

    def __init__(self, instance: Instance) -> None:
        ec2 = instance.client("ec2")
        self.instance = instance
        self.api = Api(instance)
        vpc = ec2.create_vpc(CidrBlock="10.88.0.0/16")["Vpc"]["VpcId"]
        self.subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.88.{16 * n}.0/20")["Subnet"]["SubnetId"] for n in range(2)
        ]
        self.group = ec2.create_security_group(GroupName="bench", Description="bench", VpcId=vpc)["GroupId"]
        self.open(80, 80, "tcp")
        self.open(5001, 5999, "tcp")
        self.api.ecs("CreateCluster", {"clusterName": "bench"})
        self.api.ecs(
            "RegisterTaskDefinition",
            {
                "family": "bench",
                "networkMode": "awsvpc",
                "requiresCompatibilities": ["FARGATE"],
                "cpu": "256",
                "memory": "512",
                "containerDefinitions": [{"name": "app", "image": "absent", "portMappings": [{"containerPort": 80}]}],
            },
        )

    def open(self, first: int, last: int, protocol: str) -> None:
        self.instance.client("ec2").authorize_security_group_ingress(
            GroupId=self.group, IpPermissions=[self.permission(first, last, protocol)]
        )

    def permission(self, first: int, last: int, protocol: str) -> dict[str, Any]:
        return {
            "IpProtocol": protocol,
            "FromPort": first,
            "ToPort": last,
            "UserIdGroupPairs": [{"GroupId": self.group}],
        }

    def run_task(self, count: int = 1, subnet: int = 0) -> list[str]:
        reply = self.api.ecs(
            "RunTask",
            {
                "cluster": "bench",
                "taskDefinition": "bench",
                "count": count,
                "launchType": "FARGATE",
                "networkConfiguration": {
                    "awsvpcConfiguration": {"subnets": [self.subnets[subnet]], "securityGroups": [self.group]}
                },
            },
        )
        if reply["failures"]:
            raise RuntimeError(reply["failures"])
        return [task["taskArn"] for task in reply["tasks"]]

    def status(self, arns: list[str]) -> list[str]:
        tasks = self.api.ecs("DescribeTasks", {"cluster": "bench", "tasks": arns})["tasks"]
        return [task["lastStatus"] for task in tasks]

    def wait_running(self, arns: list[str]) -> None:
        for start in range(0, len(arns), 100):
            batch = arns[start : start + 100]
            while any(status != "RUNNING" for status in self.status(batch)):
                time.sleep(0.001)

    def address(self, arn: str) -> str:
        task = self.api.ecs("DescribeTasks", {"cluster": "bench", "tasks": [arn]})["tasks"][0]
        details = {item["name"]: item["value"] for item in task["attachments"][0]["details"]}
        return str(details["privateIPv4Address"])


def namespace(arn: str) -> str:
    return "t" + arn.rpartition("/")[2][:12]


def run_task_latency(network: Network) -> dict[str, Any]:
    """RunTask sent → DescribeTasks says RUNNING, one task at a time."""
    times = []
    for _ in range(SINGLE_TASKS):
        began = time.perf_counter()
        network.wait_running(network.run_task())
        times.append((time.perf_counter() - began) * 1000)
    return {"milliseconds": summary(times)}


def many_tasks(network: Network) -> dict[str, Any]:
    """Ten tasks a call until there are MANY_TASKS; then who needs how much memory."""
    began = time.perf_counter()
    arns: list[str] = []
    wanted = MANY_TASKS - SINGLE_TASKS
    while len(arns) < wanted:
        arns += network.run_task(count=10, subnet=len(arns) // 10 % 2)
    network.wait_running(arns)
    seconds = time.perf_counter() - began
    control = running(network.instance.home)
    agent = network.instance.status()["agent"]["pid"]
    assert control is not None
    return {
        "tasks": MANY_TASKS,
        "tasks_per_second": round(wanted / seconds, 1),
        "control_mb": round(resident(control[0]), 1),
        "agent_mb": round(resident(agent), 1),
    }


def group_change(network: Network, arns: list[str]) -> dict[str, Any]:
    """API call sent → first packet that passes (authorize) and last packet that passes (revoke)."""
    sender, receiver = arns[0], arns[1]
    instance = network.instance
    address = network.address(receiver)
    with instance.inside(namespace(receiver)):
        inbox = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        inbox.bind((address, 7000))
    arrivals: list[float] = []
    stop = threading.Event()

    def receive() -> None:
        inbox.settimeout(0.2)
        while not stop.is_set():
            try:
                inbox.recv(64)
            except TimeoutError:
                continue
            arrivals.append(time.perf_counter())

    def send() -> None:
        # A packet every half millisecond, each from a port that was never used: a flow that tracking cannot carry.
        with instance.inside(namespace(sender)):
            for port in range(1024, 65536):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outbox:
                    outbox.bind(("0.0.0.0", port))
                    outbox.sendto(b"x", (address, 7000))
                if stop.wait(0.0005):
                    return

    threads = [threading.Thread(target=receive), threading.Thread(target=send)]
    for thread in threads:
        thread.start()
    ec2 = instance.client("ec2")
    permission = [network.permission(7000, 7000, "udp")]
    opened, closed = [], []
    try:
        for _ in range(CHANGES):
            arrivals.clear()
            began = time.perf_counter()
            ec2.authorize_security_group_ingress(GroupId=network.group, IpPermissions=permission)
            while not arrivals:
                time.sleep(0.0001)
            opened.append((arrivals[0] - began) * 1000)
            began = time.perf_counter()
            ec2.revoke_security_group_ingress(GroupId=network.group, IpPermissions=permission)
            answered = time.perf_counter()
            time.sleep(0.03)
            late = [moment for moment in arrivals if moment > answered + 0.005]
            if late:
                raise RuntimeError("a packet arrived 5 ms after the revocation was acknowledged")
            after = [moment for moment in arrivals if moment > began]
            closed.append(((after[-1] if after else answered) - began) * 1000)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        inbox.close()
    return {"interfaces": MANY_TASKS, "authorize_ms": summary(opened), "revoke_ms": summary(closed)}


def in_world(instance: Instance, command: list[str]) -> list[str]:
    return World(instance.home.path).enter_command(command)


def throughput(
    server: Callable[[list[str]], list[str]],
    client: Callable[[list[str]], list[str]],
    address: str,
    seconds: float = SECONDS,
) -> float:
    """iperf3, one stream, in Gbit/s. Each side has a core of its own: who shares one with whom is worth 30 %."""
    with subprocess.Popen(
        server(["iperf3", "-s", "-1", "--forceflush", "-p", "5201", "-B", address]), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "listening" in line:
                break
        found = subprocess.run(
            client(["iperf3", "-c", address, "-p", "5201", "-t", str(seconds), "-A", "1,0", "-J"]),
            capture_output=True,
            text=True,
            check=True,
        )
        process.wait()
    return round(json.loads(found.stdout)["end"]["sum_received"]["bits_per_second"] / 1e9, 2)


CONNECT = """
import selectors, socket, struct, sys, time
address, port, seconds, parallel = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
# A reset instead of FIN: with 28,000 client ports and 60 s of TIME_WAIT the search for a free port would be measured.
reset = struct.pack("ii", 1, 0)
ready, times = selectors.DefaultSelector(), []
def begin():
    connection = socket.socket()
    connection.setblocking(False)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
    began = time.perf_counter()
    connection.connect_ex((address, port))
    ready.register(connection, selectors.EVENT_WRITE, began)
for _ in range(parallel):
    begin()
end = time.perf_counter() + seconds
while time.perf_counter() < end:
    for key, events in ready.select():
        connection = key.fileobj
        if events & selectors.EVENT_WRITE:
            connection.send(b"x")
            ready.modify(connection, selectors.EVENT_READ, key.data)
        else:
            connection.recv(1)
            times.append(time.perf_counter() - key.data)
            ready.unregister(connection)
            connection.close()
            begin()
times.sort()
print(len(times) / seconds, times[len(times) // 2] * 1e6, times[int(len(times) * 0.99)] * 1e6)
"""

ACCEPT = """
import socket, sys
listener = socket.create_server((sys.argv[1], int(sys.argv[2])), backlog=1024)
print("listening", flush=True)
while True:
    connection, _ = listener.accept()
    try:
        connection.sendall(connection.recv(1) or b"-")
    except ConnectionError:
        pass
    connection.close()
"""

PARALLEL = 16
PAIRS = 2
"""Servers, each with a client of its own: as many as there are cores, so that no core idles while a single process is
the bottleneck. With one pair a quarter of the machine slept, and what was measured was who woke whom on which core."""


def connections(
    server: Callable[[list[str]], list[str]], client: Callable[[list[str]], list[str]], address: str
) -> dict[str, float]:
    """New connections a second (connect, one byte each way, close), PARALLEL at once from each of PAIRS clients."""
    python = shutil.which("python3") or "python3"
    ports = [str(5301 + pair) for pair in range(PAIRS)]
    servers = [
        subprocess.Popen(server([python, "-c", ACCEPT, address, port]), stdout=subprocess.PIPE, text=True)
        for port in ports
    ]
    try:
        for process in servers:
            assert process.stdout is not None
            process.stdout.readline()
        clients = [
            subprocess.Popen(
                client([python, "-c", CONNECT, address, port, str(SECONDS), str(PARALLEL)]),
                stdout=subprocess.PIPE,
                text=True,
            )
            for port in ports
        ]
        found = [[float(part) for part in process.communicate()[0].split()] for process in clients]
    finally:
        for process in servers:
            process.kill()
            process.wait()
    rates, medians, tails = zip(*found, strict=True)
    return {"per_second": round(sum(rates)), "p50_us": round(max(medians), 1), "p99_us": round(max(tails), 1)}


_BARE = ("barea", "bareb", "barec", "bared", "barer", "bareg", "bareh", "barek")


_TRACKING = """table inet bare {
 chain forward { type filter hook forward priority 0; policy drop;
  ct state established accept
  tcp dport 1-65535 ct state new accept
 }
}"""


def _bare_links() -> Iterator[list[str]]:
    """Pairs of namespaces: joined by one veth pair; by a router that only forwards; by one that also tracks connections
    and has a single rule, the least that anything stateful can cost. Both routers have ecsnet's cheaper settings."""

    def link(left: str, left_end: str, right: str, right_end: str) -> list[str]:
        ends = ["netns", left, "type", "veth", "peer", "name", right_end, "mtu", "9001", "netns", right]
        return ["ip", "link", "add", left_end, "mtu", "9001", *ends]

    yield from (["ip", "netns", "add", name] for name in _BARE)
    yield link("barea", "eth0", "bareb", "eth0")
    yield link("barec", "eth0", "barer", "left0")
    yield link("bared", "eth0", "barer", "right0")
    yield link("bareg", "eth0", "barek", "left0")
    yield link("bareh", "eth0", "barek", "right0")
    for name, device, address in (
        ("barea", "eth0", "192.0.2.1/30"),
        ("bareb", "eth0", "192.0.2.2/30"),
        ("barec", "eth0", "192.0.2.66/26"),
        ("barer", "left0", "192.0.2.65/26"),
        ("bared", "eth0", "192.0.2.130/26"),
        ("barer", "right0", "192.0.2.129/26"),
        ("bareg", "eth0", "198.51.100.66/26"),
        ("barek", "left0", "198.51.100.65/26"),
        ("bareh", "eth0", "198.51.100.130/26"),
        ("barek", "right0", "198.51.100.129/26"),
    ):
        yield ["ip", "-n", name, "addr", "add", address, "dev", device]
        yield ["ip", "-n", name, "link", "set", device, "up"]
    yield ["ip", "-n", "barec", "route", "add", "default", "via", "192.0.2.65"]
    yield ["ip", "-n", "bared", "route", "add", "default", "via", "192.0.2.129"]
    yield ["ip", "-n", "bareg", "route", "add", "default", "via", "198.51.100.65"]
    yield ["ip", "-n", "bareh", "route", "add", "default", "via", "198.51.100.129"]
    settings = ("ip_forward=1", "ip_early_demux=0", "conf.all.accept_local=1", "conf.all.rp_filter=0")
    for name in ("barer", "barek"):
        sysctl = ["sysctl", "-qw", *(f"net.ipv4.{setting}" for setting in settings)]
        yield ["nsenter", f"--net=/run/netns/{name}", "--", *sysctl]
    yield ["nsenter", "--net=/run/netns/barek", "--", "nft", _TRACKING]


def data_path(network: Network, arns: list[str]) -> dict[str, Any]:
    """Task to task across subnets beside a bare veth pair: alternating rounds, and the ratio of the medians."""
    instance = network.instance

    def inside(name: str) -> Callable[[list[str]], list[str]]:
        return lambda command: in_world(instance, ["nsenter", f"--net=/run/netns/{name}", "--", *command])

    first, second = arns[0], arns[-1]
    address = network.address(second)
    for command in _bare_links():
        subprocess.run(in_world(instance, command), check=True)
    places = {
        "ecsnet": (inside(namespace(second)), inside(namespace(first)), address),
        "bare veth": (inside("bareb"), inside("barea"), "192.0.2.2"),
        "bare router": (inside("bared"), inside("barec"), "192.0.2.130"),
        "tracking router": (inside("bareh"), inside("bareg"), "198.51.100.130"),
    }
    gbits: dict[str, list[float]] = {name: [] for name in places}
    rates: dict[str, list[dict[str, float]]] = {name: [] for name in places}
    for _ in range(ROUNDS):
        for name, (server, client, target) in places.items():
            gbits[name].append(throughput(server, client, target))
            rates[name].append(connections(server, client, target))
    for name in _BARE:
        subprocess.run(in_world(instance, ["ip", "netns", "del", name]), check=True)
    best = {name: statistics.median(values) for name, values in gbits.items()}
    rate = {name: statistics.median(item["per_second"] for item in values) for name, values in rates.items()}
    return {
        "gbit_per_second": gbits,
        "connections": rates,
        "throughput_ratio": round(best["ecsnet"] / best["bare veth"], 3),
        "connection_ratio": round(rate["ecsnet"] / rate["bare veth"], 3),
        "connection_ratio_of_the_tracking_router": round(rate["tracking router"] / rate["bare veth"], 3),
        "connection_ratio_to_bare_router": round(rate["ecsnet"] / rate["bare router"], 3),
        "connection_ratio_to_tracking_router": round(rate["ecsnet"] / rate["tracking router"], 3),
    }


def deploy(instance: Instance) -> dict[str, Any]:
    """The storefront example, from the first `ecsnet deploy` to the first 200 at its load balancer."""
    began = time.perf_counter()
    instance.run("deploy", str(EXAMPLE / "network.yaml"), "--stack-name", "storefront-network")
    printed = instance.run("deploy", str(EXAMPLE / "app.yaml"), "--stack-name", "storefront").stdout
    deployed = time.perf_counter()
    url = next(line.split(" = ")[1].strip() for line in printed.splitlines() if line.strip().startswith("Url = "))
    while True:
        try:
            if request(instance.home, INTERNET, url, timeout=1.0).status == 200:
                break
        except CliError:
            continue
    return {"deploy_seconds": deployed - began, "first_200_seconds": time.perf_counter() - began}


def deployments() -> dict[str, Any]:
    """Three times, each on an ecsnet of its own that has just come up."""
    found = []
    for _ in range(3):
        instance = fresh()
        instance.up()
        try:
            found.append(deploy(instance))
        finally:
            instance.down()
    return {name: summary([one[name] for one in found]) for name in found[0]}


def fresh() -> Instance:
    return Instance(home=Home(path=Path(tempfile.mkdtemp(prefix="ecsnet-bench-", dir="/var/tmp"))), port=free_port())


def main() -> None:
    result: dict[str, Any] = {}
    result["deploy"] = deployments()
    print("deploy of examples/storefront, seconds:", result["deploy"])
    instance = fresh()
    instance.up()
    try:
        network = Network(instance)
        result["run_task"] = run_task_latency(network)
        print("RunTask → RUNNING (stand-in), ms:", result["run_task"]["milliseconds"])
        result["many_tasks"] = many_tasks(network)
        print("500 tasks:", result["many_tasks"])
        arns = network.api.ecs("ListTasks", {"cluster": "bench", "maxResults": 100})["taskArns"]
        pair = [network.run_task(subnet=0)[0], network.run_task(subnet=1)[0]]
        network.wait_running(pair)
        result["group_change"] = group_change(network, arns)
        print("security-group change → packet, ms:", result["group_change"])
        result["data_path"] = data_path(network, pair)
        print("task to task beside a bare veth pair:", json.dumps(result["data_path"], indent=1))
    finally:
        instance.down()
    write("network", result)


if __name__ == "__main__":
    main()
