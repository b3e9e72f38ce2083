"""Task → Process, one per container, as soon as the task has its interface or its instance.

Sources: Amazon ECS Developer Guide, "Task metadata endpoint version 4" (environment variables) and "Using the awslogs
log driver" (stream names); VPC User Guide, "DHCP option sets" (resolver and search domain).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Any, Literal

import msgspec

from ecsnet.compile import containers, facts, names
from ecsnet.compile.view import FragmentSpec, Query, View
from ecsnet.logical.workload import Check, ContainerPort, LogTarget, OnMachine, OnPort, OnStack, Process, Restart, Seat
from ecsnet.model.base import Record
from ecsnet.model.dnsnames import private_dns_name
from ecsnet.model.ecs import (
    ContainerDefinition,
    ContainerHealthCheck,
    Task,
    TaskDefinition,
    container_id,
    container_token,
    holds_processes,
    may_start,
)
from ecsnet.model.tables import DHCP_OPTIONS, INSTANCES, INTERFACES, SERVICES, TASK_DEFINITIONS, TASKS, VPCS

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
    """The id in AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: a UUID that follows from the task's secret."""
    digits = container_token(task, "/credentials")
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def processes(view: View, arn: str) -> Iterator[Process]:
    task = view.get(TASKS, arn)
    if task is None or not holds_processes(task):
        return
    definition = view.get(TASK_DEFINITIONS, task.task_definition)
    home = home_of(view, task)
    if definition is None or home is None:
        return
    given = _given(definition)
    for container in definition.containers:
        if may_start(task, definition, container.name):
            yield _process(view, task, definition, container, home, given.get(container.name, {}))


class Home(Record, frozen=True, kw_only=True, gc=False):
    """Where a task's processes are: in which VPC, and at which address it knows them."""

    vpc: str | None
    """None on an EXTERNAL instance."""
    address: IPv4Address | None
    """Of the task's interface, or of its instance; None where the instance is of IPv6 alone."""


def home_of(view: View, task: Task) -> Home | None:
    """None while there is no network stack for the task's processes."""
    if task.network_mode == "awsvpc":
        vpc = view.project("vpc", lambda i: i.vpc, INTERFACES, task.interface) if task.interface else None
        return Home(vpc=vpc, address=task.private_ip) if vpc is not None and task.private_ip is not None else None
    if task.instance is None or not view.ask(containers.IS_MACHINE, task.instance):
        return None
    outside = view.ask(containers.EXTERNAL_ADDRESS, task.instance)
    if outside is not None:
        return Home(vpc=None, address=outside)
    vpc = view.project("vpc", lambda i: i.vpc, INSTANCES, task.instance)
    return Home(vpc=vpc, address=view.ask(facts.INSTANCE_ADDRESS, task.instance)) if vpc is not None else None


def name_service_of(view: View, home: Home) -> NameService:
    """What tells a task's processes names: its VPC's resolver, on an EXTERNAL instance the internet's."""
    if home.vpc is None:
        return NameService(resolver=names.PUBLIC_NAME_SERVER, search=())
    return view.ask(NAME_SERVICE, home.vpc)


def seat_of(task: Task, container: str, home: Home) -> Seat:
    """Whose network stack a container uses (Developer Guide, "Amazon ECS task networking options")."""
    match task.network_mode:
        case "awsvpc":
            assert task.interface is not None
            assert home.vpc is not None
            assert home.address is not None
            return OnPort(router=home.vpc, port=task.interface, address=home.address)
        case "host":
            return OnMachine(machine=task.instance or "")
        case "bridge" | "none":
            address = dict(task.addresses).get(container)
            return OnStack(
                stack=container_id(task.arn, container),
                machine=task.instance or "",
                address=address,
                published=() if address is None else tuple(containers.published(task, container, address)),
            )


def _process(
    view: View,
    task: Task,
    definition: TaskDefinition,
    container: ContainerDefinition,
    home: Home,
    given: dict[str, Any],
) -> Process:
    override = next((o for o in overrides_of(task).container_overrides if o.name == container.name), Override())
    told = name_service_of(view, home)
    resolver, search = told.resolver, told.search
    if task.network_mode == "none":
        resolver, search = None, ()
    servers = [address for text in given.get("dnsServers") or () if (address := _ipv4(text)) is not None]
    seat = seat_of(task, container.name, home)
    hostname = _hostname(task, container.name, home, given)
    return Process(
        task=task.arn,
        seat=seat,
        name=container.name,
        runtime=_runtime(given.get("dockerLabels") or {}),
        image=container.image,
        entry_point=container.entry_point,
        command=container.command if override.command is None else override.command,
        environment=_environment(task, definition, container, override),
        working_directory=container.working_directory,
        user=container.user,
        ports=tuple(
            ContainerPort(port=port.container_port + offset, protocol=port.protocol)
            for port in container.ports
            for offset in range(port.length)
        ),
        identity=_identity(view, task, definition),
        resolver=servers[0] if servers else resolver,
        search=tuple(given.get("dnsSearchDomains") or ()) or search,
        hostname=hostname,
        hosts=tuple(_hosts(task, container, seat, hostname, given)),
        log=_log(task, container),
        stop_timeout=DEFAULT_STOP_TIMEOUT if container.stop_timeout is None else container.stop_timeout,
        restart=None
        if container.restart is None
        else Restart(period=container.restart.period, ignored_codes=container.restart.ignored_codes),
        check=None if container.health_check is None else _check(container.health_check),
    )


def _check(given: ContainerHealthCheck) -> Check:
    kind, *rest = given.command
    return Check(
        arguments=("/bin/sh", "-c", *rest[:1]) if kind == "CMD-SHELL" else tuple(rest),
        interval=given.interval,
        timeout=given.timeout,
        retries=given.retries,
        start_period=given.start_period,
    )


def _hostname(task: Task, container: str, home: Home, given: dict[str, Any]) -> str | None:
    """In bridge and none mode the definition's, else docker's short id; else the stack owner's."""
    if task.network_mode in ("bridge", "none"):
        return given.get("hostname") or container_id(task.arn, container)[:12]
    if home.vpc is None:
        return task.instance
    return private_dns_name(task.region, home.address) if home.address is not None else None


def _hosts(
    task: Task, container: ContainerDefinition, seat: Seat, hostname: str | None, given: dict[str, Any]
) -> Iterator[tuple[IPv4Address, str]]:
    """/etc/hosts: the container's own name, `extraHosts`, and in bridge mode the containers that it links to."""
    yield IPv4Address("127.0.0.1"), "localhost"
    own = None if isinstance(seat, OnMachine) else seat.address
    if own is not None and hostname is not None:
        yield own, hostname
    for one in given.get("extraHosts") or ():
        address = _ipv4(str(one.get("ipAddress", "")))
        if address is not None and one.get("hostname"):
            yield address, str(one["hostname"])
    addresses = dict(task.addresses)
    for name, alias in container.links:
        if name in addresses:
            # docker: the alias, the short id, the name
            for known_as in dict.fromkeys((alias, container_id(task.arn, name)[:12], name)):
                yield addresses[name], known_as


def _given(definition: TaskDefinition) -> dict[str, dict[str, Any]]:
    """The whole container definitions as they were given, by name."""
    body: dict[str, Any] = json.loads(definition.body)
    return {one["name"]: one for one in body.get("containerDefinitions", ()) if "name" in one}


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
    token = container_token(task, container.name)
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
    stream = f"{prefix}/{container.name}/{task.id}" if prefix else container_id(task.arn, container.name)
    return LogTarget(group=options["awslogs-group"], stream=stream, region=options.get("awslogs-region", task.region))


FRAGMENTS = (FragmentSpec(name="process", table=TASKS, run=processes),)
