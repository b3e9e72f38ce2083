"""What one Linux host must contain, kernel part: namespaces, links, addresses, routes, packet-filter objects.

No AWS word appears here. Every object is a value with a `key` that says what it is (two objects with one key are
versions of the same thing) and `needs`, the keys that must exist before it. Addresses are canonical text because they
go to the kernel and over the wire as text; `ecsnet.fabric` makes them from `ipaddress` objects. `owner` is the AWS
id for whom the object exists; it is written on the kernel object (ifalias, nft comment), so that a process without
memory can recognise it.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class HostObject(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True, tag_field="is"):
    """Anything that the agent makes and keeps."""

    @property
    def key(self) -> str:
        raise TypeError(f"{type(self).__name__} has no key")

    @property
    def needs(self) -> tuple[str, ...]:
        return ()


def is_own_table(name: str) -> bool:
    """Whether a packet filter table is ecsnet's, by its name. Nobody touches other owners' tables."""
    return name == "ecs" or name.startswith("ecs_")


def namespace_key(name: str) -> str:
    return f"netns:{name}"


def link_key(netns: str, name: str) -> str:
    return f"link:{netns}/{name}"


def set_key(netns: str, table: str, name: str) -> str:
    return f"nft-set:{netns}/{table}/{name}"


def chain_key(netns: str, table: str, name: str) -> str:
    return f"nft-chain:{netns}/{table}/{name}"


def element_key(netns: str, table: str, set_name: str, element: str) -> str:
    return f"nft-element:{netns}/{table}/{set_name}/{element}"


class Namespace(HostObject, frozen=True, kw_only=True, gc=False, tag=True):
    """A network namespace with `lo` up. `name` is generated (prefix and hex, at most 15 bytes)."""

    name: str
    owner: str
    sysctls: tuple[tuple[str, str], ...] = ()
    """(path below /proc/sys with slashes, value), written before any link exists."""

    @property
    def key(self) -> str:
        return namespace_key(self.name)


class LinkEnd(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    netns: str
    name: str
    mac: str


class Link(HostObject, frozen=True, kw_only=True, gc=False, tag=True):
    """A veth pair. The key is that of end `a`; end `b` disappears with it."""

    a: LinkEnd
    b: LinkEnd
    mtu: int
    owner: str

    @property
    def key(self) -> str:
        return link_key(self.a.netns, self.a.name)

    @property
    def needs(self) -> tuple[str, ...]:
        return (namespace_key(self.a.netns), namespace_key(self.b.netns))


class Address(HostObject, frozen=True, kw_only=True, gc=False, tag=True):
    """An address with prefix length on a link ("lo" or a veth end), without the kernel's automatic prefix route.

    `via` is the key of the Link that makes `link` (a veth end may be end `a` or `b`); empty for "lo".
    """

    netns: str
    link: str
    address: str
    via: str = ""

    @property
    def key(self) -> str:
        return f"address:{self.netns}/{self.link}/{self.address}"

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.via or namespace_key(self.netns),)


class Neighbour(HostObject, frozen=True, kw_only=True, gc=False, tag=True):
    """A permanent neighbour entry (the machine-wide neighbour table holds 1,024 dynamic ones: never use those)."""

    netns: str
    link: str
    address: str
    mac: str
    via: str

    @property
    def key(self) -> str:
        return f"neighbour:{self.netns}/{self.link}/{self.address}"

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.via,)


class Route(HostObject, frozen=True, kw_only=True, gc=False, tag=True):
    """A route in one table."""

    netns: str
    table: int = 254
    destination: str
    """Canonical prefix, also for defaults ("0.0.0.0/0", "::/0")."""
    own_network: bool = False
    """The route says what happens to the addresses of a router's own network that nobody has."""
    gateway: str | None = None
    link: str | None = None
    source: str | None = None
    onlink: bool = False
    """With a gateway: do not check that it is reachable. Without one the route has link scope."""
    via: str = ""
    """Key of the Link that makes `link`; empty for none or "lo"."""

    @property
    def key(self) -> str:
        return f"route:{self.netns}/{self.table}/{self.destination}"

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.via or namespace_key(self.netns),)


class PolicyRule(HostObject, frozen=True, kw_only=True, gc=False, tag=True):
    """An `ip rule`."""

    netns: str
    family: Literal["ip", "ip6"]
    priority: int
    mark: int | None = None
    mask: int | None = None
    from_link: str | None = None
    source: str | None = None
    destination: str | None = None
    table: int

    @property
    def key(self) -> str:
        selector = f"{self.mark}/{self.mask}/{self.from_link}/{self.source}/{self.destination}"
        return f"rule:{self.netns}/{self.family}/{self.priority}/{selector}"

    @property
    def needs(self) -> tuple[str, ...]:
        return (namespace_key(self.netns),)


class NftTable(HostObject, frozen=True, kw_only=True, gc=False, tag=True):
    """An nft table; its name is unique in its namespace whatever the family."""

    netns: str
    family: Literal["inet", "ip", "ip6", "arp"]
    name: str
    owner: str

    @property
    def key(self) -> str:
        return f"nft-table:{self.netns}/{self.name}"

    @property
    def needs(self) -> tuple[str, ...]:
        return (namespace_key(self.netns),)


class NftSet(HostObject, frozen=True, kw_only=True, gc=False, tag=True):
    """A named set, or a map when `value` is given ("verdict", "mark", "ipv4_addr" …)."""

    netns: str
    family: Literal["inet", "ip", "ip6", "arp"]
    table: str
    name: str
    type: str
    """nft type expression, for example "ifname . ether_addr . ipv4_addr"."""
    value: str | None = None
    flags: tuple[str, ...] = ()
    size: int | None = None

    @property
    def key(self) -> str:
        return set_key(self.netns, self.table, self.name)

    @property
    def needs(self) -> tuple[str, ...]:
        return (f"nft-table:{self.netns}/{self.table}",)


class NftRule(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One rule: `text` was made by the typed builders of `ecsnet.fabric.kernel.nft`, never from user strings."""

    text: str
    comment: str = ""


class NftHook(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    type: Literal["filter", "nat", "route"]
    hook: Literal["prerouting", "input", "forward", "output", "postrouting"]
    priority: int
    policy: Literal["accept", "drop"]


class NftChain(HostObject, frozen=True, kw_only=True, gc=False, tag=True):
    """A chain with all its rules; a base chain when `hook` is given. A change replaces the rules in one transaction.

    `uses` are the names of the sets, maps and chains (of the same table) that the rules name.
    """

    netns: str
    family: Literal["inet", "ip", "ip6", "arp"]
    table: str
    name: str
    hook: NftHook | None = None
    rules: tuple[NftRule, ...]
    uses_sets: tuple[str, ...] = ()
    uses_chains: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return chain_key(self.netns, self.table, self.name)

    @property
    def needs(self) -> tuple[str, ...]:
        return (
            f"nft-table:{self.netns}/{self.table}",
            *(set_key(self.netns, self.table, name) for name in self.uses_sets),
            *(chain_key(self.netns, self.table, name) for name in self.uses_chains),
        )


class NftElement(HostObject, frozen=True, kw_only=True, gc=False, tag=True):
    """One element of a set or map. `value` is the map's value text, for example "goto eni_x_out" or "0x7"."""

    netns: str
    family: Literal["inet", "ip", "ip6", "arp"]
    table: str
    set: str
    element: str
    """Element text as nft prints it, for example "e1f . 02:00:00:00:00:01 . 10.0.1.10"."""
    value: str | None = None
    uses_chain: str | None = None
    publish: bool = False
    """True for the verdict-map elements that let traffic reach an interface: added last, removed first."""
    owner: str = ""
    """For `publish` elements: for whom the interface exists. It is not written on the kernel object."""
    after: tuple[str, ...] = ()
    """Further keys that must be in force first (for `publish` elements: everything that the interface needs)."""

    @property
    def key(self) -> str:
        return element_key(self.netns, self.table, self.set, self.element)

    @property
    def needs(self) -> tuple[str, ...]:
        chain = (chain_key(self.netns, self.table, self.uses_chain),) if self.uses_chain else ()
        return (set_key(self.netns, self.table, self.set), *chain, *self.after)
