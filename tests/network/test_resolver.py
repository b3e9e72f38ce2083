"""The resolver process with real packets: per-VPC views, both transports, restart, removal."""

from __future__ import annotations

import os
import queue
import signal
import socket
from pathlib import Path

import dns.message
import msgspec
import pytest
from sandbox import command, namespace, sandboxed, short_directory, wire

from ecsnet.agent.detached import DetachedServer
from ecsnet.agent.drivers.resolver import ResolverDriver
from ecsnet.hostplan.names import DnsRecords, DnsView
from ecsnet.netns import NamespaceThread
from ecsnet.resolver.feed import REPLIES

pytestmark = pytest.mark.network

LOCAL = "169.254.169.253"
BALANCER = "shop-1.eu-west-1.elb.amazonaws.com"


def view(number: int) -> DnsView:
    return DnsView(
        name=f"vpc-{number}",
        netns=f"r{number}",
        addresses=("10.0.0.2", LOCAL),
        generated=(("eu-west-1.compute.internal", ("10.0.0.0/16",)),),
        public="internet",
    )


INTERNET = DnsView(name="internet", netns="internet", addresses=("198.19.255.253",))


def record(where: str, name: str, *values: str, zone: str) -> DnsRecords:
    return DnsRecords(view=where, zone=zone, name=name, type="A", ttl=60, values=values, owner="test")


class Agent:
    def __init__(self, state: Path) -> None:
        self.lost: queue.Queue[bool] = queue.Queue()
        self.driver = ResolverDriver(
            DetachedServer(
                "ecsnet.resolver.main",
                socket_path=state / "resolver.sock",
                argument=state / "resolver.snapshot",
                log_path=state / "resolver.log",
                replies=REPLIES,
                lost=lambda: self.lost.put(True),
            )
        )

    def put(self, *items: DnsView | DnsRecords) -> None:
        assert self.driver.apply(items, ()) == {}

    def remove(self, *items: DnsView | DnsRecords) -> None:
        assert self.driver.apply((), tuple(item.key for item in items)) == {}


def dig(netns: str, server: str, name: str, *options: str) -> list[str]:
    out = command("ip", "netns", "exec", netns, "dig", "+short", "+time=15", "+tries=1", f"@{server}", name, *options)
    return sorted(out.split())


def status(netns: str, server: str, name: str) -> str:
    out = command("ip", "netns", "exec", netns, "dig", "+time=15", "+tries=1", f"@{server}", name)
    return out.partition("status: ")[2].partition(",")[0]


def silent(netns: str, server: str) -> bool:
    """Whether nobody answers a query there (a closed port or no reply)."""
    thread = NamespaceThread()
    try:
        with thread.run(netns, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as asker:
            asker.settimeout(0.5)
            asker.connect((server, 53))
            asker.send(dns.message.make_query("a.", "A").to_wire())
            asker.recv(512)
            return False
    except OSError:
        return True
    finally:
        thread.close()


def vpc(number: int) -> None:
    """A router with the resolver's addresses, and a task behind it; every VPC has the same CIDR."""
    namespace(f"r{number}")
    namespace(f"t{number}")
    for address in ("10.0.0.2", LOCAL):
        command("ip", "-n", f"r{number}", "address", "add", f"{address}/32", "dev", "lo")
    wire(f"t{number}", f"r{number}", "e1", "10.0.1.10", "10.0.1.1")


def world() -> Path:
    vpc(1)
    vpc(2)
    namespace("internet")
    command("ip", "-n", "internet", "address", "add", "198.19.255.253/32", "dev", "lo")
    return short_directory()


@sandboxed
def test_two_vpcs_with_equal_addresses_see_their_own_names() -> None:
    agent = Agent(world())
    agent.put(
        INTERNET,
        view(1),
        view(2),
        record("vpc-1", "db.prod.internal", "10.0.1.10", zone="prod.internal"),
        record("vpc-2", "db.prod.internal", "10.0.2.20", zone="prod.internal"),
        record("internet", BALANCER, "198.18.0.1", "198.18.0.2", zone="eu-west-1.elb.amazonaws.com"),
    )
    for server in ("10.0.0.2", LOCAL):
        assert dig("t1", server, "db.prod.internal") == ["10.0.1.10"]
        assert dig("t2", server, "DB.prod.internal") == ["10.0.2.20"]
        assert dig("t1", server, BALANCER) == ["198.18.0.1", "198.18.0.2"]
        assert dig("t1", server, BALANCER, "+tcp") == ["198.18.0.1", "198.18.0.2"]
        assert dig("t1", server, "ip-10-0-1-10.eu-west-1.compute.internal") == ["10.0.1.10"]
        assert dig("t1", server, "-x", "10.0.1.10") == ["ip-10-0-1-10.eu-west-1.compute.internal."]
    assert dig("internet", "198.19.255.253", BALANCER) == ["198.18.0.1", "198.18.0.2"]
    assert status("internet", "198.19.255.253", "db.prod.internal") == "NXDOMAIN"
    assert status("t1", LOCAL, "example.com") == "NXDOMAIN"
    assert status("t1", LOCAL, "ip-10-9-1-10.eu-west-1.compute.internal") == "NXDOMAIN"


@sandboxed
def test_a_large_answer_comes_by_tcp() -> None:
    agent = Agent(world())
    everybody = [f"10.0.3.{n}" for n in range(100)]
    agent.put(view(1), record("vpc-1", "many.prod.internal", *everybody, zone="prod.internal"))
    assert dig("t1", LOCAL, "many.prod.internal") == sorted(everybody)
    plain = command("ip", "netns", "exec", "t1", "dig", "+ignore", f"@{LOCAL}", "many.prod.internal")
    assert " tc " in plain.partition("flags:")[2].partition(";")[0]


@sandboxed
def test_the_system_resolver_of_a_task_finds_names_by_its_search_list() -> None:
    agent = Agent(world())
    agent.put(view(1), record("vpc-1", "db.prod.internal", "10.0.1.10", zone="prod.internal"))
    folder = Path("/run/resolv")
    folder.write_text("nameserver 10.0.0.2\nsearch nowhere.internal prod.internal\noptions timeout:15\n")
    found = command(
        "ip", "netns", "exec", "t1", "sh", "-c",
        "mount --bind /run/resolv /etc/resolv.conf && getent ahostsv4 db",
    )  # fmt: skip
    assert found.split()[0] == "10.0.1.10"


@sandboxed
def test_changes_are_in_force_when_apply_returns() -> None:
    agent = Agent(world())
    agent.put(view(1))
    for number in range(1, 30):
        agent.put(record("vpc-1", "web.prod.internal", f"10.0.1.{number}", zone="prod.internal"))
        assert dig("t1", LOCAL, "web.prod.internal") == [f"10.0.1.{number}"]
    assert dig("t1", LOCAL, "ip-10-0-1-10.eu-west-1.compute.internal") == ["10.0.1.10"]
    agent.put(msgspec.structs.replace(view(1), generated=()))
    assert status("t1", LOCAL, "ip-10-0-1-10.eu-west-1.compute.internal") == "NXDOMAIN"
    agent.remove(record("vpc-1", "web.prod.internal", "10.0.1.1", zone="prod.internal"))
    assert status("t1", LOCAL, "web.prod.internal") == "NXDOMAIN"


@sandboxed
def test_a_view_that_goes_is_silent_and_lets_the_namespace_go() -> None:
    agent = Agent(world())
    agent.put(view(1), view(2))
    assert not silent("t1", "10.0.0.2")
    agent.remove(view(1))
    assert silent("t1", "10.0.0.2")
    assert silent("t1", LOCAL)
    assert not silent("t2", "10.0.0.2")
    assert command("ip", "netns", "exec", "r1", "ss", "-Hlnut") == ""


@sandboxed
def test_goes_on_without_the_agent_and_restarts_from_its_snapshot() -> None:
    state = world()
    names = (view(1), record("vpc-1", "db.prod.internal", "10.0.1.10", zone="prod.internal"))
    desired = {item.key: item for item in names}
    first = Agent(state)
    first.put(*names)
    first.driver.close()
    assert dig("t1", LOCAL, "db.prod.internal") == ["10.0.1.10"]

    second = Agent(state)
    assert second.driver.observe(desired) == desired
    processes = command("pgrep", "-f", "ecsnet.resolver.main").split()
    assert len(processes) == 1
    handle = os.pidfd_open(int(processes[0]))
    os.kill(int(processes[0]), signal.SIGTERM)  # an orderly end writes what is still to be written
    assert second.lost.get(timeout=60)
    os.waitid(os.P_PIDFD, handle, os.WEXITED)
    assert silent("t1", LOCAL)
    assert second.driver.observe(desired) == desired
    assert dig("t1", LOCAL, "db.prod.internal") == ["10.0.1.10"]


@sandboxed
def test_a_missing_namespace_is_named_and_hinders_nobody() -> None:
    agent = Agent(world())
    failures = agent.driver.apply((view(7), view(1)), ())
    assert failures == {"dns-view:vpc-7": "cannot listen in r7: No such file or directory"}
    assert not silent("t1", LOCAL)
    assert set(agent.driver.observe({})) == {"dns-view:vpc-1"}
