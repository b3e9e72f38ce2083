"""Name servers and names, in network words."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address

import msgspec

from ecsnet.logical.base import LogicalObject


class ComputedNames(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Every address in `networks` has a name `ip-…` below `domain`, and that name by reverse look-up."""

    domain: str
    networks: tuple[IPv4Network, ...]


class NameServer(LogicalObject, frozen=True, kw_only=True, gc=False):
    """The name server of a router's network. Names that it does not hold are looked up among the public ones."""

    router: str
    address: IPv4Address
    ipv6: bool = False
    """It listens at the fixed IPv6 address too."""
    computed: ComputedNames | None


class PublicNameServer(LogicalObject, frozen=True, kw_only=True, gc=False):
    """The name server of the internet; it holds the public names."""

    address: IPv4Address


class AddressName(LogicalObject, frozen=True, kw_only=True, gc=False):
    """A name with addresses: public (`router` None), or as one router's hosts see it."""

    router: str | None
    zone: str
    """The domain whose names the server decides about alone; lower case, as `name`."""
    name: str
    addresses: tuple[IPv4Address | IPv6Address, ...]
    ttl: int
    """Seconds."""
    owner: str


class ReverseName(LogicalObject, frozen=True, kw_only=True, gc=False):
    """The public name of an address by reverse look-up, which nothing else holds."""

    address: IPv4Address
    name: str
    """Lower case, without the final dot."""
    ttl: int
    """Seconds."""
    owner: str
