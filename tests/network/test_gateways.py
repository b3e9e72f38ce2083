"""Internet and NAT gateways at their edges: address moves, hairpins, path MTU, ports that nobody opened."""

from __future__ import annotations

import sys

import pytest
import rows
from vpc_lab import Lab, Task

from ecsnet.model import tables as t

pytestmark = pytest.mark.network

CLIENT = "198.19.255.254"
"""The internet side's own address."""

PATH_MTU = """
import socket, sys
made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
made.setsockopt(socket.IPPROTO_IP, 10, 2)   # IP_MTU_DISCOVER: never fragment
made.settimeout(30)
made.connect((sys.argv[1], int(sys.argv[2])))
try:
    made.send(b"x" * int(sys.argv[3]))
    print("answered", len(made.recv(65535)) > 0)
except OSError as error:
    print(type(error).__name__, made.getsockopt(socket.IPPROTO_IP, 14))   # IP_MTU
"""


def nat_gateway(lab: Lab) -> None:
    """A NAT gateway in subnet 1 for subnet 2."""
    with lab.store.transaction() as tx:
        tx.put(t.ROUTE_TABLES, rows.route_table(2, rows.route("0.0.0.0/0", "nat", rows.identifier("nat", 1))))
        tx.put(t.ROUTE_TABLE_ASSOCIATIONS, rows.association(2, 2, subnet=2))
        owner = ("nat", rows.identifier("nat", 1))
        rows.put_interface(tx, rows.interface(90, "10.0.1.9", 1, owner=owner, checked=False))
        tx.put(t.NAT_GATEWAYS, rows.nat(1, 90, 1, "10.0.1.9"))
        tx.put(t.ELASTIC_IPS, rows.elastic_ip(1, "198.18.0.2", 90, "10.0.1.9"))
    lab.flush()


def public_vpc(lab: Lab) -> None:
    lab.vpc()
    lab.gateway()
    lab.group(1)
    lab.group(2, rows.rule(1, 2, ports=(80, 80), cidr="0.0.0.0/0"))


def _elastic_ip(lab: Lab, public: str, task: Task | None, allocation: int = 7) -> None:
    """Associate an Elastic IP with a task's interface, or with nothing."""
    with lab.store.transaction() as tx:
        interface, private = (task.number, task.address) if task else (None, None)
        tx.put(t.ELASTIC_IPS, rows.elastic_ip(allocation, public, interface, private))
    lab.flush()


def test_moving_an_elastic_ip_moves_new_flows_and_cuts_old_ones(lab: Lab) -> None:
    public_vpc(lab)
    one, two = lab.task("10.0.1.10", 2), lab.task("10.0.1.11", 2)
    with lab.net.listen(one.netns, one.address, 80), lab.net.listen(two.netns, two.address, 80):
        assert lab.net.tcp("internet", "198.18.0.7", 80) is None
        _elastic_ip(lab, "198.18.0.7", one)
        with lab.net.flow("internet", "198.18.0.7", 80) as alive:
            assert alive()
            _elastic_ip(lab, "198.18.0.7", two)
            assert not alive()
        assert lab.net.tcp("internet", "198.18.0.7", 80) == CLIENT
        with lab.net.listen("internet", CLIENT, 80):
            assert lab.net.tcp(two.netns, CLIENT, 80) == "198.18.0.7"
            assert lab.net.tcp(one.netns, CLIENT, 80) is None
        _elastic_ip(lab, "198.18.0.7", None)
        assert lab.net.tcp("internet", "198.18.0.7", 80) is None


def test_elastic_ips_of_secondary_addresses(lab: Lab) -> None:
    """Each private address has a public one of its own; a move cuts old flows and leaves the other address alone."""
    public_vpc(lab)
    one, two = lab.task("10.0.1.10", 2, secondary=("10.0.1.20",)), lab.task("10.0.1.11", 2)
    _elastic_ip(lab, "198.18.0.7", one)
    with lab.store.transaction() as tx:
        tx.put(t.ELASTIC_IPS, rows.elastic_ip(8, "198.18.0.8", one.number, "10.0.1.20"))
    lab.flush()
    with (
        lab.net.listen(one.netns, "10.0.1.20", 80),
        lab.net.listen(one.netns, one.address, 80),
        lab.net.listen(two.netns, two.address, 80),
        lab.net.listen("internet", CLIENT, 80),
    ):
        assert lab.net.tcp(one.netns, CLIENT, 80, source="10.0.1.20") == "198.18.0.8"
        assert lab.net.tcp(one.netns, CLIENT, 80) == "198.18.0.7"
        with (
            lab.net.flow("internet", "198.18.0.8", 80) as moved,
            lab.net.flow("internet", "198.18.0.7", 80) as untouched,
        ):
            assert moved()
            assert untouched()
            _elastic_ip(lab, "198.18.0.8", two, allocation=8)
            assert not moved()
            assert untouched()
        assert lab.net.tcp(one.netns, CLIENT, 80, source="10.0.1.20") is None
        assert lab.net.tcp(two.netns, CLIENT, 80) == "198.18.0.8"


def test_a_detached_gateway_carries_nothing(lab: Lab) -> None:
    public_vpc(lab)
    web = lab.task("10.0.1.10", 2, public="198.18.0.10")
    with lab.net.listen(web.netns, web.address, 80):
        assert lab.net.tcp("internet", "198.18.0.10", 80) == CLIENT
        with lab.store.transaction() as tx:
            tx.put(t.INTERNET_GATEWAYS, rows.internet_gateway(vpc=None))
        lab.flush()
        assert lab.net.tcp("internet", "198.18.0.10", 80) is None


def test_a_public_address_inside_the_vpc_is_a_way_around_through_the_gateway(lab: Lab) -> None:
    """Groups then see the sender's public address: a reference to its group does not match, a CIDR rule does."""
    public_vpc(lab)
    lab.group(3, rows.rule(3, 3, ports=(80, 80), peer=1))
    client = lab.task("10.0.1.10", 1, public="198.18.0.10")
    web, members_only = lab.task("10.0.1.11", 2, public="198.18.0.11"), lab.task("10.0.1.12", 3, public="198.18.0.12")
    with lab.net.listen(web.netns, web.address, 80), lab.net.listen(members_only.netns, members_only.address, 80):
        assert lab.net.tcp(client.netns, "198.18.0.11", 80) == "198.18.0.10"
        assert lab.net.tcp(client.netns, members_only.address, 80) == client.address
        assert lab.net.tcp(client.netns, "198.18.0.12", 80) is None


@pytest.mark.parametrize("through", ["internet gateway", "nat gateway"])
def test_the_path_mtu_to_the_internet_is_learned_without_any_rule(lab: Lab, through: str) -> None:
    public_vpc(lab)
    nat_gateway(lab)
    public = "198.18.0.10" if through == "internet gateway" else None
    task = lab.task("10.0.1.10" if public else "10.0.2.10", 1, subnet=1 if public else 2, public=public)
    with lab.net.listen("internet", CLIENT, 53, "udp"):
        for size, answer in ((1472, "answered True"), (1473, "OSError 1500")):
            done = lab.net.run(task.netns, sys.executable, "-c", PATH_MTU, CLIENT, "53", str(size))
            assert done.stdout.strip() == answer, done.stderr


def test_inside_the_vpc_packets_have_up_to_9001_bytes(lab: Lab) -> None:
    lab.vpc()
    lab.group(1, rows.rule(1, 1, protocol="-1", cidr="10.0.0.0/16"))
    one, two = lab.task("10.0.1.10", 1), lab.task("10.0.2.10", 1, subnet=2)
    with lab.net.listen(two.netns, two.address, 53, "udp"):
        for size, answer in ((8973, "answered True"), (8974, "OSError 9001")):
            done = lab.net.run(one.netns, sys.executable, "-c", PATH_MTU, two.address, "53", str(size))
            assert done.stdout.strip() == answer, done.stderr


def test_the_acl_of_the_nat_gateways_subnet_applies(lab: Lab) -> None:
    public_vpc(lab)
    nat_gateway(lab)
    private = lab.task("10.0.2.10", 1, subnet=2)
    with lab.net.listen("internet", CLIENT, 80), lab.net.listen("internet", CLIENT, 81):
        assert lab.net.tcp(private.netns, CLIENT, 80) == "198.18.0.2"
        deny = rows.entry(50, egress=True, allow=False, protocol="6", cidr=f"{CLIENT}/32", ports=(80, 80))
        with lab.store.transaction() as tx:
            tx.put(t.ACLS, rows.acl(2, deny, rows.entry(100), rows.entry(100, egress=True)))
            tx.put(t.ACL_ASSOCIATIONS, rows.acl_association(1, 2))
        lab.flush()
        assert lab.net.tcp(private.netns, CLIENT, 80) is None
        assert lab.net.tcp(private.netns, CLIENT, 81) == "198.18.0.2"


@pytest.mark.parametrize("state", ["deleting", "deleted"])
def test_a_nat_gateway_that_goes_takes_its_flows_along(lab: Lab, state: str) -> None:
    public_vpc(lab)
    nat_gateway(lab)
    private = lab.task("10.0.2.10", 1, subnet=2)
    with lab.net.listen("internet", CLIENT, 80), lab.net.flow(private.netns, CLIENT, 80) as alive:
        assert alive()
        with lab.store.transaction() as tx:
            tx.put(t.NAT_GATEWAYS, rows.nat(1, 90 if state == "deleting" else None, 1, "10.0.1.9", state))
        lab.flush()
        assert not alive()
        assert lab.net.tcp(private.netns, CLIENT, 80) is None


def test_no_private_address_crosses_the_edge(lab: Lab) -> None:
    """Neither as a destination from the internet, even with a route there, nor as a source to it."""
    public_vpc(lab)
    web = lab.task("10.0.1.10", 2, public="198.18.0.10")
    with lab.net.listen(web.netns, web.address, 80):
        added = lab.net.run("internet", "ip", "route", "add", "10.0.0.0/16", "via", "192.0.0.3", "dev",
                            "g000100000000", "onlink")  # fmt: skip
        assert added.returncode == 0, added.stderr
        assert lab.net.tcp("internet", web.address, 80) is None
        assert lab.net.tcp("internet", "198.18.0.10", 80) == CLIENT
        lab.net.run("internet", "ip", "route", "del", "10.0.0.0/16")
