"""ExternalMachine → the way between its namespace and the internet: no router, no filter and no translation."""

from __future__ import annotations

from collections.abc import Iterator

from ecsnet.fabric.kernel import naming
from ecsnet.fabric.kernel.internet_gateway import INTERNET_MTU, INTERNET_SIDE
from ecsnet.hostplan.kernel import Address, HostObject, Link, LinkEnd, Neighbour, Route
from ecsnet.logical.network import INTERNET_CLIENT, ExternalMachine

_DEVICE = "eth0"
_INTERNET_MAC, _MACHINE_MAC = "02:ff:ff:ff:fc:01", "02:ff:ff:ff:fc:02"


def lower(machine: ExternalMachine) -> Iterator[HostObject]:
    netns, own = naming.instance_namespace(machine.id), str(machine.address)
    link = Link(
        a=LinkEnd(netns=naming.INTERNET, name=naming.external_link(machine.id), mac=_INTERNET_MAC),
        b=LinkEnd(netns=netns, name=_DEVICE, mac=_MACHINE_MAC),
        mtu=INTERNET_MTU,
        owner=machine.id,
    )
    yield link
    yield Neighbour(netns=link.a.netns, link=link.a.name, address=own, mac=link.b.mac, via=link.key)
    yield Route(
        netns=link.a.netns, destination=f"{own}/32", link=link.a.name, source=str(INTERNET_CLIENT), via=link.key
    )
    yield Address(netns=netns, link=_DEVICE, address=f"{own}/32", via=link.key)
    yield Neighbour(netns=netns, link=_DEVICE, address=INTERNET_SIDE, mac=link.a.mac, via=link.key)
    yield Route(
        netns=netns,
        destination="0.0.0.0/0",
        gateway=INTERNET_SIDE,
        link=_DEVICE,
        source=own,
        onlink=True,
        via=link.key,
    )
