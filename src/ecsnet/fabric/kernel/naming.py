"""Names of kernel objects, computed from ids: fixed prefix and hex digits, at most 15 bytes for namespaces and links.

User text never becomes a name. Every generated name has a prefix of its own because nft keywords bite (a chain called
`fwd` is a syntax error). An id's hex digits are its last part: `eni-0a1b…` gives `0a1b…`, an ARN its last path part.
"""

from __future__ import annotations

import re

from ecsnet.hostplan.kernel import element_key, link_key

INTERNET = "internet"
"""The namespace that stands for the internet."""

TABLE = "ecs"
"""The nft table of every namespace that filters."""

TABLE6 = "ecs6"
"""A second one where IPv4 and IPv6 are filtered apart."""

ARP_TABLE = "ecs_arp"

_INSTANCES = {"i": "i", "mi": "m"}
_GATEWAYS = {"igw": "g", "eigw": "x"}
_HEX = re.compile(r"[0-9a-f]+")
_LINK_DIGITS = 12

INTERFACE_LINK = "e"
"""How the names of interfaces' links begin, and no other link's of a router."""

_FIRST_TABLE = 1000
"""Below are the kernel's own route tables (253 to 255)."""

_FIRST_INSIDE_TABLE = 100_000


def digits(identifier: str) -> str:
    """The hex digits that end an id or ARN. Raises ValueError when it does not end in hex digits."""
    tail = re.split(r"[-/:]", identifier)[-1]
    if not _HEX.fullmatch(tail):
        raise ValueError(f"{identifier!r} does not end in hex digits, so no kernel name can be made from it")
    return tail


def ends_in_digits(identifier: str) -> bool:
    """Whether a kernel name can be made from it."""
    return _HEX.fullmatch(re.split(r"[-/:]", identifier)[-1]) is not None


def _short(prefix: str, identifier: str) -> str:
    return prefix + digits(identifier)[:_LINK_DIGITS]


def router_namespace(vpc: str) -> str:
    return _short("r", vpc)


def task_namespace(task: str) -> str:
    """`task` is the task id or its ARN."""
    return _short("t", task)


def load_balancer_namespace(arn: str) -> str:
    return _short("b", arn)


def instance_namespace(instance: str) -> str:
    """Of an instance of EC2 (i-…) or of somebody else's (mi-…)."""
    return _short(_INSTANCES[instance.partition("-")[0]], instance)


def external_link(instance: str) -> str:
    """The internet's end of the veth of an instance that is not of EC2."""
    return instance_namespace(instance)


def container_namespace(container: str) -> str:
    """Of a container with a network stack of its own."""
    return _short("c", container)


def container_link(container: str) -> str:
    """Its instance's end of its veth."""
    return _short("c", container)


def is_instance(namespace: str) -> bool:
    return namespace.startswith("i") and namespace != INTERNET


def is_load_balancer(namespace: str) -> bool:
    return namespace.startswith("b")


def gateway_namespace(gateway: str) -> str:
    """Of an internet gateway (igw-…) or an egress-only one (eigw-…)."""
    return _short(_GATEWAYS[gateway.partition("-")[0]], gateway)


def nat_gateway_namespace(nat: str) -> str:
    return _short("n", nat)


def interface_link(interface: str) -> str:
    """The router's end of an interface's veth."""
    return _short(INTERFACE_LINK, interface)


def uplink(gateway: str) -> str:
    """The end of a gateway's veth in the VPC's router, and of its other one in the internet namespace."""
    return gateway_namespace(gateway)


def outside_link_key(gateway: str) -> str:
    """The host-object key of the veth between the internet and a gateway."""
    return link_key(INTERNET, uplink(gateway))


def peering_link(peering: str) -> str:
    """Both ends of the veth between two peered VPCs' routers."""
    return _short("p", peering)


def peering_chain(peering: str, direction: str) -> str:
    """The guard of one end of a peering, for what comes in from it or goes out to it."""
    return f"pcx_{digits(peering)}_{direction}"


def interface_link_key(vpc: str, interface: str) -> str:
    """The host-object key of an interface's veth."""
    return link_key(router_namespace(vpc), interface_link(interface))


def interface_device(index: int) -> str:
    """The owner's end: eth0 is its first interface."""
    return f"eth{index}"


def members_set(group: str, version: int) -> str:
    """The set of the private addresses (IP version 4 or 6) of a group's members."""
    return f"m{version}_{digits(group)}"


def address_list_set(identifier: str) -> str:
    """The set of an address list's blocks."""
    return f"pl_{digits(identifier)}"


def prefixes_set(group: str, version: int) -> str:
    """The set of the prefixes of a group's members."""
    return f"p{version}_{digits(group)}"


def group_chain(group: str, direction: str, part: str) -> str:
    return f"sg_{digits(group)}_{direction}_{part}"


def prefix_chain(interface: str, direction: str) -> str:
    """What an interface's prefixes may send ("out") or receive ("in")."""
    return f"pfx_{digits(interface)[:_LINK_DIGITS]}_{direction}"


def group_set_chain(number: int, direction: str) -> str:
    """The rules of a set of groups one after the other."""
    return f"sgs_{number}_{direction}"


def subnet_chain(subnet: str) -> str:
    """The chain for what goes to the subnet's interfaces."""
    return f"sub_{digits(subnet)}"


def own_network_chain(subnet: str) -> str:
    """The chain that knows the subnet's own blocks."""
    return f"sub_{digits(subnet)}_own"


def acl_chain(acl: str, direction: str) -> str:
    return f"acl_{digits(acl)}_{direction}"


def table_number(ordinal: int, *, inside: bool = False) -> int:
    """The kernel's number of a route table of the VPC.

    Its routes for parts of the VPC itself are in a table of their own, which is looked at before `main`.
    """
    return (_FIRST_INSIDE_TABLE if inside else _FIRST_TABLE) + ordinal


def published_key(vpc: str, interface: str) -> str:
    """The key of the host object whose being in force means that the interface is complete and carries packets.

    It is its element of the map `sgs`, the last object of an interface to be made and the first to go.
    """
    return element_key(router_namespace(vpc), TABLE, "sgs", f'"{interface_link(interface)}"')
