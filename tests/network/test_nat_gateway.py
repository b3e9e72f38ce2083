"""NAT gateways: which connections they carry, with which addresses and ports, and when they forget them.

Source: VPC user guide, "NAT gateway basics" and "Troubleshoot NAT gateways".
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator

import msgspec
import pytest
import rows
from vpc_lab import Lab, Task

from ecsnet.fabric.kernel import naming
from ecsnet.fabric.kernel.lower import lower
from ecsnet.hostplan.kernel import HostObject
from ecsnet.logical.base import LogicalObject
from ecsnet.logical.network import INTERNET_CLIENT, Nat
from ecsnet.model import ec2
from ecsnet.model import tables as t
from ecsnet.testing.world import TestWorld, wait_until

pytestmark = pytest.mark.network

INTERNET = str(INTERNET_CLIENT)
NAT = rows.identifier("nat", 1)
PEERING = rows.identifier("pcx", 1)
NETNS = naming.nat_gateway_namespace(NAT)
PORTS = 10

UNANSWERED = """
import select, socket, sys
made = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(int(sys.argv[3]))]
poll = select.poll()
for one in made:
    one.connect((sys.argv[1], int(sys.argv[2])))
    one.send(b"hello")
    poll.register(one, select.POLLIN)
answers = {one.fileno(): one for one in made}
answered, looks = 0, 0
while looks < 50:
    ready = poll.poll(10)
    looks = 0 if ready else looks + 1
    answered += sum(bool(answers[number].recv(100)) for number, _ in ready)
print(answered)
"""
"""Silence is fifty looks, ten milliseconds apart, that find nothing: none is used up while the machine stands still."""

IDLE = r"""
import socket, sys
made = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=30)
made.send(b"hello\n")
print(made.recv(100) != b"", flush=True)
sys.stdin.readline()
try:
    made.send(b"again\n")
    print(made.recv(100))
except OSError as error:
    print(type(error).__name__)
"""


def _few_ports(item: LogicalObject) -> Iterable[HostObject]:
    """The fabric with NAT gateways that have ten ports and forget after five seconds."""
    if isinstance(item, Nat):
        item = msgspec.structs.replace(item, ports=(1024, 1024 + PORTS - 1), idle=5)
    return lower(item)


@pytest.fixture
def make(net: TestWorld) -> Iterator[Callable[..., tuple[Lab, Task]]]:
    def made(lowering: Callable[[LogicalObject], Iterable[HostObject]] = lower) -> tuple[Lab, Task]:
        """A client in subnet 2 behind a NAT gateway in subnet 1."""
        lab = Lab(net, lowering)
        lab.vpc()
        lab.gateway()
        lab.group(1)
        _put_nat(lab)
        with lab.store.transaction() as tx:
            tx.put(t.ELASTIC_IPS, rows.elastic_ip(1, "198.18.0.2", 90, "10.0.1.9"))
            tx.put(t.ROUTE_TABLES, rows.route_table(2, rows.route("0.0.0.0/0", "nat", NAT)))
            tx.put(t.ROUTE_TABLE_ASSOCIATIONS, rows.association(2, 2, subnet=2))
        lab.flush()
        return lab, lab.task("10.0.2.10", 1, subnet=2)

    yield made
    net.sync()


def _put_nat(lab: Lab, *secondary: ec2.NatAddress) -> None:
    interface = rows.interface(90, "10.0.1.9", 1, owner=("nat", NAT), checked=False)
    held = tuple(one.private_ip for one in secondary)
    with lab.store.transaction() as tx:
        tx.put(t.INTERFACES, msgspec.structs.replace(interface, secondary_ips=held))
        tx.put(t.NAT_GATEWAYS, msgspec.structs.replace(rows.nat(1, 90, 1, "10.0.1.9"), secondary=secondary))
    lab.flush()


def _answered(lab: Lab, client: Task, port: int, count: int) -> int:
    """How many of that many datagrams of sockets of their own are answered."""
    done = lab.net.run(client.netns, sys.executable, "-c", UNANSWERED, INTERNET, str(port), str(count))
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def _allocation_errors(lab: Lab) -> int:
    return int(lab.net.ask("nat", netns=NETNS)["error_port_allocation"])


def test_each_destination_has_as_many_connections_as_there_are_ports(make: Callable[..., tuple[Lab, Task]]) -> None:
    lab, client = make(_few_ports)
    with lab.net.listen("internet", INTERNET, 53, "udp"), lab.net.listen("internet", INTERNET, 54, "udp"):
        assert _allocation_errors(lab) == 0
        assert _answered(lab, client, 53, PORTS + 5) == PORTS
        assert _allocation_errors(lab) == 5
        assert _answered(lab, client, 54, PORTS) == PORTS  # another destination has ports of its own


def test_a_secondary_address_brings_as_many_again(make: Callable[..., tuple[Lab, Task]]) -> None:
    lab, client = make(_few_ports)
    second = rows.nat_address(2, "10.0.1.8", "198.18.0.3")
    _put_nat(lab, second)
    with lab.store.transaction() as tx:
        tx.put(t.ELASTIC_IPS, rows.elastic_ip(2, "198.18.0.3", 90, "10.0.1.8"))
    lab.flush()
    with lab.net.listen("internet", INTERNET, 53, "udp"), lab.net.listen("internet", INTERNET, 80):
        seen = {lab.net.tcp(client.netns, INTERNET, 80) for _ in range(4)}
        assert seen == {"198.18.0.2", "198.18.0.3"}
        assert _answered(lab, client, 53, 2 * PORTS + 4) == 2 * PORTS
        _put_nat(lab, msgspec.structs.replace(second, draining_until=1e12))
        assert {lab.net.tcp(client.netns, INTERNET, 80) for _ in range(4)} == {"198.18.0.2"}


def test_an_idle_connection_is_forgotten_and_answered_with_a_reset(make: Callable[..., tuple[Lab, Task]]) -> None:
    lab, client = make(_few_ports)
    with (
        lab.net.listen("internet", INTERNET, 80),
        lab.net.start(client.netns, sys.executable, "-c", IDLE, INTERNET, "80") as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"

        def forgotten() -> bool:
            return int(lab.net.ask("nat", netns=NETNS)["active_connections"]) == 0

        wait_until(forgotten, 30, "the gateway does not forget the connection")
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ConnectionResetError\n"


def test_nobody_outside_reaches_it(make: Callable[..., tuple[Lab, Task]]) -> None:
    lab, client = make()
    with lab.net.listen("internet", INTERNET, 80):
        assert lab.net.tcp(client.netns, INTERNET, 80) == "198.18.0.2"
    assert lab.net.ping(client.netns, INTERNET)
    assert not lab.net.ping("internet", "198.18.0.2")
    assert not lab.net.ping(client.netns, "10.0.1.9")
    with lab.net.listen(NETNS, "10.0.1.9", 80):
        assert lab.net.tcp("internet", "198.18.0.2", 80) is None
        assert lab.net.tcp(client.netns, "10.0.1.9", 80) is None


def test_a_private_gateway_does_not_reach_the_internet(make: Callable[..., tuple[Lab, Task]]) -> None:
    lab, client = make()
    with lab.store.transaction() as tx:
        tx.delete(t.ELASTIC_IPS, rows.identifier("eipalloc", 1))
    lab.flush()
    with lab.net.listen("internet", INTERNET, 80):
        assert lab.net.tcp(client.netns, INTERNET, 80) is None


def test_a_peered_vpc_sees_the_gateway_and_cannot_go_through_it(make: Callable[..., tuple[Lab, Task]]) -> None:
    """Replies come back without a route for the client's subnet: they are addressed to the gateway."""
    lab, client = make()
    peer = _peered_vpc(lab)
    with lab.net.listen(peer.netns, peer.address, 80), lab.net.listen("internet", INTERNET, 80):
        assert lab.net.tcp(client.netns, peer.address, 80) == "10.0.1.9"
        assert lab.net.tcp(client.netns, INTERNET, 80) == "198.18.0.2"
        assert lab.net.tcp(peer.netns, INTERNET, 80) is None


def _peered_vpc(lab: Lab) -> Task:
    """VPC 2, 10.1.0.0/16, whose default route leads to VPC 1; the gateway's subnet has a route to it."""
    vpc = rows.identifier("vpc", 2)
    with lab.store.transaction() as tx:
        tx.put(t.VPCS, rows.vpc(2, "10.1.0.0/16"))
        tx.put(t.ROUTE_TABLES, rows.route_table(11, rows.route("0.0.0.0/0", "pcx", PEERING), vpc=vpc))
        tx.put(t.ROUTE_TABLE_ASSOCIATIONS, rows.association(11, 11, vpc=vpc, main=True))
        tx.put(t.ACLS, rows.acl(11, rows.entry(100), rows.entry(100, egress=True), vpc=vpc, default=True))
        tx.put(t.SUBNETS, rows.subnet(11, "10.1.1.0/24", vpc))
        tx.put(t.ACL_ASSOCIATIONS, rows.acl_association(11, 11, vpc))
        tx.put(t.PEERINGS, rows.peering(1, 1, 2))
        to_peer, out = rows.route("10.1.0.0/16", "pcx", PEERING), rows.route("0.0.0.0/0", "igw", rows.IGW)
        tx.put(t.ROUTE_TABLES, rows.route_table(1, to_peer, out))
    lab.group(2, rows.rule(2, 2, protocol="-1", cidr="10.0.1.9/32"), vpc=2)
    return lab.task("10.1.1.10", 2, subnet=11, vpc=2)


RAW = """
import socket, struct, sys
made = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
source, target, protocol = sys.argv[1:]
header = struct.pack(
    "!BBHHHBBH4s4s", 0x45, 0, 0, 0, 0, 64, int(protocol), 0, socket.inet_aton(source), socket.inet_aton(target)
)
made.sendto(header + struct.pack("!HHHH", 4000, 53, 8, 0), (target, 0))
"""


@pytest.mark.parametrize(
    ("source", "target", "protocol", "decision"),
    [
        ("10.0.2.30", INTERNET, "47", "nat-protocol"),
        ("203.0.113.7", INTERNET, "17", "nat-source"),
        ("10.0.2.30", "10.0.1.9", "17", "nat-in"),
    ],
)
def test_what_it_does_not_carry_is_counted_by_reason(
    make: Callable[..., tuple[Lab, Task]], source: str, target: str, protocol: str, decision: str
) -> None:
    """Sent by an instance without source/destination check, which may send from any address."""
    lab, _ = make()
    netns = lab.instance(1)
    lab.interface("10.0.2.30", 1, subnet=2, instance=1, checked=False)
    done = lab.net.run(netns, sys.executable, "-c", RAW, source, target, protocol)
    assert done.returncode == 0, done.stderr
    wait_until(lambda: _decided(lab, f"D {decision} {NAT}") == 1, 30, f"nothing was dropped as {decision}")


def _decided(lab: Lab, prefix: str) -> int:
    """Packets that the gateway's rules ended under a log prefix."""
    done = lab.net.run(NETNS, "nft", "-j", "list", "table", "ip", "ecs")
    found = 0
    for item in json.loads(done.stdout)["nftables"]:
        words = item.get("rule", {}).get("expr", ())
        if any(word.get("log", {}).get("prefix") == prefix for word in words if isinstance(word, dict)):
            found += sum(word["counter"]["packets"] for word in words if "counter" in word)
    return found
