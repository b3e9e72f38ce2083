"""Application load balancing in network words: front ends, routing tables, pools and their members.

A front end listens on every node of a balancer. Its routing table decides, request by request, which pool answers. A
pool is probed and used separately from each node, because every node dials from its own address. Ids are those of the
AWS resources for which the objects exist.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Literal

from ecsnet.logical.base import LogicalObject


class Node(LogicalObject, frozen=True, kw_only=True, gc=False):
    """Where a balancer listens and from where it dials: one of its ports."""

    router: str
    port: str
    """Id of the Port that the balancer's host holds."""
    address: IPv4Address
    ipv6: IPv6Address | None = None
    """It listens there too; it dials from `address`."""


class Tls(LogicalObject, frozen=True, kw_only=True, gc=False):
    """Termination of TLS with certificates by name; the first is the default, others are chosen by server name."""

    certificates: tuple[str, ...]
    lowest: str
    highest: str
    """Protocol versions, for example "TLSv1.2"."""
    ciphers: tuple[str, ...]
    """For TLS 1.2 and older, in OpenSSL's names."""
    http2: bool


class Certificate(LogicalObject, frozen=True, kw_only=True, gc=False):
    """A server certificate of the local authority, made where it is needed. `names` are its DNS names."""

    balancer: str
    id: str
    names: tuple[str, ...]


class FrontEnd(LogicalObject, frozen=True, kw_only=True, gc=False):
    """A TCP port on every node of a balancer that speaks HTTP."""

    balancer: str
    id: str
    port: int
    nodes: tuple[Node, ...]
    tls: Tls | None
    idle_seconds: int
    keep_alive_seconds: int
    forwarded_for: Literal["append", "append-with-port", "preserve", "remove"]
    preserve_host: bool


class TcpFrontEnd(LogicalObject, frozen=True, kw_only=True, gc=False):
    """A TCP port on every node of a balancer; each connection goes to one member of one pool."""

    balancer: str
    id: str
    port: int
    nodes: tuple[Node, ...]
    pool: str
    idle_seconds: int


class Match(LogicalObject, frozen=True, kw_only=True, gc=False):
    """One condition; any of its values may match. `values` hold `*` and `?` for path, host, header and query."""

    on: Literal["path", "host", "header", "method", "query", "source"]
    values: tuple[str, ...] = ()
    header: str | None = None
    pairs: tuple[tuple[str | None, str], ...] = ()


class Share(LogicalObject, frozen=True, kw_only=True, gc=False):
    """One pool of a forward with its weight. `cookie_seconds` keeps a client on one member of the pool."""

    pool: str
    weight: int
    cookie_seconds: int | None = None


class Forward(LogicalObject, frozen=True, kw_only=True, gc=False, tag=True):
    shares: tuple[Share, ...]
    sticky_seconds: int | None = None
    """Keeps a client on the pool that it got first."""


class Respond(LogicalObject, frozen=True, kw_only=True, gc=False, tag=True):
    status: int
    content_type: str | None
    body: str


class Redirect(LogicalObject, frozen=True, kw_only=True, gc=False, tag=True):
    """The parts may contain #{protocol}, #{host}, #{port}, #{path} and #{query}."""

    status: int
    protocol: str
    host: str
    port: str
    path: str
    query: str


class RouteRule(LogicalObject, frozen=True, kw_only=True, gc=False):
    """All matches must hold; none means always."""

    id: str
    matches: tuple[Match, ...]
    action: Forward | Respond | Redirect


class Routing(LogicalObject, frozen=True, kw_only=True, gc=False):
    """The routing table of a front end; the first rule that matches decides."""

    balancer: str
    front_end: str
    port: int
    secure: bool
    nodes: tuple[Node, ...]
    forwarded_for: Literal["append", "append-with-port", "preserve", "remove"]
    rules: tuple[RouteRule, ...]


class Probe(LogicalObject, frozen=True, kw_only=True, gc=False):
    """A health probe; `port` None probes the member's own port. Times are in seconds, not yet sped up."""

    http: bool = True
    """Ask for `path`; else a TCP connection that opens is good enough."""
    tls: bool
    port: int | None
    path: str
    interval: int
    timeout: int
    healthy: int
    unhealthy: int
    statuses: tuple[tuple[int, int], ...]
    """Ranges of good status codes, both ends included."""


class Pool(LogicalObject, frozen=True, kw_only=True, gc=False):
    """Members that answer alike, as used by one balancer."""

    balancer: str
    id: str
    nodes: tuple[Node, ...]
    tls: bool
    probe: Probe
    choice: Literal["round-robin", "least-outstanding", "random"]
    slow_start_seconds: int
    idle_seconds: int
    panic_percent: int
    """Below this share of healthy members all members are used."""


class PoolMember(LogicalObject, frozen=True, kw_only=True, gc=False):
    address: IPv4Address
    port: int
    draining: bool


class Members(LogicalObject, frozen=True, kw_only=True, gc=False):
    """The members of a pool that one node uses."""

    balancer: str
    pool: str
    node: Node
    probe_port: int | None
    members: tuple[PoolMember, ...]
