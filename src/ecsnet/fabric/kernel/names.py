"""Name servers and names → views and record sets of the host's one resolver."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ecsnet.fabric.kernel import naming
from ecsnet.hostplan.kernel import Address, HostObject
from ecsnet.hostplan.names import DnsRecords, DnsView
from ecsnet.logical.base import LogicalObject
from ecsnet.logical.names import AddressName, NameServer, PublicNameServer, ReverseName

LINK_LOCAL = "169.254.169.253"
"""The resolver's second address in every VPC (VPC User Guide, "Amazon DNS server")."""

LINK_LOCAL6 = "fd00:ec2::253"

PUBLIC_VIEW = naming.INTERNET


def name_server(item: NameServer) -> Iterator[DnsView]:
    """Link-local and base-plus-two addresses are on the router's `lo`; the router makes them."""
    generated: tuple[tuple[str, tuple[str, ...]], ...] = ()
    if item.computed is not None:
        generated = ((item.computed.domain, tuple(str(network) for network in item.computed.networks)),)
    yield DnsView(
        name=item.router,
        netns=naming.router_namespace(item.router),
        addresses=(str(item.address), LINK_LOCAL, *((LINK_LOCAL6,) if item.ipv6 else ())),
        generated=generated,
        public=PUBLIC_VIEW,
    )


def public_name_server(item: PublicNameServer) -> Iterator[HostObject]:
    yield Address(netns=naming.INTERNET, link="lo", address=f"{item.address}/32")
    yield DnsView(name=PUBLIC_VIEW, netns=naming.INTERNET, addresses=(str(item.address),))


def address_name(item: AddressName) -> Iterator[DnsRecords]:
    for version, kind in ((4, "A"), (6, "AAAA")):
        values = tuple(str(address) for address in item.addresses if address.version == version)
        if values:
            yield DnsRecords(
                view=item.router or PUBLIC_VIEW,
                zone=item.zone,
                name=item.name,
                type=kind,
                ttl=item.ttl,
                values=values,
                owner=item.owner,
            )


def reverse_name(item: ReverseName) -> Iterator[DnsRecords]:
    """The address is a zone of its own, so that its neighbours stay as they are."""
    pointer = item.address.reverse_pointer
    yield DnsRecords(
        view=PUBLIC_VIEW, zone=pointer, name=pointer, type="PTR", ttl=item.ttl, values=(item.name,), owner=item.owner
    )


LOWERINGS: Mapping[type[LogicalObject], Callable[[Any], Iterable[HostObject]]] = {
    NameServer: name_server,
    PublicNameServer: public_name_server,
    AddressName: address_name,
    ReverseName: reverse_name,
}
