"""Instances: several interfaces, one that moves, an instance that routes for others, one that is stopped.

Source: EC2 User Guide, "Elastic network interfaces"; VPC user guide, "NAT instances".
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import rows
from vpc_lab import Lab, Task

from ecsnet.logical.network import INTERNET_CLIENT
from ecsnet.model import tables as t
from ecsnet.testing.world import TestWorld

pytestmark = pytest.mark.network

INTERNET = str(INTERNET_CLIENT)


@pytest.fixture
def lab(net: TestWorld) -> Iterator[Lab]:
    made = Lab(net)
    made.vpc(subnets=3)
    made.group(1, rows.rule(1, 1, protocol="-1", cidr="10.0.0.0/16"))
    yield made
    net.sync()


def test_an_instance_carries_packets_and_its_groups_decide(lab: Lab) -> None:
    lab.group(2, rows.rule(2, 2, ports=(80, 80), cidr="10.0.1.0/24"))
    client, netns = lab.task("10.0.1.10", 1), lab.instance(1)
    lab.interface("10.0.2.20", 2, subnet=2, instance=1)
    with lab.net.listen(netns, "10.0.2.20", 80), lab.net.listen(netns, "10.0.2.20", 81):
        assert lab.net.tcp(client.netns, "10.0.2.20", 80) == client.address
        assert lab.net.tcp(client.netns, "10.0.2.20", 81) is None
    with lab.net.listen(client.netns, client.address, 80):
        assert lab.net.tcp(netns, client.address, 80) == "10.0.2.20"


def test_a_second_interface_answers_from_its_own_subnet(lab: Lab) -> None:
    """The reply must leave where the request came: from eth0 the second address would be spoofed and dropped."""
    client, netns = lab.task("10.0.3.10", 1, subnet=3), lab.instance(1)
    lab.interface("10.0.1.20", 1, instance=1)
    second = lab.interface("10.0.2.20", 1, subnet=2, instance=1, device=1)
    with lab.net.listen(netns, "10.0.1.20", 80), lab.net.listen(netns, "10.0.2.20", 80):
        for address in ("10.0.1.20", "10.0.2.20"):
            assert lab.net.tcp(client.netns, address, 80) == client.address
        lab.interface("10.0.2.20", 1, subnet=2, instance=None, device=1, number=second)
        assert lab.net.tcp(client.netns, "10.0.1.20", 80) == client.address
        assert lab.net.tcp(client.netns, "10.0.2.20", 80) is None


def test_an_interface_that_moves_takes_its_traffic_along(lab: Lab) -> None:
    client = lab.task("10.0.1.10", 1)
    first, second = lab.instance(1), lab.instance(2)
    lab.interface("10.0.2.20", 1, subnet=2, instance=1)
    lab.interface("10.0.2.21", 1, subnet=2, instance=2)
    moving = lab.interface("10.0.2.50", 1, subnet=2, instance=1, device=1)
    with lab.net.listen(first, "0.0.0.0", 80), lab.net.listen(second, "0.0.0.0", 81):
        assert lab.net.tcp(client.netns, "10.0.2.50", 80) == client.address
        lab.interface("10.0.2.50", 1, subnet=2, instance=None, number=moving)
        assert lab.net.tcp(client.netns, "10.0.2.50", 80) is None
        lab.interface("10.0.2.50", 1, subnet=2, instance=2, device=1, number=moving)
        assert lab.net.tcp(client.netns, "10.0.2.50", 81) == client.address
        assert lab.net.tcp(client.netns, "10.0.2.50", 80) is None


def test_a_secondary_address_is_the_instances_own(lab: Lab) -> None:
    client, netns = lab.task("10.0.1.10", 1), lab.instance(1)
    number = lab.interface("10.0.2.20", 1, subnet=2, instance=1)
    with lab.store.transaction() as tx:
        row = tx.get(t.INTERFACES, rows.identifier("eni", number))
        assert row is not None
        tx.put(t.INTERFACES, rows.with_secondary(row, "10.0.2.77"))
    lab.flush()
    with lab.net.listen(netns, "10.0.2.77", 80):
        assert lab.net.tcp(client.netns, "10.0.2.77", 80) == client.address


def _nat_instance(lab: Lab) -> tuple[Task, str, int]:
    """A client in subnet 2 whose default route leads to an instance in subnet 1, which has a public address."""
    lab.gateway()
    client, netns = lab.task("10.0.2.10", 1, subnet=2), lab.instance(1)
    number = lab.interface("10.0.1.20", 1, instance=1, checked=False, public="198.18.0.20")
    for arguments in (
        "add table ip nat",
        "add chain ip nat post { type nat hook postrouting priority 100 ; }",
        "add rule ip nat post ip saddr 10.0.0.0/16 ip daddr != 10.0.0.0/16 masquerade",
    ):
        done = lab.net.run(netns, "nft", arguments)
        assert done.returncode == 0, done.stderr
    with lab.store.transaction() as tx:
        route = rows.route("0.0.0.0/0", "eni", rows.identifier("eni", number))
        tx.put(t.ROUTE_TABLES, rows.route_table(52, route))
        tx.put(t.ROUTE_TABLE_ASSOCIATIONS, rows.association(52, 52, subnet=2))
    lab.flush()
    return client, netns, number


def test_an_instance_translates_for_a_private_subnet(lab: Lab) -> None:
    client, _, number = _nat_instance(lab)
    with lab.net.listen("internet", INTERNET, 80):
        assert lab.net.tcp(client.netns, INTERNET, 80) == "198.18.0.20"
        lab.interface("10.0.1.20", 1, instance=1, checked=True, number=number, public="198.18.0.20")
        assert lab.net.tcp(client.netns, INTERNET, 80) is None


def test_a_stopped_instance_is_a_black_hole(lab: Lab) -> None:
    client, netns, _ = _nat_instance(lab)
    neighbour = lab.task("10.0.1.11", 1)
    with lab.net.listen("internet", INTERNET, 80), lab.net.listen(neighbour.netns, neighbour.address, 80):
        assert lab.net.tcp(client.netns, INTERNET, 80) == "198.18.0.20"
        assert lab.net.ping(client.netns, "10.0.1.20")
        lab.instance(1, "stopped")
        assert lab.net.tcp(client.netns, INTERNET, 80) is None
        assert not lab.net.ping(client.netns, "10.0.1.20")
        assert lab.net.tcp(client.netns, neighbour.address, 80) == client.address
    lab.instance(1, "pending")
    with lab.net.listen(netns, "10.0.1.20", 80):
        assert lab.net.tcp(client.netns, "10.0.1.20", 80) == client.address


def test_an_instance_holds_a_bridge_of_its_own_and_no_agent_minds(lab: Lab) -> None:
    """What runs on an instance may make a bridge like docker0 and translate for what is behind it."""
    server, netns = lab.task("10.0.1.10", 1), lab.instance(1)
    lab.interface("10.0.2.20", 1, subnet=2, instance=1)
    script = """
        ip link add docker0 type bridge && ip address add 172.17.0.1/16 dev docker0 && ip link set docker0 up
        nft add table ip nat && nft 'add chain ip nat post { type nat hook postrouting priority 100 ; }'
        nft add rule ip nat post ip saddr 172.17.0.0/16 oifname eth0 masquerade
    """
    done = lab.net.run(netns, "sh", "-ec", script)
    assert done.returncode == 0, done.stderr
    with lab.net.listen(server.netns, server.address, 80):
        assert lab.net.tcp(netns, server.address, 80) == "10.0.2.20"
        assert lab.net.tcp(netns, server.address, 80, source="172.17.0.1") == "10.0.2.20"
        lab.net.kill_agent()
        lab.net.start_agent()
        lab.net.sync(lab.plan())
        stats = lab.net.ask("stats")
        assert (stats["made"], stats["removed"], stats["failed"]) == (0, 0, 0)
        assert lab.net.tcp(netns, server.address, 80, source="172.17.0.1") == "10.0.2.20"
        # another interface comes and goes beside it
        second = lab.interface("10.0.3.20", 1, subnet=3, instance=1, device=1)
        assert lab.net.tcp(netns, server.address, 80, source="10.0.3.20") == "10.0.3.20"
        lab.interface("10.0.3.20", 1, subnet=3, instance=None, number=second)
        assert lab.net.tcp(netns, server.address, 80, source="172.17.0.1") == "10.0.2.20"
