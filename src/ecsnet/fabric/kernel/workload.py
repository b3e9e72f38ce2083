"""Processes and documents → workloads in a task's namespace and pages in its router's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ecsnet.fabric.kernel import naming
from ecsnet.hostplan.kernel import HostObject
from ecsnet.hostplan.workload import MetadataPages, Page, Port, Workload, metadata_key
from ecsnet.logical.base import LogicalObject
from ecsnet.logical.workload import Documents, Process


def process(item: Process) -> Iterator[Workload]:
    """The container waits until its interface is published and its metadata is served."""
    router = naming.router_namespace(item.router)
    address = next(str(address) for address, name in item.hosts if name == item.hostname)
    yield Workload(
        owner=item.task,
        container=item.name,
        netns=naming.task_namespace(item.task),
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
        after=(*naming.published_keys(item.router, item.port), metadata_key(router, address)),
    )


def documents(item: Documents) -> Iterator[MetadataPages]:
    yield MetadataPages(
        netns=naming.router_namespace(item.router),
        peer=str(item.reader),
        pages=tuple(Page(paths=page.paths, body=page.body) for page in item.pages),
        owner=item.task,
    )


LOWERINGS: Mapping[type[LogicalObject], Callable[[Any], Iterable[HostObject]]] = {
    Process: process,
    Documents: documents,
}
