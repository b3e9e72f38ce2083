"""`probe`: AWS nouns → packets for the prober, and what was seen of them → the user's nouns again.

Which filters to listen to follows from the VPCs that a packet can cross: those of both ends and their peers, with
their gateways.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

import msgspec

from ecsnet.control.places import Place, resolve
from ecsnet.control.verdict import Verdict, Words
from ecsnet.fabric.kernel import naming
from ecsnet.hostplan.probes import Probe, ProbeBatch, ProbeReports, Protocol, Tap
from ecsnet.logical.network import INTERNET_CLIENT, INTERNET_CLIENT6
from ecsnet.model.tables import (
    EGRESS_ONLY_GATEWAYS_BY_VPC,
    INTERNET_GATEWAYS_BY_VPC,
    NAT_GATEWAYS_BY_VPC,
    PEERINGS_BY_VPC,
)
from ecsnet.store.snapshot import Snapshot

IpAddress = IPv4Address | IPv6Address
Ask = Callable[[bytes], Awaitable[bytes]]
"""Asks the agent for a batch: JSON of `ProbeBatch` → JSON of `ProbeReports`."""

MOST = 10_000
"""Probes in one ask."""


class UnsendableError(Exception):
    """No such packet can be sent; the text is one sentence, `hint` says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Wanted(NamedTuple):
    """A packet that somebody wants to be sent."""

    source: Place
    destination: Place
    protocol: Protocol
    port: int | None
    """For ICMP the type; None for an echo request."""
    address: IpAddress | None = None
    """Where to send it, when the destination's best address is not meant."""
    source_port: int | None = None


def wanted(snapshot: Snapshot, source: str, destination: str, port: str, source_port: int | None = None) -> Wanted:
    """A packet as the command line says it: two places (`places.resolve`), and `443/tcp`, `53/udp`, `icmp`, `13/icmp`.

    Raises UnsendableError, NotFoundError.
    """
    start = resolve(snapshot, source)
    protocol, number = parse_port(port)
    return Wanted(
        source=start,
        destination=_seen_from(snapshot, start, destination),
        protocol=protocol,
        port=number,
        address=_as_address(destination),
        source_port=source_port,
    )


def _seen_from(snapshot: Snapshot, source: Place, name: str) -> Place:
    """A private address is looked for in the source's VPC first, then in those that are peered with it."""
    if source.vpc is None or _as_address(name) is None:
        return resolve(snapshot, name)
    found = resolve(snapshot, name, source.vpc)
    for vpc in peers_of(snapshot, source.vpc):
        if not found.ends:
            found = resolve(snapshot, name, vpc)
    return found


def _as_address(name: str) -> IpAddress | None:
    try:
        return ip_address(name)
    except ValueError:
        return None


def parse_port(text: str) -> tuple[Protocol, int | None]:
    """`443/tcp`, `tcp/443`, `443` (TCP), `53/udp`, `icmp` (echo) or `13/icmp` (that type). Raises UnsendableError."""
    number, slash, name = text.lower().partition("/")
    if slash and number in ("tcp", "udp", "icmp"):
        number, name = name, number
    if number == "icmp" and not slash:
        return "icmp", None
    protocols: dict[str, Protocol] = {"tcp": "tcp", "": "tcp", "udp": "udp", "icmp": "icmp"}
    highest = 255 if name == "icmp" else 65535
    if name not in protocols or not number.isascii() or not number.isdigit() or int(number) > highest:
        raise UnsendableError(f"{text!r} is no port and protocol.", "Write 443/tcp, 53/udp or icmp.")
    return protocols[name], int(number)


async def probe(snapshot: Snapshot, wanted: Sequence[Wanted], ask: Ask, *, deadline: float = 0.5) -> list[Verdict]:
    """Send all and say what became of each, in their order. `deadline` is in seconds after the last packet.

    Raises UnsendableError, and what `ask` raises.
    """
    verdicts: list[Verdict] = []
    for start in range(0, len(wanted), MOST):
        part = wanted[start : start + MOST]
        sent = batch(snapshot, part, deadline=deadline)
        answer = msgspec.json.decode(await ask(msgspec.json.encode(sent)), type=ProbeReports)
        words = Words(snapshot, vpcs_around(snapshot, part))
        verdicts += [
            words.verdict(item.source, item.destination, one, report, answer.missed)
            for item, one, report in zip(part, sent.probes, answer.reports, strict=True)
        ]
    return verdicts


def batch(snapshot: Snapshot, wanted: Sequence[Wanted], *, deadline: float) -> ProbeBatch:
    """The packets and where to look for them. Raises UnsendableError."""
    destinations = {id(item.destination): item.destination for item in wanted}
    arrivals = {tap: None for place in destinations.values() for tap in _taps(place)}
    return ProbeBatch(
        probes=tuple(_probes(wanted)),
        deciders=tuple(dict.fromkeys(_deciders(snapshot, vpcs_around(snapshot, wanted)))),
        arrivals=tuple(arrivals),
        deadline=deadline,
    )


def _probes(wanted: Sequence[Wanted]) -> Iterator[Probe]:
    """Raises UnsendableError. Neighbours are often of one pair, whose packets differ in service only."""
    pair: object = None
    for number, item in enumerate(wanted):
        if pair != (now := (id(item.source), id(item.destination), item.address)):
            pair, (netns, device, source, destination) = now, _way(item)
        yield Probe(
            number=number,
            netns=netns,
            device=device,
            source=source,
            destination=destination,
            protocol=item.protocol,
            port=item.port,
            source_port=item.source_port,
        )


def _way(item: Wanted) -> tuple[str, str, str, str]:
    """Namespace, device, source and destination address."""
    if item.source.namespace is None:
        raise UnsendableError(f"nothing can be sent from {item.source.label}.", "Is it running? See: ecsnet ps")
    destination = item.address or _destination(item)
    device, source = _start(item.source, destination.version)
    if source is None:
        raise UnsendableError(f"{item.source.label} has no IPv{destination.version} address.")
    return item.source.namespace, device, str(source), str(destination)


def _destination(item: Wanted) -> IpAddress:
    """The best address of the destination for this source: of an IP version that it has; from the internet, public."""
    addresses = item.destination.addresses
    if item.source.kind == "internet":
        public = tuple(address for end in item.destination.ends for address in end.public)
        addresses = (*public, *addresses)
    if not addresses:
        raise UnsendableError(f"{item.destination.label} has no address.")
    return next((address for address in addresses if _start(item.source, address.version)[1]), addresses[0])


def _start(place: Place, version: int) -> tuple[str, IpAddress | None]:
    """Device and address from which a place sends."""
    if place.kind == "internet":
        return "", INTERNET_CLIENT if version == 4 else INTERNET_CLIENT6
    for end in place.ends:
        for address in end.addresses:
            if address.version == version:
                return end.device, address
    return "", None


def _taps(place: Place) -> Iterator[Tap]:
    """Where a packet to a place arrives; one to the outside arrives in the internet's namespace, if anywhere."""
    if place.namespace is None or place.kind == "internet":
        yield Tap(netns=naming.INTERNET, device="")
    else:
        for end in place.ends:
            yield Tap(netns=place.namespace, device=end.device)


def vpcs_around(snapshot: Snapshot, wanted: Sequence[Wanted]) -> tuple[str, ...]:
    """The VPCs that such packets may cross."""
    own = {place.vpc for item in wanted for place in (item.source, item.destination) if place.vpc is not None}
    return tuple(sorted(own.union(*(peers_of(snapshot, vpc) for vpc in own))))


def peers_of(snapshot: Snapshot, vpc: str) -> tuple[str, ...]:
    """The VPCs that are peered with one."""
    ends = (
        {peering.requester.vpc, peering.accepter.vpc}
        for peering in snapshot.find(PEERINGS_BY_VPC, vpc)
        if peering.status == "active"
    )
    return tuple(sorted({end for pair in ends for end in pair} - {vpc}))


def _deciders(snapshot: Snapshot, vpcs: Sequence[str]) -> Iterator[str]:
    """Their routers and gateways, and the internet. One that is not there yet carries nothing and is left out there."""
    yield naming.INTERNET
    for vpc in vpcs:
        yield naming.router_namespace(vpc)
        for key in snapshot.keys(INTERNET_GATEWAYS_BY_VPC, vpc):
            yield naming.gateway_namespace(key)
        for key in snapshot.keys(EGRESS_ONLY_GATEWAYS_BY_VPC, vpc):
            yield naming.gateway_namespace(key)
        for nat in snapshot.find(NAT_GATEWAYS_BY_VPC, vpc):
            if nat.state in ("pending", "available"):
                yield naming.nat_gateway_namespace(nat.id)
