"""VPCs, load balancers and public interfaces → name servers and names."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

import msgspec
import rows

from ecsnet.compile import names
from ecsnet.compile.view import View
from ecsnet.fabric.kernel import names as lowering
from ecsnet.hostplan.names import DnsRecords, DnsView
from ecsnet.logical.names import AddressName
from ecsnet.model import tables as t
from ecsnet.store.store import Store


def stored(**vpc: Any) -> Store:
    store = Store(None, t.SCHEMA)
    with store.transaction() as tx:
        rows.put_storefront(tx)
        tx.put(t.VPCS, msgspec.structs.replace(rows.vpc(), **vpc))
    return store


def test_a_vpc_with_interfaces_has_a_resolver() -> None:
    (server,) = names.name_server(View(stored(dns_hostnames=True).snapshot), rows.VPC)
    (view,) = lowering.name_server(server)
    assert view.addresses == ("10.0.0.2", "169.254.169.253")
    assert view.generated == (("ec2.internal", ("10.0.0.0/16",)),)
    assert view.public == "internet"


def test_a_reverse_name_is_the_public_ptr_record_of_one_address() -> None:
    store = stored()
    with store.transaction() as tx:
        tx.put(t.ELASTIC_IPS, rows.elastic_ip(7, "198.18.1.7"))
        named = msgspec.structs.replace(rows.elastic_ip(8, "198.18.1.8"), reverse_name="mail.example.com")
        tx.put(t.ELASTIC_IPS, named)
    view = View(store.snapshot)
    assert list(names.reverse_name(view, rows.identifier("eipalloc", 7))) == []
    (made,) = names.reverse_name(view, rows.identifier("eipalloc", 8))
    (record,) = lowering.reverse_name(made)
    assert (record.view, record.zone, record.name) == ("internet", "8.1.18.198.in-addr.arpa", record.zone)
    assert (record.type, record.values) == ("PTR", ("mail.example.com",))


def test_the_vpcs_attributes_decide() -> None:
    (server,) = names.name_server(View(stored(dns_hostnames=False).snapshot), rows.VPC)
    assert server.computed is None
    assert list(names.name_server(View(stored(dns_support=False).snapshot), rows.VPC)) == []
    store = Store(None, t.SCHEMA)
    with store.transaction() as tx:
        tx.put(t.VPCS, rows.vpc())
    assert list(names.name_server(View(store.snapshot), rows.VPC)) == []


def test_a_load_balancers_name_is_public_and_its_addresses_are_as_its_scheme() -> None:
    store = stored()
    arn = rows.load_balancer_arn(1)
    with store.transaction() as tx:
        balancer = rows.load_balancer(1, (1, 1, "10.0.1.10"))
        nodes = (msgspec.structs.replace(balancer.nodes[0], public_ip=IPv4Address("198.18.0.1")),)
        name = "Web-1.us-east-1.elb.amazonaws.com"
        tx.put(t.LOAD_BALANCERS, msgspec.structs.replace(balancer, nodes=nodes, dns_name=name))
    (public,) = names.balancer_name(View(store.snapshot), arn)
    (record,) = lowering.address_name(public)
    assert record == DnsRecords(
        view="internet",
        zone="us-east-1.elb.amazonaws.com",
        name="web-1.us-east-1.elb.amazonaws.com",
        type="A",
        ttl=60,
        values=("198.18.0.1",),
        owner=arn,
    )
    with store.transaction() as tx:
        row = tx.get(t.LOAD_BALANCERS, arn)
        assert row is not None
        tx.put(t.LOAD_BALANCERS, msgspec.structs.replace(row, scheme="internal"))
    (internal,) = names.balancer_name(View(store.snapshot), arn)
    assert internal.addresses == (IPv4Address("10.0.1.10"),)


def public_names(store: Store, interface: int) -> list[AddressName]:
    return list(names.interface_name(View(store.snapshot), rows.identifier("eni", interface)))


def test_a_public_interface_is_private_inside_and_public_outside() -> None:
    outside, inside = public_names(stored(dns_hostnames=True), 1)
    assert (outside.router, outside.name) == (None, "ec2-198-18-0-1.compute-1.amazonaws.com")
    assert outside.addresses == (IPv4Address("198.18.0.1"),)
    assert (inside.router, inside.addresses) == (rows.VPC, (IPv4Address("10.0.1.10"),))
    (by_elastic_ip, _) = public_names(stored(dns_hostnames=True), 4)
    assert by_elastic_ip.name == "ec2-198-18-0-2.compute-1.amazonaws.com"
    assert public_names(stored(dns_hostnames=True), 2) == []
    assert public_names(stored(dns_hostnames=False), 1) == []


def test_the_internet_has_a_name_server_of_its_own() -> None:
    (server,) = names.public_name_server(View(stored().snapshot), "")
    address, view = lowering.public_name_server(server)
    assert address.key == "address:internet/lo/198.19.255.253/32"
    assert view == DnsView(name="internet", netns="internet", addresses=("198.19.255.253",))
