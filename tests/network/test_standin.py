"""The stand-in runtime with real packets: what it answers, where it listens, and that it stops."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import time
from pathlib import Path

import msgspec
import pytest
from sandbox import command, namespace, sandboxed, short_directory, wire

from ecsnet.agent.namespaces import NamespaceFiles
from ecsnet.agent.runtimes.driver import WorkloadDriver
from ecsnet.agent.runtimes.standin import StandInRuntime
from ecsnet.hostplan.messages import ContainerSeen
from ecsnet.hostplan.workload import Port, Workload
from ecsnet.netns import NamespaceThread

pytestmark = pytest.mark.network

TASK = "arn:aws:ecs:eu-west-1:123456789012:task/shop/0123456789abcdef0123456789abcdef"
TCP80 = (Port(port=80, protocol="tcp"),)


def workload(netns: str = "t1", **changes: object) -> Workload:
    base = Workload(
        owner=TASK,
        container="web",
        netns=netns,
        runtime="stand-in",
        image="shop/web:7",
        ports=TCP80,
        identity=(("task", TASK), ("service", "web"), ("mode", "awsvpc")),
    )
    return msgspec.structs.replace(base, **changes)


class Agent:
    """A workload driver with a stand-in runtime, as the agent has it."""

    def __init__(self, state: Path) -> None:
        self.seen: queue.Queue[ContainerSeen] = queue.Queue()
        self.lost: queue.Queue[bool] = queue.Queue()
        self.runtime = StandInRuntime(
            state,
            NamespaceFiles(),
            ended=lambda found: self.driver.ended("stand-in", found),
            lost=lambda: self.lost.put(True),
        )
        self.driver = WorkloadDriver(
            {"stand-in": self.runtime}, choose=lambda workload: "stand-in", emit=self.seen.put, now=time.time
        )

    def expect(self, *states: str) -> ContainerSeen:
        for state in states:
            seen = self.seen.get(timeout=60)
            assert seen.state == state, seen
        return seen

    def start(self, wanted: Workload) -> None:
        assert self.driver.apply((wanted,), ()) == {}
        self.expect("starting", "running")


def connect(netns: str, address: str, port: int = 80) -> socket.socket:
    thread = NamespaceThread()
    try:
        return thread.run(netns, lambda: socket.create_connection((address, port), timeout=30))
    finally:
        thread.close()


def curl(netns: str, *arguments: str) -> str:
    return command("ip", "netns", "exec", netns, "curl", "-sS", "--max-time", "30", *arguments)


def two_namespaces() -> None:
    namespace("t1")
    namespace("r1")
    wire("t1", "r1", "e1", "10.0.1.10", "10.0.1.1")


@sandboxed
def test_says_who_it_is_and_whom_it_sees() -> None:
    two_namespaces()
    agent = Agent(short_directory())
    agent.start(workload())
    about = json.loads(curl("r1", "-H", "X-Forwarded-For: 198.18.0.9", "http://10.0.1.10/any/path?q=1"))
    assert about["task"] == TASK
    assert (about["service"], about["container"], about["mode"], about["runtime"]) == (
        "web",
        "web",
        "awsvpc",
        "stand-in",
    )
    assert (about["address"], about["port"], about["peer_address"]) == ("10.0.1.10", 80, "10.0.1.1")
    assert (about["path"], about["query"], about["host"]) == ("/any/path", "q=1", "10.0.1.10")
    assert about["headers"]["x-forwarded-for"] == "198.18.0.9"
    text = curl("r1", "-H", "Accept: text/plain", "http://10.0.1.10/")
    assert "service: web\n" in text
    # The declared port and nothing else.
    with pytest.raises(ConnectionRefusedError):
        connect("r1", "10.0.1.10", 81)


@sandboxed
def test_keeps_connections_and_answers_pipelined_requests_in_order() -> None:
    two_namespaces()
    agent = Agent(short_directory())
    agent.start(workload())
    with connect("r1", "10.0.1.10") as client:
        client.sendall(
            b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nHEAD /2 HTTP/1.1\r\nHost: a\r\n\r\nPOST /3 HTTP/1.1\r\nHost: a\r\n"
        )
        client.sendall(b"Content-Length: 5\r\nConnection: close\r\n\r\nhello")
        received = b""
        while data := client.recv(65_536):
            received += data
    assert received.count(b"HTTP/1.1 200 OK") == 3
    assert received.index(b'"path":"/1"') < received.index(b'"path":"/3"')
    assert b'"path":"/2"' not in received
    assert b'"body_bytes":5' in received
    with connect("r1", "10.0.1.10") as client:
        client.sendall(b"GET / HTTP/1.1\r\nbroken header\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 400 ")


@sandboxed
def test_echoes_what_is_not_http_and_datagrams() -> None:
    two_namespaces()
    agent = Agent(short_directory())
    agent.start(workload(ports=(*TCP80, Port(port=53, protocol="udp"))))
    with connect("r1", "10.0.1.10") as client:
        client.sendall(b"\x16\x03\x01 ping")
        assert client.recv(100) == b"\x16\x03\x01 ping"
    thread = NamespaceThread()
    with thread.run("r1", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as client:
        client.settimeout(30)
        client.sendto(b"datagram", ("10.0.1.10", 53))
        assert client.recvfrom(100) == (b"datagram", ("10.0.1.10", 53))


@sandboxed
def test_removal_closes_listeners_and_connections() -> None:
    two_namespaces()
    agent = Agent(short_directory())
    agent.start(workload())
    client = connect("r1", "10.0.1.10")
    client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.recv(4096).startswith(b"HTTP/1.1 200 OK")
    agent.driver.apply((), (workload().key,))
    assert agent.expect("stopped").exit_code == 0
    with pytest.raises(ConnectionRefusedError):
        connect("r1", "10.0.1.10")
    assert client.recv(1) == b""
    assert agent.runtime.found() == ()


@sandboxed
def test_toggles_are_out_of_reach_of_the_network() -> None:
    two_namespaces()
    agent = Agent(short_directory())
    agent.start(workload())
    key = workload().key
    status = ("-o", "/dev/null", "-w", "%{http_code}")
    assert curl("r1", *status, "http://10.0.1.10/health") == "200"
    agent.runtime.set_health(key, False, "/health")
    assert curl("r1", *status, "http://10.0.1.10/health") == "503"
    assert curl("r1", *status, "http://10.0.1.10/") == "200"
    agent.runtime.set_health(key, False, None)
    assert curl("r1", *status, "http://10.0.1.10/") == "503"
    agent.runtime.set_health(key, True, None)
    assert curl("r1", *status, "http://10.0.1.10/health") == "200"
    agent.runtime.exit(key, 3)
    assert agent.expect("stopped").exit_code == 3
    with pytest.raises(ConnectionRefusedError):
        connect("r1", "10.0.1.10")


@sandboxed
def test_a_port_taken_in_the_namespace_is_a_clear_failure() -> None:
    two_namespaces()
    agent = Agent(short_directory())
    agent.start(workload())
    agent.driver.apply((workload(container="second"),), ())
    seen = agent.expect("starting", "failed")
    assert seen.reason == "cannot listen on port 80/tcp: Address already in use"
    agent.driver.apply((workload("missing", container="third"),), ())
    assert agent.expect("starting", "failed").reason == "No such file or directory"


@sandboxed
def test_outlives_the_agent_and_comes_back_after_its_own_death() -> None:
    two_namespaces()
    state = short_directory()
    first = Agent(state)
    first.start(workload())
    client = connect("r1", "10.0.1.10")
    first.driver.close()

    second = Agent(state)
    wanted = {workload().key: workload()}
    assert second.driver.observe(wanted) == wanted
    second.expect("running")
    client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.recv(4096).startswith(b"HTTP/1.1 200 OK")

    servers = command("pgrep", "-f", "standin_server").split()
    assert len(servers) == 1
    os.kill(int(servers[0]), signal.SIGKILL)
    assert second.lost.get(timeout=60)
    # A dying server may take one more connection, whose end is told again.
    while second.driver.observe(wanted):
        assert second.lost.get(timeout=60)
    second.driver.apply((workload(),), ())
    second.expect("starting", "running")
    assert json.loads(curl("r1", "http://10.0.1.10/"))["service"] == "web"


@sandboxed
def test_fetch_goes_out_from_the_tasks_namespace() -> None:
    for name, address, gateway in (("t1", "10.0.1.10", "10.0.1.1"), ("t2", "10.0.2.20", "10.0.2.1")):
        namespace(name)
        if name == "t1":
            namespace("r1")
        wire(name, "r1", f"e{name}", address, gateway)
    command("ip", "netns", "exec", "r1", "sysctl", "-qw", "net.ipv4.ip_forward=1")
    agent = Agent(short_directory())
    agent.start(workload())
    agent.start(workload("t2", owner=TASK[:-1] + "0", identity=(("service", "api"),)))
    about = json.loads(curl("r1", "http://10.0.1.10/fetch?url=http://10.0.2.20/deep"))["fetch"]
    assert about["status"] == 200
    assert about["local_address"].startswith("10.0.1.10:")
    assert about["body"]["service"] == "api"
    assert about["body"]["peer_address"] == "10.0.1.10"
    failed = json.loads(curl("r1", "http://10.0.1.10/fetch?url=http://10.0.2.20:81/"))["fetch"]
    assert "failed while connecting to 10.0.2.20:81" in failed["error"]
    failed = json.loads(curl("r1", "http://10.0.1.10/fetch?url=ftp://x/"))["fetch"]
    assert "is not http://" in failed["error"]


@sandboxed
def test_logs_one_line_per_request() -> None:
    two_namespaces()
    state = short_directory()
    agent = Agent(state)
    agent.start(workload())
    curl("r1", "http://10.0.1.10/shop?x=1")
    agent.driver.apply((), (workload().key,))
    agent.expect("stopped")
    server = int(command("pgrep", "-f", "standin_server").strip())
    handle = os.pidfd_open(server)
    os.kill(server, signal.SIGTERM)
    os.waitid(os.P_PIDFD, handle, os.WEXITED)
    log = (state / "logs" / TASK.rpartition("/")[2] / "web.log").read_text().splitlines()
    assert log[0] == "stand-in for shop/web:7 started, listening on 80/tcp"
    assert '10.0.1.1 "GET /shop?x=1" 200' in log[1]
    assert log[2] == "stand-in ended with exit code 0"
