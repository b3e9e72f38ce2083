"""Records as lines of a flow log's format. Pure."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Literal

from ecsnet.control.flows.records import FlowRecord
from ecsnet.model.ec2 import NetworkInterface
from ecsnet.model.ecs import Task
from ecsnet.model.tables import SERVICES, TASKS
from ecsnet.services.ec2 import flow_log_format
from ecsnet.services.ec2.regions import REGIONS
from ecsnet.store.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What a line is made of: a record, or an interface of which there is none (`status` says why)."""

    snapshot: Snapshot
    interface: NetworkInterface
    record: FlowRecord | None
    status: Literal["OK", "NODATA", "SKIPDATA"]
    start: float
    end: float


Value = Callable[[Line], object]


def render(line: Line, text: str) -> str:
    """The line in a format."""
    return " ".join(_shown(value(line)) for value in _values(text))


def header(text: str) -> str:
    """The first line of a file: the names of the fields."""
    return " ".join(flow_log_format.fields(text))


def _shown(value: object) -> str:
    return "-" if value is None or value == "" else str(value)


@functools.lru_cache(maxsize=256)
def _values(text: str) -> tuple[Value, ...]:
    names = flow_log_format.fields(text)
    number = flow_log_format.version(names)
    return tuple((lambda line: number) if name == "version" else _FIELDS.get(name, _nothing) for name in names)


def _nothing(line: Line) -> None:
    """Fields that ecsnet has nothing to say about: Outposts and the like, and which AWS service owns an address."""
    return


def _of(read: Callable[[FlowRecord], object]) -> Value:
    return lambda line: None if line.record is None else read(line.record)


def _source(record: FlowRecord) -> object:
    """Always the interface's primary address for what leaves it; the packet's own is `pkt-srcaddr`."""
    return _primary(record) if record.egress else record.source


def _destination(record: FlowRecord) -> object:
    return record.destination if record.egress else _primary(record)


def _primary(record: FlowRecord) -> object:
    own = record.source if record.egress else record.destination
    return record.interface.private_ip if isinstance(own, IPv4Address) else own


def _zone(line: Line) -> str | None:
    region = REGIONS.get(line.interface.region)
    zones = region.zones if region is not None else ()
    return next((zone.id for zone in zones if zone.name == line.interface.az), None)


def _instance(line: Line) -> str | None:
    attachment = line.interface.attachment
    return attachment.owner if attachment is not None and attachment.owner_kind == "instance" else None


def _task(read: Callable[[Snapshot, Task], object]) -> Value:
    """The ECS fields are those of the task whose own interface it is (network mode awsvpc)."""

    def value(line: Line) -> object:
        attachment = line.interface.attachment
        if attachment is None or attachment.owner_kind != "task":
            return None
        task = line.snapshot.get(TASKS, attachment.owner)
        return None if task is None else read(line.snapshot, task)

    return value


def _container(index: int) -> Callable[[Snapshot, Task], object]:
    return lambda snapshot, task: task.containers[index].runtime_id if index < len(task.containers) else None


def _service(snapshot: Snapshot, task: Task) -> object:
    service = snapshot.get(SERVICES, task.service) if task.service else None
    return service.name if service is not None else None


_FIELDS: dict[str, Value] = {
    "account-id": lambda line: line.interface.account,
    "interface-id": lambda line: line.interface.id,
    "srcaddr": _of(_source),
    "dstaddr": _of(_destination),
    "srcport": _of(lambda record: record.part.source_port),
    "dstport": _of(lambda record: record.part.destination_port),
    "protocol": _of(lambda record: record.part.protocol),
    "packets": _of(lambda record: record.packets),
    "bytes": _of(lambda record: record.size),
    "start": lambda line: int(line.record.part.start if line.record else line.start),
    "end": lambda line: int(line.record.part.end if line.record else line.end),
    "action": _of(lambda record: record.action),
    "log-status": lambda line: line.status,
    "vpc-id": lambda line: line.interface.vpc,
    "subnet-id": lambda line: line.interface.subnet,
    "instance-id": _instance,
    "tcp-flags": _of(lambda record: record.part.flags),
    "type": _of(lambda record: f"IPv{record.source.version}"),
    "pkt-srcaddr": _of(lambda record: record.source),
    "pkt-dstaddr": _of(lambda record: record.destination),
    "region": lambda line: line.interface.region,
    "az-id": _zone,
    "flow-direction": _of(lambda record: "egress" if record.egress else "ingress"),
    "traffic-path": _of(lambda record: record.path),
    "ecs-cluster-arn": _task(lambda snapshot, task: task.cluster),
    "ecs-cluster-name": _task(lambda snapshot, task: task.cluster.rpartition("/")[2]),
    "ecs-container-instance-arn": _task(lambda snapshot, task: task.container_instance),
    "ecs-container-instance-id": _task(
        lambda snapshot, task: task.container_instance.rpartition("/")[2] if task.container_instance else None
    ),
    "ecs-container-id": _task(_container(0)),
    "ecs-second-container-id": _task(_container(1)),
    "ecs-service-name": _task(_service),
    "ecs-task-definition-arn": _task(lambda snapshot, task: task.task_definition),
    "ecs-task-arn": _task(lambda snapshot, task: task.arn),
    "ecs-task-id": _task(lambda snapshot, task: task.id),
    flow_log_format.RULE: _of(lambda record: record.rule),
}
