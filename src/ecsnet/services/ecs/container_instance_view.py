"""Container instances as the API shows them (API types ContainerInstance, Attachment and Resource)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ecsnet.model.capacity import ContainerInstance, Reservation
from ecsnet.model.ecs import TaskStatus
from ecsnet.model.tables import INTERFACES, OBSERVED_INTERFACES, TASKS_BY_CONTAINER_INSTANCE
from ecsnet.services.ecs import render, tags
from ecsnet.store.snapshot import Reader


def container_instance(reader: Reader, row: ContainerInstance, *, with_tags: bool) -> Mapping[str, Any]:
    """A container instance as the API shows it (API type ContainerInstance)."""
    tasks = sorted(reader.find(TASKS_BY_CONTAINER_INSTANCE, row.arn), key=lambda task: task.arn)
    waiting = (TaskStatus.PROVISIONING, TaskStatus.PENDING, TaskStatus.ACTIVATING)
    attributes = sorted({**dict(row.attributes), **dict(row.custom_attributes)}.items())
    body: dict[str, Any] = {
        "containerInstanceArn": row.arn,
        "ec2InstanceId": row.instance,
        "version": row.version,
        "versionInfo": {"agentVersion": row.agent_version} if row.agent_version else {},
        "remainingResources": _resources(row, row.used),
        "registeredResources": _resources(row, Reservation()),
        "status": row.status,
        "agentConnected": row.agent_connected,
        "runningTasksCount": sum(1 for task in tasks if task.last_status is TaskStatus.RUNNING),
        "pendingTasksCount": sum(1 for task in tasks if task.last_status in waiting),
        "attributes": [{"name": name} | ({"value": value} if value is not None else {}) for name, value in attributes],
        "registeredAt": row.registered,
        "attachments": [*_trunk(reader, row), *(render.attachment(task) for task in tasks if task.attachment)],
        "tags": tags.wire(row.tags) if with_tags else [],
    }
    if row.capacity_provider is not None:
        body["capacityProviderName"] = row.capacity_provider
    if row.status_reason is not None:
        body["statusReason"] = row.status_reason
    return body


def _resources(row: ContainerInstance, used: Reservation) -> list[Mapping[str, Any]]:
    """Numbers are what is left; port sets are what is taken, also among the remaining resources."""
    numbers = (("CPU", row.cpu - used.cpu), ("MEMORY", row.memory - used.memory))
    ports = (("PORTS", (*row.reserved_ports, *used.ports)), ("PORTS_UDP", (*row.reserved_ports_udp, *used.ports_udp)))
    empty = {"doubleValue": 0.0, "longValue": 0}
    return [
        *({"name": name, "type": "INTEGER", **empty, "integerValue": value} for name, value in numbers),
        *(
            {
                "name": name,
                "type": "STRINGSET",
                **empty,
                "integerValue": 0,
                "stringSetValue": [str(port) for port in taken],
            }
            for name, taken in ports
        ),
    ]


def _trunk(reader: Reader, row: ContainerInstance) -> Iterator[Mapping[str, Any]]:
    """In the form of a task's attachment; AWS documents no other."""
    trunk = reader.get(INTERFACES, row.trunk) if row.trunk is not None else None
    if trunk is None or trunk.attachment is None:
        return
    details = (
        ("subnetId", trunk.subnet),
        ("networkInterfaceId", trunk.id),
        ("macAddress", trunk.mac),
        ("privateIPv4Address", str(trunk.private_ip) if trunk.private_ip is not None else None),
    )
    yield {
        "id": trunk.attachment.id,
        "type": "ElasticNetworkInterface",
        "status": "ATTACHED" if reader.get(OBSERVED_INTERFACES, trunk.id) is not None else "ATTACHING",
        "details": [{"name": name, "value": value} for name, value in details if value is not None],
    }
