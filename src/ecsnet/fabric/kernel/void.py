"""Where routes to nowhere lead: a link whose packets are logged and dropped, in a namespace that forwards.

The kernel's own black holes drop between two hooks, without a word and without a count. A black hole here is a route
into `void0` instead; the filter sees a packet that is about to leave by it, logs `D route` and drops it. Which route it
was, the kernel says when it is asked (RTM_GETROUTE).

The other end, `void1`, lies in the same namespace. Nothing arrives there: a filter drops first.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ecsnet.fabric.kernel import nft
from ecsnet.hostplan.kernel import HostObject, Link, LinkEnd, Neighbour, NftRule, PolicyRule, Route, link_key
from ecsnet.model.base import IpNetwork

LINK = "void0"

TABLE = 999
"""Route table with nothing but a default route into the void."""

_MAIN = 254

FINAL_RULE = 50000
"""After every lookup. Without it a missing route answers "network unreachable", where AWS is silent."""

_MACS = ("02:ff:ff:ff:fd:01", "02:ff:ff:ff:fd:02")
_MTU = 65535

# Permanent neighbours: without a next hop every address that somebody scans would be an entry of the machine's one
# neighbour table.
_GATEWAYS = {4: "192.0.0.9", 6: "fe80:ec2::9"}


def lower(netns: str, owner: str) -> Iterator[HostObject]:
    """The link, its neighbours, and the rules that send there what nothing else routes."""
    yield Link(
        a=LinkEnd(netns=netns, name=LINK, mac=_MACS[0]),
        b=LinkEnd(netns=netns, name="void1", mac=_MACS[1]),
        mtu=_MTU,
        owner=owner,
    )
    for version, gateway in _GATEWAYS.items():
        yield Neighbour(netns=netns, link=LINK, address=gateway, mac=_MACS[1], via=link_key(netns, LINK))
        yield PolicyRule(netns=netns, family="ip" if version == 4 else "ip6", priority=FINAL_RULE, table=TABLE)
    yield _route(netns, TABLE, "0.0.0.0/0", 4)
    yield _route(netns, TABLE, "::/0", 6)


def route(netns: str, destination: IpNetwork, table: int) -> Route:
    """A black hole of a route table."""
    return _route(netns, table, str(destination), destination.version)


def own_network(netns: str, network: IpNetwork) -> Route:
    """Inside the VPC the interfaces' own routes come first; what is sent to an address that nobody has goes here."""
    return msgspec.structs.replace(route(netns, network, _MAIN), own_network=True)


def _route(netns: str, table: int, destination: str, version: int) -> Route:
    return Route(
        netns=netns,
        table=table,
        destination=destination,
        gateway=_GATEWAYS[version],
        link=LINK,
        onlink=True,
        via=link_key(netns, LINK),
    )


def drop() -> NftRule:
    """For a hook that sees the outgoing link."""
    return nft.rule(f'oifname "{LINK}"', nft.deny("route"))
