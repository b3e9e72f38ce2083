"""The rules of a VPC, each with the packet that passes and the one that must not."""

from __future__ import annotations

import pytest
import rows
from vpc_lab import Lab, Task, router

from ecsnet.model import tables as t
from ecsnet.testing.world import wait_until

pytestmark = pytest.mark.network

CLIENT = "198.19.255.254"
"""The internet side's own address."""


def pair(lab: Lab, *, subnet: int = 1) -> tuple[Task, Task]:
    """A client (group 1) and a server in `subnet` whose group 2 admits port 80 from the VPC."""
    lab.vpc()
    lab.group(1)
    lab.group(2, rows.rule(1, 2, ports=(80, 80), cidr="10.0.0.0/16"))
    client = lab.task("10.0.1.10", 1)
    return client, lab.task(f"10.0.{subnet}.11", 2, subnet=subnet)


@pytest.mark.parametrize("subnet", [1, 2], ids=["same-subnet", "other-subnet"])
def test_only_the_admitted_port_is_reached(lab: Lab, subnet: int) -> None:
    client, server = pair(lab, subnet=subnet)
    with lab.net.listen(server.netns, server.address, 80), lab.net.listen(server.netns, server.address, 81):
        assert lab.net.tcp(client.netns, server.address, 80) == client.address
        assert lab.net.tcp(client.netns, server.address, 81) is None


def test_the_other_direction_is_a_matter_of_the_other_group(lab: Lab) -> None:
    client, server = pair(lab)
    with lab.net.listen(client.netns, client.address, 80):
        assert lab.net.tcp(server.netns, client.address, 80) is None
        lab.put_rules(rows.rule(2, 1, ports=(80, 80), cidr="10.0.1.11/32"))
        assert lab.net.tcp(server.netns, client.address, 80) == server.address


def test_udp_and_ping_need_rules_of_their_own(lab: Lab) -> None:
    client, server = pair(lab)
    with lab.net.listen(server.netns, server.address, 80, "udp"):
        assert lab.net.udp(client.netns, server.address, 80) is None
        assert not lab.net.ping(client.netns, server.address)
        lab.put_rules(
            rows.rule(2, 2, protocol="udp", ports=(80, 80), cidr="10.0.0.0/16"),
            rows.rule(3, 2, protocol="icmp", ports=(8, 0), cidr="10.0.0.0/16"),
        )
        assert lab.net.udp(client.netns, server.address, 80) == client.address
        assert lab.net.ping(client.netns, server.address)


def test_a_group_without_egress_rules_lets_nothing_out(lab: Lab) -> None:
    _client, server = pair(lab)
    lab.group(3, egress=False)
    mute = lab.task("10.0.1.12", 3)
    with lab.net.listen(server.netns, server.address, 80):
        assert lab.net.tcp(mute.netns, server.address, 80) is None
        lab.put_rules(rows.rule(2, 3, egress=True, ports=(80, 80), cidr="10.0.1.11/32"))
        assert lab.net.tcp(mute.netns, server.address, 80) == mute.address


def test_a_group_as_source_admits_its_members_only(lab: Lab) -> None:
    client, _server = pair(lab)
    lab.group(3, rows.rule(2, 3, ports=(5432, 5432), peer=2))
    member = lab.task("10.0.2.20", 2, subnet=2)
    database = lab.task("10.0.2.30", 3, subnet=2)
    with lab.net.listen(database.netns, database.address, 5432):
        assert lab.net.tcp(member.netns, database.address, 5432) == member.address
        assert lab.net.tcp(client.netns, database.address, 5432) is None


def test_a_removed_rule_stops_new_connections_at_once_and_spares_tracked_ones(lab: Lab) -> None:
    client, server = pair(lab)
    with (
        lab.net.listen(server.netns, server.address, 80),
        lab.net.flow(client.netns, server.address, 80) as talk,
    ):
        lab.drop_rules(1)
        assert lab.net.tcp(client.netns, server.address, 80) is None
        assert talk(), "an established, tracked connection must survive"


def test_an_untracked_connection_is_cut_with_its_rule_and_goes_on_with_it(lab: Lab) -> None:
    client, server = pair(lab)
    everybody = rows.rule(1, 2, ports=(80, 80), cidr="0.0.0.0/0")
    lab.put_rules(everybody)
    with (
        lab.net.listen(server.netns, server.address, 80),
        lab.net.flow(client.netns, server.address, 80) as talk,
    ):
        lab.drop_rules(1)
        assert not talk(), "a connection that is not tracked is judged packet by packet"
        lab.put_rules(everybody)
        assert lab.net.tcp(client.netns, server.address, 80) == client.address


def test_a_network_acl_cuts_what_groups_admit(lab: Lab) -> None:
    client, server = pair(lab, subnet=2)
    with lab.net.listen(server.netns, server.address, 80):
        assert lab.net.tcp(client.netns, server.address, 80) == client.address
        with lab.store.transaction() as tx:
            deny = rows.entry(50, allow=False, protocol="6", cidr="10.0.1.0/24", ports=(80, 80))
            tx.put(t.ACLS, rows.acl(2, deny, rows.entry(100), rows.entry(100, egress=True)))
            tx.put(t.ACL_ASSOCIATIONS, rows.acl_association(2, 2))
        lab.flush()
        assert lab.net.tcp(client.netns, server.address, 80) is None


def test_a_foreign_source_address_does_not_pass(lab: Lab) -> None:
    client, server = pair(lab)
    lab.net.run(client.netns, "ip", "address", "add", "10.0.1.99/32", "dev", "eth0")
    with lab.net.listen(server.netns, server.address, 80):
        assert lab.net.tcp(client.netns, server.address, 80) == client.address
        assert lab.net.tcp(client.netns, server.address, 80, source="10.0.1.99") is None


def test_a_foreign_mac_does_not_pass(lab: Lab) -> None:
    client, server = pair(lab)
    with lab.net.listen(server.netns, server.address, 80):
        lab.net.run(client.netns, "ip", "link", "set", "eth0", "address", "02:00:00:00:77:77")
        assert lab.net.tcp(client.netns, server.address, 80) is None
        lab.net.run(client.netns, "ip", "link", "set", "eth0", "address", client.mac)
        assert lab.net.tcp(client.netns, server.address, 80) == client.address


def test_claiming_an_address_by_arp_changes_nothing(lab: Lab) -> None:
    client, server = pair(lab)
    lab.group(3)
    thief = lab.task("10.0.1.66", 3)
    with lab.net.listen(server.netns, server.address, 80):
        lab.net.inside.call("claim", netns=thief.netns, link="eth0", mac=thief.mac, address=server.address)
        assert lab.net.tcp(client.netns, server.address, 80) == client.address
        neighbours = lab.net.run(router(), "ip", "neighbour", "show", "dev", thief.link).stdout
        assert server.address not in neighbours
        assert thief.address in neighbours


def test_nothing_passes_before_the_interface_is_published(lab: Lab) -> None:
    client, _server = pair(lab)
    late = lab.task("10.0.1.13", 2, apply=False)
    put, _remove = lab.pending()
    lab.net.apply([item for item in put if not getattr(item, "publish", False)])
    with lab.net.listen(late.netns, late.address, 80):
        assert lab.net.tcp(client.netns, late.address, 80) is None
        lab.net.apply(put)
        assert lab.net.tcp(client.netns, late.address, 80) == client.address


def test_an_unassigned_address_is_silent(lab: Lab) -> None:
    client, _server = pair(lab)
    assert lab.net.tcp(client.netns, "10.0.1.200", 80) is None
    assert "dev void0" in lab.net.run(router(), "ip", "route", "get", "10.0.1.200").stdout


def test_a_public_address_works_in_and_out_through_the_gateway(lab: Lab) -> None:
    lab.vpc()
    lab.gateway()
    lab.group(2, rows.rule(1, 2, ports=(80, 80), cidr="0.0.0.0/0"))
    web = lab.task("10.0.1.10", 2, public="198.18.0.10")
    private = lab.task("10.0.1.11", 2)
    with lab.net.listen(web.netns, web.address, 80), lab.net.listen("internet", CLIENT, 80):
        assert lab.net.tcp("internet", "198.18.0.10", 80) == CLIENT
        assert lab.net.tcp("internet", "198.18.0.10", 81) is None
        assert lab.net.tcp(web.netns, CLIENT, 80) == "198.18.0.10"
        assert lab.net.tcp(private.netns, CLIENT, 80) is None, "no public address, no NAT gateway"


def test_without_a_route_to_the_gateway_nothing_leaves(lab: Lab) -> None:
    lab.vpc()
    lab.gateway()
    lab.group(2, rows.rule(1, 2, ports=(80, 80), cidr="0.0.0.0/0"))
    web = lab.task("10.0.1.10", 2, public="198.18.0.10")
    with lab.net.listen("internet", CLIENT, 80), lab.net.listen(web.netns, web.address, 80):
        assert lab.net.tcp(web.netns, CLIENT, 80) == "198.18.0.10"
        with lab.store.transaction() as tx:
            tx.put(t.ROUTE_TABLES, rows.route_table(1))
        lab.flush()
        assert lab.net.tcp(web.netns, CLIENT, 80) is None
        assert lab.net.tcp("internet", "198.18.0.10", 80) is None


def test_the_internet_sees_a_private_task_as_its_nat_gateway(lab: Lab) -> None:
    lab.vpc()
    lab.gateway()
    lab.group(2)
    with lab.store.transaction() as tx:
        tx.put(t.ROUTE_TABLES, rows.route_table(2, rows.route("0.0.0.0/0", "nat", rows.identifier("nat", 1))))
        tx.put(t.ROUTE_TABLE_ASSOCIATIONS, rows.association(2, 2, subnet=2))
        rows.put_interface(
            tx,
            rows.interface(90, "10.0.1.9", 1, owner=("nat", rows.identifier("nat", 1)), checked=False),
        )
        tx.put(t.NAT_GATEWAYS, rows.nat(1, 90, 1, "10.0.1.9"))
        tx.put(t.ELASTIC_IPS, rows.elastic_ip(1, "198.18.0.2", 90, "10.0.1.9"))
    lab.flush()
    private = lab.task("10.0.2.10", 2, subnet=2)
    with lab.net.listen("internet", CLIENT, 80), lab.net.listen("internet", CLIENT, 53, "udp"):
        assert lab.net.tcp(private.netns, CLIENT, 80) == "198.18.0.2"
        assert lab.net.udp(private.netns, CLIENT, 53) == "198.18.0.2"
        assert lab.net.tcp("internet", "198.18.0.2", 80) is None, "nobody gets in through a NAT gateway"
        with lab.store.transaction() as tx:
            tx.put(t.ROUTE_TABLES, rows.route_table(2))
        lab.flush()
        assert lab.net.tcp(private.netns, CLIENT, 80) is None


def test_two_networks_with_the_same_addresses_do_not_see_each_other(lab: Lab) -> None:
    client, server = pair(lab)
    lab.vpc(2)
    lab.group(11, vpc=2)
    lab.group(12, rows.rule(11, 12, ports=(80, 80), cidr="10.0.0.0/16"), vpc=2)
    other_client = lab.task(client.address, 11, subnet=11, vpc=2)
    with lab.net.listen(server.netns, server.address, 80):
        assert lab.net.tcp(client.netns, server.address, 80) == client.address
        assert lab.net.tcp(other_client.netns, server.address, 80) is None
        twin = lab.task(server.address, 12, subnet=11, vpc=2)
        with lab.net.listen(twin.netns, twin.address, 80):
            assert lab.net.tcp(other_client.netns, twin.address, 80) == other_client.address


def test_the_next_owner_of_an_address_does_not_inherit_connections(lab: Lab) -> None:
    client, server = pair(lab)
    with (
        lab.net.listen(server.netns, server.address, 80),
        lab.net.flow(client.netns, server.address, 80),
    ):
        tracked = _tracked(lab)
        assert f"dst={server.address}" in tracked
        lab.stop(server)
        wait_until(lambda: server.address not in _tracked(lab), 20.0, "the flow is still tracked")
    heir = lab.task(server.address, 2)
    with lab.net.listen(heir.netns, heir.address, 80):
        assert lab.net.tcp(client.netns, heir.address, 80) == client.address


def _tracked(lab: Lab) -> str:
    return "\n".join(lab.net.inside.call("tracked", netns=router()))


def test_a_stopped_task_leaves_nothing(lab: Lab) -> None:
    client, server = pair(lab)
    lab.stop(server)
    listing = lab.net.ask("nft", netns=router())["text"]
    assert server.link not in listing
    assert client.link in listing
    assert server.address not in lab.net.run(router(), "ip", "route").stdout
    assert server.netns not in lab.net.run(router(), "ls", "/run/netns").stdout.split()
