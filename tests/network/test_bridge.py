"""Bridge and none mode with packets: who shares what, host ports, hairpin, translation, and who filters.

Source: Amazon ECS Developer Guide, "Amazon ECS task networking options for EC2".
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import rows
from vpc_lab import Lab

from ecsnet.fabric.kernel import naming
from ecsnet.model import tables as t
from ecsnet.model.capacity import NetworkBinding
from ecsnet.model.ecs import TaskStatus, container_id
from ecsnet.testing.world import TestWorld

pytestmark = pytest.mark.network

A, B, C = "172.17.0.2", "172.17.0.3", "172.17.0.4"
GATEWAY = "172.17.0.1"
HOST = "10.0.2.20"


class Machines:
    """Instances with container tasks beside a client task 10.0.1.10 in another subnet."""

    def __init__(self, net: TestWorld) -> None:
        self.lab = Lab(net)
        self.net = net
        self.lab.vpc(subnets=3)
        self.lab.group(1, rows.rule(1, 1, protocol="-1", cidr="10.0.0.0/16"))
        self.client = self.lab.task("10.0.1.10", 1)
        self._tasks = 100

    def machine(self, number: int = 1, address: str = HOST, group: int = 1) -> str:
        netns = self.lab.instance(number)
        self.lab.interface(address, group, subnet=2, instance=number)
        with self.lab.store.transaction() as tx:
            tx.put(t.CONTAINER_INSTANCES, rows.container_instance(number, number))
        self.lab.flush()
        return netns

    def task(self, *addresses: str, bindings: tuple[NetworkBinding, ...] = (), machine: int = 1) -> list[str]:
        """A bridge task with a container at each address; the containers' namespaces."""
        self._tasks += 1
        names = tuple(f"c{number}" for number, _ in enumerate(addresses))
        row = rows.instance_task(self._tasks, machine, "bridge", names, addresses=addresses, bindings=bindings)
        with self.lab.store.transaction() as tx:
            tx.put(t.TASKS, row)
        self.lab.flush()
        return [naming.container_namespace(container_id(row.arn, name)) for name in names]


@pytest.fixture
def machines(net: TestWorld) -> Iterator[Machines]:
    yield Machines(net)
    net.sync()


def mapped(container: int, port: int, host: int, protocol: str = "tcp", length: int = 1) -> NetworkBinding:
    return NetworkBinding(
        container=f"c{container}",
        container_port=port,
        host_port=host,
        protocol=protocol,  # type: ignore[arg-type]
        length=length,
        ranged=length > 1,
    )


def test_each_container_has_a_loopback_of_its_own(machines: Machines) -> None:
    machines.machine()
    one, other = machines.task(A, B)
    with machines.net.listen(one, "127.0.0.1", 80), machines.net.listen(one, "0.0.0.0", 81):
        assert machines.net.tcp(one, "127.0.0.1", 80) == "127.0.0.1"
        assert machines.net.tcp(other, "127.0.0.1", 80) is None
        assert machines.net.tcp(other, "127.0.0.1", 81) is None


def test_containers_of_one_machine_reach_each_other_by_address(machines: Machines) -> None:
    """Of one task or of two, without any mapping, and no group is asked."""
    machines.lab.group(9, egress=False)
    machines.machine(group=9)
    machines.machine(2, "10.0.2.21")
    one, other = machines.task(A, B)
    (third,) = machines.task(C)
    (abroad,) = machines.task(C, machine=2)
    with machines.net.listen(one, "0.0.0.0", 80):
        assert machines.net.tcp(other, A, 80) == B
        assert machines.net.tcp(third, A, 80) == C
        assert machines.net.udp(third, A, 80) is None
        assert machines.net.ping(third, GATEWAY)
        assert machines.net.tcp(abroad, A, 80) is None
    with machines.net.listen(third, "0.0.0.0", 80, "udp"):
        assert machines.net.udp(one, C, 80) == A


def test_host_ports_lead_to_their_containers(machines: Machines) -> None:
    netns = machines.machine()
    bindings = (mapped(0, 80, 8080), mapped(1, 53, 32768, "udp"), mapped(1, 7000, 40000, length=3))
    one, other = machines.task(A, B, bindings=bindings)
    client = machines.client
    net = machines.net
    with (
        net.listen(one, "0.0.0.0", 80),
        net.listen(other, "0.0.0.0", 53, "udp"),
        net.listen(other, "0.0.0.0", 7002),
        net.listen(other, "0.0.0.0", 80),
    ):
        assert net.tcp(client.netns, HOST, 8080) == client.address, "the client's address is kept"
        assert net.udp(client.netns, HOST, 32768) == client.address
        assert net.tcp(client.netns, HOST, 40002) == client.address
        for port in (80, 8081, 32768, 40001, 40003):
            assert net.tcp(client.netns, HOST, port) is None
        assert net.udp(client.netns, HOST, 8080) is None
        # from the machine itself, by its address and by its loopback
        assert net.tcp(netns, HOST, 8080) == HOST
        assert net.tcp(netns, "127.0.0.1", 8080) == GATEWAY
        assert net.tcp(netns, "127.0.0.1", 80) is None


def test_one_host_port_leads_to_two_places_by_protocol(machines: Machines) -> None:
    machines.machine()
    bindings = (mapped(0, 53, 5353), mapped(0, 53, 5353, "udp"), mapped(0, 80, 8080), mapped(1, 80, 8080, "udp"))
    one, other = machines.task(A, B, bindings=bindings)
    client, net = machines.client, machines.net
    with net.listen(one, "0.0.0.0", 53), net.listen(one, "0.0.0.0", 53, "udp"):
        assert net.tcp(client.netns, HOST, 5353) == client.address
        assert net.udp(client.netns, HOST, 5353) == client.address
    with net.listen(one, "0.0.0.0", 80), net.listen(other, "0.0.0.0", 80, "udp"):
        assert net.tcp(client.netns, HOST, 8080) == client.address
        assert net.udp(client.netns, HOST, 8080) == client.address


def test_a_mapping_goes_with_its_task(machines: Machines) -> None:
    machines.machine()
    (one,) = machines.task(A, bindings=(mapped(0, 80, 8080),))
    with machines.net.listen(one, "0.0.0.0", 80):
        assert machines.net.tcp(machines.client.netns, HOST, 8080) == "10.0.1.10"
    with machines.lab.store.transaction() as tx:
        row = rows.instance_task(101, 1, "bridge", ("c0",), addresses=(A,))
        tx.put(t.TASKS, rows.stopped(row, TaskStatus.STOPPED))
        again = rows.instance_task(102, 1, "bridge", ("c0",), addresses=(A,), bindings=(mapped(0, 80, 8090),))
        tx.put(t.TASKS, again)
    machines.lab.flush()
    successor = naming.container_namespace(container_id(again.arn, "c0"))
    with machines.net.listen(successor, "0.0.0.0", 80):
        assert machines.net.tcp(machines.client.netns, HOST, 8090) == "10.0.1.10"
        assert machines.net.tcp(machines.client.netns, HOST, 8080) is None


def test_hairpin_through_the_machines_address(machines: Machines) -> None:
    machines.machine()
    one, other = machines.task(A, B, bindings=(mapped(0, 80, 8080),))
    with machines.net.listen(one, "0.0.0.0", 80):
        assert machines.net.tcp(other, HOST, 8080) == B
        assert machines.net.tcp(other, GATEWAY, 8080) == B
        assert machines.net.tcp(one, HOST, 8080) == GATEWAY, "a container that reaches itself sees the gateway"
        assert machines.net.tcp(other, HOST, 80) is None


def test_what_leaves_has_the_machines_address(machines: Machines) -> None:
    machines.machine()
    (one,) = machines.task(A)
    client = machines.client
    with (
        machines.net.listen(client.netns, "0.0.0.0", 80),
        machines.net.listen(client.netns, "0.0.0.0", 53, "udp"),
    ):
        assert machines.net.tcp(one, client.address, 80) == HOST
        assert machines.net.udp(one, client.address, 53) == HOST
        assert machines.net.ping(one, client.address)


def test_the_machines_group_decides(machines: Machines) -> None:
    machines.lab.group(2, rows.rule(20, 2, ports=(8080, 8080), cidr="10.0.0.0/16"))
    machines.machine(group=2)
    (one,) = machines.task(A, bindings=(mapped(0, 80, 8080), mapped(0, 81, 8081)))
    client = machines.client
    with machines.net.listen(one, "0.0.0.0", 80), machines.net.listen(one, "0.0.0.0", 81):
        assert machines.net.tcp(client.netns, HOST, 8080) == client.address
        assert machines.net.tcp(client.netns, HOST, 8081) is None
        # the group of an awsvpc task's own decides there: this one admits nobody
        machines.lab.group(3, egress=False)
        task = machines.lab.task("10.0.2.30", 3, subnet=2)
        with machines.net.listen(task.netns, "0.0.0.0", 8080):
            assert machines.net.tcp(client.netns, "10.0.2.30", 8080) is None
            assert machines.net.tcp(one, "10.0.2.30", 8080) is None


def test_nobody_outside_reaches_a_container_by_its_own_address(machines: Machines) -> None:
    """Neither by a route to the machine, nor the machine's loopback."""
    netns = machines.machine()
    (one,) = machines.task(A, bindings=(mapped(0, 80, 8080),))
    (guest,) = machines.task(B)
    lab = machines.lab
    number = lab.interface("10.0.2.50", 1, subnet=2, instance=1, device=1, checked=False)
    with lab.store.transaction() as tx:
        tx.put(t.ROUTE_TABLES, rows.route_table(1, rows.route("172.17.0.0/16", "eni", rows.identifier("eni", number))))
    lab.flush()
    with machines.net.listen(one, "0.0.0.0", 80), machines.net.listen(netns, "127.0.0.1", 82):
        assert dropped(machines.net, netns, "D unpublished i-") == 0
        assert machines.net.tcp(machines.client.netns, A, 80) is None
        # once, or more often where the kernel had time to try again
        assert dropped(machines.net, netns, "D unpublished i-") >= 1
        assert machines.net.tcp(machines.client.netns, HOST, 8080) == "10.0.1.10"
        script = f"""
            echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet
            ip route del table local local 127.0.0.0/8 dev lo && ip route del table local local 127.0.0.1 dev lo
            ip route add 127.0.0.1 via {GATEWAY} dev eth0 onlink
        """
        done = machines.net.run(guest, "sh", "-ec", script)
        assert done.returncode == 0, done.stderr
        assert machines.net.tcp(guest, "127.0.0.1", 82, source=B) is None
        assert dropped(machines.net, netns, "D loopback i-") >= 1


def dropped(net: TestWorld, netns: str, prefix: str) -> int:
    """How many packets the rule with a log prefix has counted."""
    listing = net.run(netns, "nft", "list", "ruleset").stdout
    (line,) = (line for line in listing.splitlines() if prefix in line)
    return int(line.split("counter packets ")[1].split()[0])


def test_none_has_a_loopback_and_nothing_else(machines: Machines) -> None:
    machines.machine()
    row = rows.instance_task(150, 1, "none")
    with machines.lab.store.transaction() as tx:
        tx.put(t.TASKS, row)
    machines.lab.flush()
    netns = naming.container_namespace(container_id(row.arn, "web"))
    with machines.net.listen(netns, "127.0.0.1", 80), machines.net.listen(machines.client.netns, "0.0.0.0", 80):
        assert machines.net.tcp(netns, "127.0.0.1", 80) == "127.0.0.1"
        done = machines.net.run(netns, "ip", "-o", "link")
        assert len(done.stdout.splitlines()) == 1
        assert machines.net.run(netns, "ip", "route", "get", "10.0.1.10").returncode != 0


def test_a_new_agent_finds_containers_as_they_are(machines: Machines) -> None:
    machines.machine()
    one, other = machines.task(A, B, bindings=(mapped(0, 80, 8080), mapped(1, 7000, 40000, length=3)))
    with machines.net.listen(one, "0.0.0.0", 80), machines.net.flow(other, HOST, 8080) as alive:
        machines.net.kill_agent()
        assert alive()
        machines.net.start_agent()
        machines.net.sync(machines.lab.plan())
        stats = machines.net.ask("stats")
        assert (stats["made"], stats["removed"], stats["failed"]) == (0, 0, 0)
        assert alive()
