"""Routes inside the VPC: packets between two subnets go through an appliance, and stop where it or its groups stop.

Source: VPC user guide, "Routing for a middlebox appliance".
"""

from __future__ import annotations

import msgspec
import pytest
import rows
from vpc_lab import Lab, Task

from ecsnet.model import tables as t

pytestmark = pytest.mark.network


def _through_the_appliance(lab: Lab) -> tuple[Task, Task, Task]:
    """Client in subnet 1, server in 2, appliance in 3; both subnets' tables send the other's packets through it."""
    lab.vpc(subnets=3)
    lab.group(1, rows.rule(1, 1, protocol="-1", cidr="10.0.0.0/16"))
    lab.group(2, rows.rule(2, 2, ports=(80, 80), cidr="10.0.1.0/24"))
    lab.group(3, rows.rule(3, 3, protocol="tcp", ports=(80, 80), cidr="10.0.1.0/24"), egress=False)
    lab.put_rules(rows.rule(4, 3, egress=True, protocol="tcp", ports=(80, 80), cidr="10.0.2.0/24"))
    client, server = lab.task("10.0.1.10", 1), lab.task("10.0.2.10", 2, subnet=2)
    appliance = lab.task("10.0.3.10", 3, subnet=3)
    _check(lab, appliance, on=False)
    _forward(lab, appliance, on=True)
    target = rows.identifier("eni", appliance.number)
    with lab.store.transaction() as tx:
        for subnet, other in ((1, 2), (2, 1)):
            tx.put(t.ROUTE_TABLES, rows.route_table(50 + subnet, rows.route(f"10.0.{other}.0/24", "eni", target)))
            tx.put(t.ROUTE_TABLE_ASSOCIATIONS, rows.association(50 + subnet, 50 + subnet, subnet=subnet))
    lab.flush()
    return client, server, appliance


def _forward(lab: Lab, task: Task, *, on: bool) -> None:
    """Let the task's kernel forward packets, or not."""
    done = lab.net.run(task.netns, "sh", "-c", f"echo {int(on)} > /proc/sys/net/ipv4/ip_forward")
    assert done.returncode == 0, done.stderr


def _check(lab: Lab, task: Task, *, on: bool) -> None:
    """Switch the source/destination check of a task's interface."""
    with lab.store.transaction() as tx:
        row = tx.get(t.INTERFACES, rows.identifier("eni", task.number))
        assert row is not None
        tx.put(t.INTERFACES, msgspec.structs.replace(row, source_dest_check=on))
    lab.flush()


def test_packets_between_subnets_go_through_it(lab: Lab) -> None:
    client, server, appliance = _through_the_appliance(lab)
    with lab.net.listen(server.netns, server.address, 80):
        assert lab.net.tcp(client.netns, server.address, 80) == client.address
        _forward(lab, appliance, on=False)
        assert lab.net.tcp(client.netns, server.address, 80) is None


def test_inside_one_subnet_it_is_not_asked(lab: Lab) -> None:
    client, _, appliance = _through_the_appliance(lab)
    neighbour = lab.task("10.0.1.11", 1)
    _forward(lab, appliance, on=False)
    with lab.net.listen(neighbour.netns, neighbour.address, 80):
        assert lab.net.tcp(client.netns, neighbour.address, 80) == client.address


@pytest.mark.parametrize("rule", [2, 3, 4], ids=["the-receivers", "its-ingress", "its-egress"])
def test_every_group_on_the_way_decides(lab: Lab, rule: int) -> None:
    client, server, _ = _through_the_appliance(lab)
    with lab.net.listen(server.netns, server.address, 80):
        assert lab.net.tcp(client.netns, server.address, 80) == client.address
        lab.drop_rules(rule)
        assert lab.net.tcp(client.netns, server.address, 80) is None


def test_with_the_source_destination_check_nothing_passes_through(lab: Lab) -> None:
    client, server, appliance = _through_the_appliance(lab)
    with lab.net.listen(server.netns, server.address, 80):
        _check(lab, appliance, on=True)
        assert lab.net.tcp(client.netns, server.address, 80) is None
        _check(lab, appliance, on=False)
        assert lab.net.tcp(client.netns, server.address, 80) == client.address


def test_when_it_is_gone_the_route_is_a_black_hole(lab: Lab) -> None:
    client, server, appliance = _through_the_appliance(lab)
    with lab.net.listen(server.netns, server.address, 80):
        lab.stop(appliance)
        assert lab.net.tcp(client.netns, server.address, 80) is None
        with lab.store.transaction() as tx:
            for subnet in (1, 2):
                tx.put(t.ROUTE_TABLES, rows.route_table(50 + subnet))
        lab.flush()
        assert lab.net.tcp(client.netns, server.address, 80) == client.address
