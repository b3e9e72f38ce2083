"""Who shall be asked for what: every pair of interfaces, every service."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ecsnet.control.places import THE_INTERNET, IpAddress, Place, attached, service_name, user_of
from ecsnet.control.probe import Wanted
from ecsnet.hostplan.probes import Protocol
from ecsnet.model import ec2
from ecsnet.model import tables as t
from ecsnet.model.ecs import holds_interface
from ecsnet.reach.flow import ICMP, ICMPV6, LINUX_PORT, TCP, UDP, Flow
from ecsnet.reach.records import Records
from ecsnet.store.snapshot import Snapshot

_NUMBERS: dict[tuple[Protocol, int], int] = {
    ("tcp", 4): TCP, ("tcp", 6): TCP, ("udp", 4): UDP, ("udp", 6): UDP, ("icmp", 4): ICMP, ("icmp", 6): ICMPV6,
}  # fmt: skip
_NOBODYS = range(9, 65536)
"""Where a TCP port is looked for that nobody declares; 9 is discard's."""


class Service(NamedTuple):
    """What is asked for at every destination."""

    protocol: Protocol
    port: int | None
    """None: an echo request."""

    def __str__(self) -> str:
        return self.protocol if self.port is None else f"{self.protocol}/{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """One end: an attached interface or the internet."""

    name: str
    """Its row and column: all tasks of a service are one, and all nodes of a load balancer."""
    interface: str | None
    """None: the internet."""
    place: Place
    starts: bool = True
    """Whether packets of its own start there. A NAT gateway's are all somebody else's."""
    relays: bool = False
    """A network load balancer sends what arrives on to a target, which is beyond the question."""


class Question(NamedTuple):
    """One packet."""

    source: Party
    destination: Party
    address: IpAddress
    service: Service

    def wanted(self) -> Wanted:
        return Wanted(
            source=self.source.place,
            destination=self.destination.place,
            protocol=self.service.protocol,
            port=self.service.port,
            address=self.address,
        )

    def flow(self, source_port: int | None = None) -> Flow:
        """What `reach` is asked. `source_port` is the port from which the packet was sent, if it has ports."""
        number = _NUMBERS[self.service.protocol, self.address.version]
        kind = self.service.port if self.service.protocol == "icmp" else None
        return Flow(
            source=self.source.interface,
            destination=self.address,
            protocol=number,
            port=self.service.port or 0,
            icmp=(kind if kind is not None else 128 if number == ICMPV6 else 8, 0),
            source_port=LINUX_PORT if source_port is None else source_port,
        )


def parties(snapshot: Snapshot, vpcs: Iterable[str]) -> list[Party]:
    """The internet and every attached interface of some VPCs."""
    found = [Party(name=THE_INTERNET.label, interface=None, place=THE_INTERNET)]
    for row, place in attached(snapshot, vpcs):
        starts = place.kind in ("task", "instance", "load balancer") and place.namespace is not None
        relays = row.interface_type == "network_load_balancer"
        found.append(
            Party(name=_name(snapshot, row), interface=row.id, place=place, starts=starts, relays=relays)
        )  # fmt: skip
    return found


def _name(snapshot: Snapshot, row: ec2.NetworkInterface) -> str:
    if row.attachment is None or row.attachment.owner_kind != "task":
        return user_of(snapshot, row)
    task = snapshot.get(t.TASKS, row.attachment.owner)
    return row.attachment.owner if task is None else service_name(snapshot, task) or task.group


def declared(snapshot: Snapshot, found: Sequence[Party]) -> tuple[Service, ...]:
    """The ports that containers and listeners of the parties declare, and a TCP port that none of them does.

    Of a range of ports the first one stands for all.
    """
    ports = _of_instances(snapshot, {party.place.id for party in found if party.place.kind == "instance"})
    for party in found:
        match party.place.kind:
            case "task":
                ports |= _of_task(snapshot, party.place.id)
            case "load balancer":
                for listener in snapshot.find(t.LISTENERS_BY_LOAD_BALANCER, party.place.id):
                    udp = listener.protocol in ("UDP", "QUIC")
                    ports.add(Service("udp" if udp else "tcp", listener.port))
            case _:
                pass
    nobodys = next(port for port in _NOBODYS if Service("tcp", port) not in ports)
    return (*sorted(ports, key=str), Service("tcp", nobodys))


def _of_task(snapshot: Snapshot, arn: str) -> set[Service]:
    task = snapshot.get(t.TASKS, arn)
    definition = None if task is None else snapshot.get(t.TASK_DEFINITIONS, task.task_definition)
    containers = () if definition is None else definition.containers
    return {Service(port.protocol, port.container_port) for container in containers for port in container.ports}


def _of_instances(snapshot: Snapshot, instances: set[str]) -> set[Service]:
    """The host ports of the tasks that use an instance's network stack."""
    return {
        Service(binding.protocol, binding.host_port)
        for task in snapshot.rows(t.TASKS)
        if task.instance in instances and holds_interface(task)
        for binding in task.bindings
    }


def questions(snapshot: Snapshot, found: Sequence[Party], services: Sequence[Service]) -> Iterator[Question]:
    """Every service of every ordered pair, by IPv4 and, where both have it, by IPv6.

    Left out is what no packet can ask: between two interfaces of one network stack, and to an address that means
    somebody else where the packet starts (two VPCs with the same block).
    """
    records = Records(snapshot)
    blocks = {party.place.vpc: records.blocks(party.place.vpc) for party in found if party.place.vpc is not None}
    for source, destination in itertools.product(found, found):
        if not source.starts or source.place.namespace == destination.place.namespace:
            continue
        here, there = source.place.vpc, destination.place.vpc
        for address in _addresses(source, destination):
            elsewhere = here is not None and here != there and any(address in block for block in blocks[here])
            if not elsewhere:
                for service in services:
                    yield Question(source=source, destination=destination, address=address, service=service)


def _addresses(source: Party, destination: Party) -> Iterator[IpAddress]:
    """One of each IP version that both ends have; from the internet a public one comes before a private one."""
    public = [address for end in destination.place.ends for address in end.public] if source.interface is None else []
    for version in (4, 6):
        own = [address for address in source.place.addresses if address.version == version]
        known: list[IpAddress] = [*public, *destination.place.addresses]
        other = next((address for address in known if address.version == version), None)
        if own and other is not None:
            yield other


def renewed(found: Sequence[Party], asked: Iterable[Question]) -> Iterator[Question]:
    """The same questions about the parties as they are now; those about a party that is gone are left out."""
    now = {party.interface: party for party in found}
    for question in asked:
        source, destination = now.get(question.source.interface), now.get(question.destination.interface)
        if source is not None and destination is not None and source.starts:
            yield question._replace(source=source, destination=destination)
