"""Tasks as DescribeTasks answers them (API type Task)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ecsnet.model.capacity import NetworkBinding
from ecsnet.model.ecs import Container, Task, TaskDefinition
from ecsnet.model.tables import TASK_DEFINITIONS
from ecsnet.services.call import Cached
from ecsnet.services.ecs import tags
from ecsnet.store.snapshot import Reader

_TIMES = (
    ("connectivityAt", "connected"),
    ("pullStartedAt", "pull_started"),
    ("pullStoppedAt", "pull_stopped"),
    ("startedAt", "started"),
    ("stoppingAt", "stopping"),
    ("executionStoppedAt", "execution_stopped"),
    ("stoppedAt", "stopped"),
)


def tasks(reader: Reader, rows: Iterable[Task], *, with_tags: bool) -> list[Cached]:
    """List items of DescribeTasks, RunTask and StopTask."""
    return [_cached(task, reader.get(TASK_DEFINITIONS, task.task_definition), with_tags) for task in rows]


def _cached(row: Task, definition: TaskDefinition | None, with_tags: bool) -> Cached:
    return Cached(
        key=("ecs-task", row.arn, with_tags),
        sources=(row, definition),
        build=lambda: task(row, definition, with_tags=with_tags),
    )


def task(row: Task, definition: TaskDefinition | None, *, with_tags: bool) -> Mapping[str, Any]:
    """One task. `definition` gives the sizes that the task itself does not override."""
    override = msgspec.json.decode(row.overrides)
    given = msgspec.json.decode(definition.body) if definition is not None else {}
    sizes = {one["name"]: one for one in given.get("containerDefinitions", ())}
    overridden = {one["name"]: one for one in override.get("containerOverrides", ())}
    architecture = given.get("runtimePlatform", {}).get("cpuArchitecture", "X86_64").lower()
    body: dict[str, Any] = {
        "attachments": [attachment(row)] if row.attachment else [],
        "attributes": [{"name": "ecs.cpu-architecture", "value": architecture}],
        "clusterArn": row.cluster,
        "containers": [_container(row, one, sizes.get(one.name, {}), overridden[one.name]) for one in row.containers],
        "createdAt": row.created,
        "desiredStatus": row.desired_status,
        "enableExecuteCommand": row.execute_command,
        "group": row.group,
        "healthStatus": _health(row, definition),
        "inferenceAccelerators": [],
        "lastStatus": row.last_status.value,
        "overrides": override,
        "tags": tags.wire(row.tags) if with_tags else [],
        "taskArn": row.arn,
        "taskDefinitionArn": row.task_definition,
        "version": row.version,
    }
    if row.capacity_provider is not None:
        body["capacityProviderName"] = row.capacity_provider
    if row.connected is not None:
        body["connectivity"] = "CONNECTED"
    optional = {
        "availabilityZone": row.az,
        "containerInstanceArn": row.container_instance,
        "platformFamily": "Linux" if row.launch_type == "FARGATE" else None,
        "launchType": row.launch_type,
        "cpu": override.get("cpu") or given.get("cpu"),
        "memory": override.get("memory") or given.get("memory"),
        "platformVersion": row.platform_version,
        "startedBy": row.started_by,
        "stopCode": row.stop_code,
        "stoppedReason": row.stopped_reason,
        "ephemeralStorage": (given.get("ephemeralStorage") or {"sizeInGiB": 20})
        if row.launch_type == "FARGATE"
        else None,
    }
    body |= {name: value for name, value in optional.items() if value is not None}
    body |= {name: value for name, field in _TIMES if (value := getattr(row, field)) is not None}
    return body


def attachment(row: Task) -> Mapping[str, Any]:
    details = (
        ("subnetId", row.subnet),
        ("networkInterfaceId", row.interface),
        ("macAddress", row.mac),
        ("privateDnsName", row.private_dns_name),
        ("privateIPv4Address", str(row.private_ip) if row.private_ip else None),
    )
    return {
        "id": row.attachment,
        "type": "ElasticNetworkInterface",
        "status": row.attachment_status,
        "details": [{"name": name, "value": value} for name, value in details if value is not None],
    }


def _container(
    row: Task, container: Container, given: Mapping[str, Any], override: Mapping[str, Any]
) -> Mapping[str, Any]:
    body: dict[str, Any] = {
        "containerArn": container.arn,
        "taskArn": row.arn,
        "name": container.name,
        "image": container.image,
        "lastStatus": container.last_status,
        "networkBindings": _bindings(row, container),
        "networkInterfaces": [],
        "healthStatus": container.health or "UNKNOWN",
        "cpu": str(override.get("cpu", given.get("cpu", 0))),
    }
    if row.private_ip is not None:
        six = {} if row.ipv6_ip is None else {"ipv6Address": str(row.ipv6_ip)}
        body["networkInterfaces"] = [{"attachmentId": row.attachment, "privateIpv4Address": str(row.private_ip), **six}]
    if row.execute_command:
        body["managedAgents"] = [_execute_command_agent(row, container)]
    optional = {
        "runtimeId": container.runtime_id,
        "exitCode": container.exit_code,
        "reason": container.reason,
        "memory": _text(override.get("memory", given.get("memory"))),
        "memoryReservation": _text(override.get("memoryReservation", given.get("memoryReservation"))),
    }
    return body | {name: value for name, value in optional.items() if value is not None}


def _execute_command_agent(row: Task, container: Container) -> Mapping[str, Any]:
    """What runs commands in a container is there as long as the container is (API type ManagedAgent)."""
    agent: dict[str, Any] = {"name": "ExecuteCommandAgent", "lastStatus": container.last_status}
    if container.last_status == "RUNNING" and row.started is not None:
        agent["lastStartedAt"] = row.started
    return agent


def _bindings(row: Task, container: Container) -> list[Mapping[str, Any]]:
    """Known only once the container runs (API type NetworkBinding)."""
    if container.last_status != "RUNNING":
        return []
    return [_binding(one) for one in row.bindings if one.container == container.name]


def _binding(one: NetworkBinding) -> Mapping[str, Any]:
    ports: Mapping[str, Any] = {"containerPort": one.container_port, "hostPort": one.host_port}
    if one.ranged:
        ports = {
            "containerPortRange": f"{one.container_port}-{one.container_port + one.length - 1}",
            "hostPortRange": f"{one.host_port}-{one.host_port + one.length - 1}",
        }
    return {"bindIP": "0.0.0.0", **ports, "protocol": one.protocol}


def _text(value: object) -> str | None:
    return str(value) if value is not None else None


def _health(row: Task, definition: TaskDefinition | None) -> str:
    """Of the essential containers with a health check (API type Task, healthStatus)."""
    checked = (
        {one.name for one in definition.containers if one.essential and one.health_check is not None}
        if definition is not None
        else set()
    )
    states = {container.health or "UNKNOWN" for container in row.containers if container.name in checked}
    if "UNHEALTHY" in states:
        return "UNHEALTHY"
    return "HEALTHY" if states == {"HEALTHY"} else "UNKNOWN"
