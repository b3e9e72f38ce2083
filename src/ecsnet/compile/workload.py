"""Task → Process, one per container, as soon as the task has its interface.

Sources: Amazon ECS Developer Guide, "Task metadata endpoint version 4" (environment variables) and "Using the awslogs
log driver" (stream names); VPC User Guide, "DHCP option sets" (resolver and search domain).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Any, Literal

import msgspec

from ecsnet.compile import facts
from ecsnet.compile.view import FragmentSpec, Query, View
from ecsnet.logical.workload import ContainerPort, LogTarget, Process
from ecsnet.model.base import Record
from ecsnet.model.dnsnames import private_dns_name
from ecsnet.model.ecs import (
    ContainerDefinition,
    Task,
    TaskDefinition,
    container_token,
    holds_processes,
    may_start,
)
from ecsnet.model.tables import DHCP_OPTIONS, INTERFACES, SERVICES, TASK_DEFINITIONS, TASKS, VPCS

METADATA = "http://169.254.170.2"

RUNTIME_LABEL = "ecsnet.runtime"
"""A docker label of the container definition that chooses its runtime."""

DEFAULT_STOP_TIMEOUT = 30
"""Seconds; ECS API, ContainerDefinition.stopTimeout."""


class NameService(Record, frozen=True, kw_only=True, gc=False):
    """What the DHCP options of a VPC tell its hosts."""

    resolver: IPv4Address | None
    search: tuple[str, ...]


def _find_name_service(view: View, vpc: str) -> NameService:
    blocks = facts.ipv4_networks(view, vpc)
    amazon = blocks[0].network_address + 2 if blocks else None
    options_id = view.project("dhcp_options", lambda v: v.dhcp_options, VPCS, vpc)
    row = view.get(DHCP_OPTIONS, options_id) if options_id else None
    options = dict(row.options) if row else {}
    resolver = amazon
    for server in options.get("domain-name-servers", ("AmazonProvidedDNS",)):
        if server == "AmazonProvidedDNS":
            break
        address = _ipv4(server)
        if address is not None:
            resolver = address
            break
    return NameService(resolver=resolver, search=tuple(options.get("domain-name", ())))


def _ipv4(text: str) -> IPv4Address | None:
    try:
        return IPv4Address(text)
    except ValueError:
        return None


NAME_SERVICE = Query(name="name_service", run=_find_name_service)
"""The resolver and search domains of a VPC's hosts."""


class Override(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """ECS API, ContainerOverride, as far as the process is concerned."""

    name: str | None = None
    command: tuple[str, ...] | None = None
    environment: tuple[dict[str, str], ...] = ()


class Overrides(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """ECS API, TaskOverride, as far as processes are concerned."""

    container_overrides: tuple[Override, ...] = ()
    task_role_arn: str | None = None


def overrides_of(task: Task) -> Overrides:
    return msgspec.json.decode(task.overrides, type=Overrides)


def task_role(task: Task, definition: TaskDefinition) -> str | None:
    """The task role's ARN: the override's, else the definition's."""
    given: str | None = json.loads(definition.body).get("taskRoleArn")
    return overrides_of(task).task_role_arn or given


def credentials_id(task: Task) -> str:
    """The id in AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: a UUID that follows from the task's id."""
    digits = container_token(task.arn, "credentials")
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def processes(view: View, arn: str) -> Iterator[Process]:
    task = view.get(TASKS, arn)
    if task is None or not holds_processes(task) or task.interface is None or task.private_ip is None:
        return
    definition = view.get(TASK_DEFINITIONS, task.task_definition)
    vpc = view.project("vpc", lambda i: i.vpc, INTERFACES, task.interface)
    if definition is None or vpc is None:
        return
    labels = _labels(definition)
    for container in definition.containers:
        if may_start(task, definition, container.name):
            yield _process(view, task, definition, container, vpc, labels.get(container.name, {}))


def _process(
    view: View,
    task: Task,
    definition: TaskDefinition,
    container: ContainerDefinition,
    vpc: str,
    labels: dict[str, str],
) -> Process:
    assert task.interface is not None
    assert task.private_ip is not None
    override = next((o for o in overrides_of(task).container_overrides if o.name == container.name), Override())
    names = view.ask(NAME_SERVICE, vpc)
    hostname = private_dns_name(task.region, task.private_ip)
    return Process(
        task=task.arn,
        router=vpc,
        port=task.interface,
        name=container.name,
        runtime=_runtime(labels),
        image=container.image,
        entry_point=container.entry_point,
        command=container.command if override.command is None else override.command,
        environment=_environment(task, definition, container, override),
        working_directory=container.working_directory,
        user=container.user,
        ports=tuple(ContainerPort(port=port.container_port, protocol=port.protocol) for port in container.ports),
        identity=_identity(view, task, definition),
        resolver=names.resolver,
        search=names.search,
        hostname=hostname,
        hosts=((IPv4Address("127.0.0.1"), "localhost"), (task.private_ip, hostname)),
        log=_log(task, container),
        stop_timeout=DEFAULT_STOP_TIMEOUT if container.stop_timeout is None else container.stop_timeout,
    )


def _labels(definition: TaskDefinition) -> dict[str, dict[str, str]]:
    body: dict[str, Any] = json.loads(definition.body)
    return {one["name"]: one.get("dockerLabels") or {} for one in body.get("containerDefinitions", ()) if "name" in one}


def _runtime(labels: dict[str, str]) -> Literal["auto", "stand-in", "podman", "process"]:
    match labels.get(RUNTIME_LABEL):
        case "stand-in":
            return "stand-in"
        case "podman":
            return "podman"
        case "process":
            return "process"
        case _:
            return "auto"


def _environment(
    task: Task, definition: TaskDefinition, container: ContainerDefinition, override: Override
) -> tuple[tuple[str, str], ...]:
    """The definition's variables, then the overrides', then those that the agent sets; a later one wins."""
    token = container_token(task.arn, container.name)
    given = dict(container.environment)
    given.update((one["name"], one.get("value", "")) for one in override.environment if "name" in one)
    given["ECS_CONTAINER_METADATA_URI"] = f"{METADATA}/v3/{token}"
    given["ECS_CONTAINER_METADATA_URI_V4"] = f"{METADATA}/v4/{token}"
    given["AWS_EXECUTION_ENV"] = "AWS_ECS_FARGATE" if task.launch_type == "FARGATE" else "AWS_ECS_EC2"
    given["AWS_REGION"] = given["AWS_DEFAULT_REGION"] = task.region
    if task_role(task, definition):
        given["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = f"/v2/credentials/{credentials_id(task)}"
    return tuple(given.items())


def _identity(view: View, task: Task, definition: TaskDefinition) -> tuple[tuple[str, str], ...]:
    service = view.project("name", lambda s: s.name, SERVICES, task.service) if task.service else None
    return (
        ("task", task.id),
        *((("service", service),) if service else ()),
        ("task_definition", f"{definition.family}:{definition.number}"),
        ("cluster", task.cluster.rpartition("/")[2]),
        ("mode", definition.network_mode),
        *((("availability_zone", task.az),) if task.az else ()),
        ("account", task.account),
        ("region", task.region),
    )


def _log(task: Task, container: ContainerDefinition) -> LogTarget | None:
    """The awslogs stream: prefix/container/task id; without a prefix, the container's own id as docker gives it."""
    options = dict(container.log_options)
    if container.log_driver != "awslogs" or "awslogs-group" not in options:
        return None
    prefix = options.get("awslogs-stream-prefix")
    stream = f"{prefix}/{container.name}/{task.id}" if prefix else container_token(task.arn, container.name)
    return LogTarget(group=options["awslogs-group"], stream=stream, region=options.get("awslogs-region", task.region))


FRAGMENTS = (FragmentSpec(name="process", table=TASKS, run=processes),)
