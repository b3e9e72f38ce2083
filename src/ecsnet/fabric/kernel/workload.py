"""Processes and documents → workloads in a namespace and pages in its router's or its machine's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ecsnet.fabric.kernel import containers, naming, nft, router
from ecsnet.hostplan.kernel import HostObject
from ecsnet.hostplan.workload import (
    HealthCheck,
    InstancePages,
    InstanceReader,
    MetadataPages,
    Page,
    Port,
    RestartRule,
    Workload,
    metadata_key,
)
from ecsnet.logical.base import LogicalObject
from ecsnet.logical.workload import (
    Check,
    Documents,
    MachineDocuments,
    MachineReader,
    OnMachine,
    OnPort,
    OnStack,
    Process,
    Seat,
)


def process(item: Process) -> Iterator[Workload]:
    netns, after = _place(item.seat, item.task)
    yield Workload(
        owner=item.task,
        container=item.name,
        netns=netns,
        runtime=item.runtime,
        image=item.image,
        entry_point=item.entry_point,
        command=item.command,
        environment=item.environment,
        working_directory=item.working_directory,
        user=item.user,
        ports=tuple(Port(port=port.port, protocol=port.protocol) for port in item.ports),
        identity=item.identity,
        nameserver=str(item.resolver) if item.resolver else None,
        search=item.search,
        hostname=item.hostname,
        hosts=tuple((str(address), name) for address, name in item.hosts),
        log_group=item.log.group if item.log else None,
        log_stream=item.log.stream if item.log else None,
        log_region=item.log.region if item.log else None,
        stop_timeout=item.stop_timeout,
        health=_health(item.check),
        restart=None
        if item.restart is None
        else RestartRule(period=item.restart.period, ignored_codes=item.restart.ignored_codes),
        after=after,
    )


def _health(check: Check | None) -> HealthCheck | None:
    if check is None:
        return None
    return HealthCheck(
        arguments=check.arguments,
        interval=check.interval,
        timeout=check.timeout,
        retries=check.retries,
        start_period=check.start_period,
    )


def _place(seat: Seat, task: str) -> tuple[str, tuple[str, ...]]:
    """The namespace of a process, and what it waits for: its way to the network, and its metadata being served."""
    match seat:
        case OnPort(router=home, port=port, address=address):
            served = metadata_key(naming.router_namespace(home), str(address), task)
            return naming.task_namespace(task), (naming.published_key(home, port), served)
        case OnMachine(machine=machine):
            netns = naming.instance_namespace(machine)
            return netns, (metadata_key(netns, containers.METADATA, task),)
        case OnStack(stack=stack, address=None):
            return naming.container_namespace(stack), ()
        case OnStack(stack=stack, machine=machine, address=address, published=published):
            served = metadata_key(naming.instance_namespace(machine), str(address), task)
            return naming.container_namespace(stack), (*containers.ready_keys(stack, machine, published), served)


def documents(item: Documents) -> Iterator[MetadataPages]:
    machine = item.server == "machine"
    yield MetadataPages(
        netns=naming.instance_namespace(item.place) if machine else naming.router_namespace(item.place),
        # What a machine sends to its own address comes from that address.
        peer=containers.METADATA if item.reader is None else str(item.reader),
        port=containers.METADATA_PORT if machine else 80,
        pages=tuple(Page(paths=page.paths, body=page.body) for page in item.pages),
        owner=item.task,
    )


def machine_documents(item: MachineDocuments) -> Iterator[InstancePages]:
    yield InstancePages(
        instance=item.machine,
        leaves=item.leaves,
        blob=item.blob,
        enabled=item.enabled,
        token_required=item.token_required,
        hop_limit=item.hop_limit,
    )


def machine_reader(item: MachineReader) -> Iterator[HostObject]:
    """A port that is no machine's has no such service: its packets are dropped at the router's own addresses."""
    netns = naming.router_namespace(item.router)
    yield InstanceReader(netns=netns, peer=str(item.address), instance=item.machine)
    sender = nft.concat(nft.link(naming.interface_link(item.port)), item.address)
    yield router.table(item.router).element("machines4", sender)


LOWERINGS: Mapping[type[LogicalObject], Callable[[Any], Iterable[HostObject]]] = {
    Process: process,
    Documents: documents,
    MachineDocuments: machine_documents,
    MachineReader: machine_reader,
}
