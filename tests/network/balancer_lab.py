"""A small network made by hand around the real Envoy driver: one client, one balancer, targets that count requests."""

from __future__ import annotations

import http.client
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path

from sandbox import command, namespace, sandboxed, short_directory

from ecsnet.agent.driver import AgentContext
from ecsnet.agent.drivers.envoy import EnvoyDriver
from ecsnet.agent.namespaces import NamespaceFiles
from ecsnet.fabric.kernel.balancer import LOWERINGS
from ecsnet.hostplan.balancer import EnvoyResource
from ecsnet.hostplan.kernel import HostObject
from ecsnet.hostplan.messages import TargetSeen, ToControl
from ecsnet.logical.balancer import (
    Forward,
    FrontEnd,
    Match,
    Members,
    Node,
    Pool,
    PoolMember,
    Probe,
    Redirect,
    Respond,
    RouteRule,
    Routing,
    Share,
    Tls,
)
from ecsnet.logical.base import LogicalObject

BALANCER = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/shop/0123456789abcdef"
LISTENER = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/shop/0123456789abcdef/00000000000000aa"
NETNS = "b0123456789ab"
ADDRESS = "10.0.1.5"
CLIENT = "10.0.9.9"
NODE = Node(router="vpc-0aa0000000000000a", port="eni-0bb0000000000000b", address=IPv4Address(ADDRESS))


def group_arn(number: int) -> str:
    return f"arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/g{number}/{number:016x}"


@dataclass
class Seen:
    """One request as a target saw it."""

    method: str
    path: str
    headers: dict[str, str]
    peer: str
    peer_port: int


@dataclass
class Target:
    """An HTTP server in a namespace of its own."""

    name: str
    address: str
    healthy: bool = True
    status: int = 200
    delay: threading.Event = field(default_factory=threading.Event)
    seen: list[Seen] = field(default_factory=list)
    probes: list[Seen] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.delay.set()

    def serve(self, port: int) -> None:
        target = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                seen = Seen(self.command, self.path, dict(self.headers.items()), *self.client_address[:2])
                if "ELB-HealthChecker" in self.headers.get("User-Agent", ""):
                    target.probes.append(seen)
                    status, body = (200, b"fine") if target.healthy else (500, b"ill")
                else:
                    target.seen.append(seen)
                    assert target.delay.wait(100)
                    status, body = target.status, target.name.encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_PURGE = do_GET  # noqa: N815

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            address_family = socket.AF_INET
            daemon_threads = True

        with NamespaceFiles().inside(self.name):
            server = Server((self.address, port), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 60}, daemon=True).start()


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: str
    cookies: list[str]


class Lab:
    """Client, balancer and router namespaces, targets as they are asked for, and the driver."""

    def __init__(self, *, speed: float = 20.0) -> None:
        self.state = short_directory()
        self.observations: queue.Queue[ToControl] = queue.Queue()
        self.health: dict[tuple[str, str, int], TargetSeen] = {}
        self.woken = threading.Event()
        self.driver = self._driver(speed)
        self.plan: dict[str, HostObject] = {}
        namespace("rt")
        command("ip", "netns", "exec", "rt", "sysctl", "-qw", "net.ipv4.ip_forward=1")
        self._hosts = 0
        self.host(NETNS, ADDRESS)
        self.host("client", CLIENT)
        self.speed = speed

    def _driver(self, speed: float) -> EnvoyDriver:
        return EnvoyDriver(
            AgentContext(
                state=self.state,
                namespaces=NamespaceFiles(),
                emit=self.observations.put,
                wake=self.woken.set,
                now=time.time,
                speed=lambda: speed,
                rootless=False,
            )
        )

    def restart_agent(self) -> None:
        """A new driver that knows nothing, as after a restart of the agent."""
        self.driver.close()
        self.driver = self._driver(self.speed)

    def host(self, name: str, address: str) -> None:
        """A namespace with one address, routed by the router namespace."""
        namespace(name)
        link = f"e{self._hosts}"
        self._hosts += 1
        command("ip", "link", "add", "eth0", "netns", name, "type", "veth", "peer", "name", link, "netns", "rt")
        command("ip", "-n", name, "address", "add", f"{address}/32", "dev", "eth0")
        command("ip", "-n", name, "link", "set", "eth0", "up")
        command("ip", "-n", "rt", "link", "set", link, "up")
        command("ip", "-n", "rt", "address", "add", "169.254.1.1/32", "dev", link)
        command("ip", "-n", "rt", "route", "add", f"{address}/32", "dev", link)
        command("ip", "-n", name, "route", "add", "169.254.1.1", "dev", "eth0", "scope", "link")
        command("ip", "-n", name, "route", "add", "default", "via", "169.254.1.1")

    def target(self, number: int, port: int = 8080) -> Target:
        target = Target(name=f"t{number}", address=f"10.0.2.{number}")
        self.host(target.name, target.address)
        target.serve(port)
        return target

    def apply(self, *items: LogicalObject, remove: Iterable[str] = ()) -> dict[str, str]:
        """Lower objects and put them in force; the answer is what failed."""
        objects = [made for item in items for made in LOWERINGS[type(item)](item)]
        self.plan.update({made.key: made for made in objects})
        for key in remove:
            self.plan.pop(key, None)
        return dict(self.driver.apply(objects, tuple(remove)))

    def keys(self, item: LogicalObject) -> tuple[str, ...]:
        return tuple(made.key for made in LOWERINGS[type(item)](item))

    def get(
        self,
        path: str = "/",
        *,
        host: str | None = None,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        port: int = 80,
        address: str = ADDRESS,
        connection: http.client.HTTPConnection | None = None,
    ) -> Answer:
        """One request from the client's namespace; on a new connection unless one is given."""
        mine = connection or self.connect(port, address)
        mine.request(method, path, headers={"Host": host or address} | (headers or {}))
        response = mine.getresponse()
        body = response.read().decode()
        answer = Answer(
            response.status,
            {name.lower(): value for name, value in response.getheaders()},
            body,
            response.headers.get_all("Set-Cookie") or [],
        )
        if connection is None:
            mine.close()
        return answer

    def connect(self, port: int = 80, address: str = ADDRESS) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(address, port, timeout=60)
        connection.auto_open = 0
        with NamespaceFiles().inside("client"):
            connection.sock = socket.create_connection((address, port), 60)
        return connection

    def wait_health(self, group: int, target: Target, healthy: bool, port: int = 8080) -> TargetSeen:
        """The observation that says so, now or within a minute."""
        key = (group_arn(group), target.address, port)
        end = time.monotonic() + 60
        while key not in self.health or self.health[key].healthy is not healthy:
            seen = self.observations.get(timeout=max(0.01, end - time.monotonic()))
            assert isinstance(seen, TargetSeen)
            self.health[(seen.group, seen.address, seen.port)] = seen
        return self.health[key]

    def resource(self, key: str) -> EnvoyResource:
        found = self.plan[key]
        assert isinstance(found, EnvoyResource)
        return found

    def stop(self) -> None:
        self.driver.stop()


def eventually(check: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    pause = threading.Event()
    while not check():
        assert time.monotonic() < end, "it does not become true"
        pause.wait(0.02)


def probe(**changes: object) -> Probe:
    values = {
        "tls": False,
        "port": None,
        "path": "/health",
        "interval": 10,
        "timeout": 5,
        "healthy": 2,
        "unhealthy": 2,
        "statuses": ((200, 200),),
    }
    return Probe(**(values | changes))  # type: ignore[arg-type]


def pool(number: int, **changes: object) -> Pool:
    values = {
        "balancer": BALANCER,
        "id": group_arn(number),
        "nodes": (NODE,),
        "tls": False,
        "probe": probe(),
        "choice": "round-robin",
        "slow_start_seconds": 0,
        "idle_seconds": 60,
        "panic_percent": 1,
    }
    return Pool(**(values | changes))  # type: ignore[arg-type]


def members(
    number: int, *targets: Target, draining: tuple[Target, ...] = (), port: int = 8080, probe_port: int | None = None
) -> Members:
    return Members(
        balancer=BALANCER,
        pool=group_arn(number),
        node=NODE,
        probe_port=probe_port,
        members=tuple(
            PoolMember(address=IPv4Address(target.address), port=port, draining=target in draining)
            for target in (*targets, *draining)
        ),
    )


def front_end(port: int = 80, *, tls: Tls | None = None, **changes: object) -> FrontEnd:
    values = {
        "balancer": BALANCER,
        "id": LISTENER,
        "port": port,
        "nodes": (NODE,),
        "tls": tls,
        "idle_seconds": 60,
        "keep_alive_seconds": 3600,
        "forwarded_for": "append",
        "preserve_host": False,
    }
    return FrontEnd(**(values | changes))  # type: ignore[arg-type]


def routing(*rules: RouteRule, port: int = 80, secure: bool = False, **changes: object) -> Routing:
    values = {
        "balancer": BALANCER,
        "front_end": LISTENER,
        "port": port,
        "secure": secure,
        "nodes": (NODE,),
        "forwarded_for": "append",
        "rules": rules,
    }
    return Routing(**(values | changes))  # type: ignore[arg-type]


def forward(number: int, *matches: Match) -> RouteRule:
    return RouteRule(
        id=f"rule-{number}", matches=matches, action=Forward(shares=(Share(pool=group_arn(number), weight=1),))
    )


def rule(action: Forward | Respond | Redirect, *matches: Match) -> RouteRule:
    return RouteRule(id="rule", matches=matches, action=action)


def share(number: int, weight: int = 1, cookie_seconds: int | None = None) -> Share:
    return Share(pool=group_arn(number), weight=weight, cookie_seconds=cookie_seconds)


def in_lab(body: Callable[[Lab], None]) -> Callable[[], None]:
    """Decorates a test that gets a laboratory of its own, in a sandbox."""

    def run() -> None:
        lab = Lab()
        try:
            body(lab)
        except BaseException:
            print(envoy_log(lab.state))
            raise
        finally:
            lab.stop()

    run.__name__ = body.__name__
    run.__doc__ = body.__doc__
    return sandboxed(run)


def envoy_log(state: Path) -> str:
    return (state / "envoy" / "envoy.log").read_text(errors="replace")[-3000:]
