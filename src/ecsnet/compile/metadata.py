"""Task → Documents: the task metadata endpoint and the task role's credentials.

Sources: Amazon ECS Developer Guide, "Task metadata endpoint version 4 for tasks on Fargate" and "Task IAM role";
members that ecsnet does not know (image digests, statistics) are left out.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

import msgspec

from ecsnet.compile.view import FragmentSpec, View
from ecsnet.compile.workload import Home, credentials_id, home_of, name_service_of, task_role
from ecsnet.logical.workload import DocumentPage, Documents
from ecsnet.model.dnsnames import private_dns_name
from ecsnet.model.ecs import (
    Container,
    ContainerDefinition,
    Task,
    TaskDefinition,
    container_id,
    container_token,
    holds_interface,
    holds_processes,
    holds_stacks,
)
from ecsnet.model.tables import (
    OBSERVED_CONTAINERS,
    SERVICES,
    SUBNETS,
    TASK_DEFINITIONS,
    TASKS,
    container_key,
)

CREDENTIALS_LIFE = 365 * 86400
"""Seconds. AWS rotates after six hours; these never change, so that a world without control keeps working."""

Json = dict[str, Any]


def documents(view: View, arn: str) -> Iterator[Documents]:
    task = view.get(TASKS, arn)
    if task is None or not _is_served(task):
        return
    definition = view.get(TASK_DEFINITIONS, task.task_definition)
    home = home_of(view, task)
    if definition is None or home is None:
        return
    defined = {one.name: one for one in definition.containers}
    containers = [
        (
            container_token(task, one.name),
            _container(view, task, definition, one, defined[one.name], _network(view, task, one.name, home)),
        )
        for one in task.containers
        if one.name in defined
    ]
    whole = _task(view, task, definition, [body for _, body in containers])
    if task.launch_type == "EC2":
        whole["VPCID"] = home.vpc
    tagged = {**whole, "TaskTags": dict(task.tags)} if task.tags else whole
    pages = [_page((f"/v4/{token}", f"/v3/{token}"), body) for token, body in containers]
    tokens = [token for token, _ in containers]
    pages.append(_page(tuple(f"/{version}/{token}/task" for version in ("v4", "v3") for token in tokens), whole))
    pages.append(
        _page(tuple(f"/{version}/{token}/taskWithTags" for version in ("v4", "v3") for token in tokens), tagged)
    )
    role = task_role(task, definition)
    if role:
        pages.append(_page((f"/v2/credentials/{credentials_id(task)}",), _credentials(task, role)))
    for reader in _readers(task):
        yield Documents(
            task=task.arn,
            server="router" if task.network_mode == "awsvpc" else "machine",
            place=(home.vpc if task.network_mode == "awsvpc" else task.instance) or "",
            reader=reader,
            pages=tuple(pages),
        )


def _is_served(task: Task) -> bool:
    match task.network_mode:
        case "awsvpc":
            return holds_interface(task)
        case "bridge":
            return holds_stacks(task)
        case "host":
            return holds_processes(task)
        case "none":
            return False


def _readers(task: Task) -> tuple[IPv4Address | None, ...]:
    """Who may read a task's documents: its own addresses. In host mode everything on the instance has the same one, and
    only the ids in the paths keep tasks apart, as on AWS."""
    match task.network_mode:
        case "awsvpc":
            return (task.private_ip,)
        case "bridge":
            return tuple(address for _, address in task.addresses)
        case "host":
            return (None,)
        case "none":
            return ()


def _page(paths: tuple[str, ...], body: Json) -> DocumentPage:
    return DocumentPage(paths=paths, body=msgspec.json.encode(body))


def _network(view: View, task: Task, container: str, home: Home) -> Json:
    if task.network_mode == "bridge":
        return {"NetworkMode": "bridge", "IPv4Addresses": [str(dict(task.addresses)[container])]}
    if task.network_mode == "host":
        # docker knows no address of a container that shares the stack of its host
        return {"NetworkMode": "host", "IPv4Addresses": [""]}
    assert task.private_ip is not None
    names = name_service_of(view, home)
    blocks = view.project("blocks", lambda s: (s.cidr, s.ipv6_cidr), SUBNETS, task.subnet) if task.subnet else None
    cidr, cidr6 = blocks or (None, None)
    network: Json = {
        "NetworkMode": "awsvpc",
        "IPv4Addresses": [str(task.private_ip)],
        "AttachmentIndex": 0,
        "MACAddress": task.mac,
    }
    if cidr is not None:
        gateway = IPv4Interface((cidr.network_address + 1, cidr.prefixlen))
        network["IPv4SubnetCIDRBlock"] = str(cidr)
        network["SubnetGatewayIpv4Address"] = str(gateway)
    if task.ipv6_ip is not None:
        network["IPv6Addresses"] = [str(task.ipv6_ip)]
        if cidr6 is not None:
            network["IPv6SubnetCIDRBlock"] = str(cidr6.cidr)
    network["DomainNameServers"] = [str(names.resolver)] if names.resolver else []
    network["DomainNameSearchList"] = list(names.search)
    network["PrivateDNSName"] = private_dns_name(task.region, task.private_ip)
    return network


def _container(
    view: View,
    task: Task,
    definition: TaskDefinition,
    container: Container,
    defined: ContainerDefinition,
    network: Json,
) -> Json:
    docker_id = container_id(task.arn, container.name)
    if task.launch_type == "FARGATE":  # the task's id and a number
        docker_id = f"{task.id}-{int(docker_id[:8], 16)}"
    body: Json = {
        "DockerId": docker_id,
        "Name": container.name,
        "DockerName": container.name,
        "Image": container.image,
        "Labels": {
            "com.amazonaws.ecs.cluster": task.cluster,
            "com.amazonaws.ecs.container-name": container.name,
            "com.amazonaws.ecs.task-arn": task.arn,
            "com.amazonaws.ecs.task-definition-family": definition.family,
            "com.amazonaws.ecs.task-definition-version": str(definition.number),
        },
        "DesiredStatus": task.desired_status,
        "KnownStatus": container.last_status,
        "CreatedAt": _time(task.created),
        "Type": "NORMAL",
        "ContainerARN": container.arn,
        "Networks": [network],
    }
    seen = view.get(OBSERVED_CONTAINERS, container_key(task.arn, container.name))
    if seen is not None and seen.state == "running":
        body["StartedAt"] = _time(seen.at)
    if seen is not None and seen.state == "stopped":
        body["FinishedAt"] = _time(seen.at)
    if container.exit_code is not None:
        body["ExitCode"] = container.exit_code
    if defined.restart is not None:
        body["RestartCount"] = 0 if seen is None else sum(times for _, times in seen.restarts)
    if defined.ports:
        body["Ports"] = list(_ports(task, defined))
    if defined.log_driver:
        body["LogDriver"] = defined.log_driver
        body["LogOptions"] = dict(defined.log_options)
    return body


def _ports(task: Task, defined: ContainerDefinition) -> Iterator[Json]:
    bound = {(one.container_port, one.protocol): one for one in task.bindings if one.container == defined.name}
    for port in defined.ports:
        found = bound.get((port.container_port, port.protocol))
        for offset in range(port.length):
            shown: Json = {"ContainerPort": port.container_port + offset, "Protocol": port.protocol}
            shown["HostPort"] = (port.container_port if found is None else found.host_port) + offset
            yield shown | ({"HostIp": "0.0.0.0"} if task.network_mode == "bridge" else {})


def _task(view: View, task: Task, definition: TaskDefinition, containers: list[Json]) -> Json:
    service = view.project("name", lambda s: s.name, SERVICES, task.service) if task.service else None
    limits: Json = {}
    if definition.cpu and definition.cpu.isdigit():
        limits["CPU"] = int(definition.cpu) / 1024
    if definition.memory and definition.memory.isdigit():
        limits["Memory"] = int(definition.memory)
    body: Json = {
        "Cluster": task.cluster,
        "TaskARN": task.arn,
        "Family": definition.family,
        "Revision": str(definition.number),
        "DesiredStatus": task.desired_status,
        "KnownStatus": task.last_status.value,
        "Limits": limits,
        "Containers": containers,
        "LaunchType": task.launch_type,
    }
    optional = {
        "PullStartedAt": task.pull_started,
        "PullStoppedAt": task.pull_stopped,
        "ExecutionStoppedAt": task.execution_stopped,
    }
    body.update((name, _time(at)) for name, at in optional.items() if at is not None)
    if task.az:
        body["AvailabilityZone"] = task.az
    if service:
        body["ServiceName"] = service
    return body


def _credentials(task: Task, role: str) -> Json:
    """Keys that STS answers for: the access key id is the account's number, which is how a caller names its account."""
    secret = hashlib.sha256(f"{task.arn}/{role}".encode()).hexdigest()
    return {
        "RoleArn": role,
        "AccessKeyId": task.account,
        "SecretAccessKey": secret[:40],
        "Token": secret,
        "Expiration": _time(task.created + CREDENTIALS_LIFE),
    }


def _time(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}Z"


FRAGMENTS = (FragmentSpec(name="documents", table=TASKS, run=documents),)
