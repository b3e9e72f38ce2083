"""Stored Amazon ECS resources."""

from __future__ import annotations

import enum
from ipaddress import IPv4Address
from typing import Literal

from ecsnet.model.base import Record, Tags


class Cluster(Record, frozen=True, kw_only=True, gc=False):
    arn: str
    account: str
    region: str
    name: str
    status: Literal["ACTIVE", "PROVISIONING", "DEPROVISIONING", "FAILED", "INACTIVE"] = "ACTIVE"
    settings: tuple[tuple[str, str], ...] = ()
    capacity_providers: tuple[str, ...] = ()
    default_strategy: str = "[]"
    """JSON text of defaultCapacityProviderStrategy."""
    configuration: str = "{}"
    service_connect_namespace: str | None = None
    tags: Tags = ()


class PortMapping(Record, frozen=True, kw_only=True, gc=False):
    container_port: int
    host_port: int
    protocol: Literal["tcp", "udp"] = "tcp"
    name: str | None = None
    app_protocol: str | None = None


class ContainerDefinition(Record, frozen=True, kw_only=True, gc=False):
    """The members that decide about network and process; the whole definition as given is in `TaskDefinition.body`."""

    name: str
    image: str
    essential: bool = True
    ports: tuple[PortMapping, ...] = ()
    command: tuple[str, ...] = ()
    entry_point: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    working_directory: str | None = None
    user: str | None = None
    log_driver: str | None = None
    log_options: tuple[tuple[str, str], ...] = ()
    stop_timeout: int | None = None
    depends_on: tuple[tuple[str, str], ...] = ()


class TaskDefinition(Record, frozen=True, kw_only=True, gc=False):
    arn: str
    account: str
    region: str
    family: str
    number: int
    status: Literal["ACTIVE", "INACTIVE", "DELETE_IN_PROGRESS"] = "ACTIVE"
    network_mode: Literal["bridge", "host", "awsvpc", "none"]
    containers: tuple[ContainerDefinition, ...]
    cpu: str | None = None
    memory: str | None = None
    requires_compatibilities: tuple[str, ...] = ()
    body: str
    """JSON text of the whole normalised definition as DescribeTaskDefinition answers it."""
    registered: float
    deregistered: float | None = None
    tags: Tags = ()


class AwsvpcConfiguration(Record, frozen=True, kw_only=True, gc=False):
    subnets: tuple[str, ...]
    groups: tuple[str, ...] = ()
    assign_public_ip: bool = False


class ServiceLoadBalancer(Record, frozen=True, kw_only=True, gc=False):
    target_group: str
    container: str
    port: int


class Deployment(Record, frozen=True, kw_only=True, gc=False):
    id: str
    status: Literal["PRIMARY", "ACTIVE", "INACTIVE"]
    task_definition: str
    desired: int
    awsvpc: AwsvpcConfiguration | None
    launch_type: str | None
    platform_version: str | None
    rollout: Literal["IN_PROGRESS", "COMPLETED", "FAILED"] = "IN_PROGRESS"
    rollout_reason: str = ""
    failed_tasks: int = 0
    created: float
    updated: float


class ServiceEvent(Record, frozen=True, kw_only=True, gc=False):
    id: str
    at: float
    message: str


class Service(Record, frozen=True, kw_only=True, gc=False):
    arn: str
    account: str
    region: str
    name: str
    cluster: str
    status: Literal["ACTIVE", "DRAINING", "INACTIVE"] = "ACTIVE"
    desired: int
    scheduling: Literal["REPLICA", "DAEMON"] = "REPLICA"
    deployments: tuple[Deployment, ...]
    """PRIMARY first."""
    load_balancers: tuple[ServiceLoadBalancer, ...] = ()
    minimum_healthy_percent: int = 100
    maximum_percent: int = 200
    health_check_grace_seconds: int | None = None
    events: tuple[ServiceEvent, ...] = ()
    """The newest first, at most 100."""
    body: str
    """JSON text of the remaining members as given (tags propagation, role, registries …)."""
    created: float
    created_by: str = ""
    client_token: str | None = None
    tags: Tags = ()


class TaskStatus(enum.Enum):
    PROVISIONING = "PROVISIONING"
    PENDING = "PENDING"
    ACTIVATING = "ACTIVATING"
    RUNNING = "RUNNING"
    DEACTIVATING = "DEACTIVATING"
    STOPPING = "STOPPING"
    DEPROVISIONING = "DEPROVISIONING"
    STOPPED = "STOPPED"


class Container(Record, frozen=True, kw_only=True, gc=False):
    """One container of a task. `last_status` is what was observed, never what is wished."""

    arn: str
    name: str
    image: str
    last_status: Literal["PENDING", "RUNNING", "STOPPED"] = "PENDING"
    runtime: Literal["stand-in", "podman", "process"] | None = None
    runtime_id: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    health: str | None = None


class Task(Record, frozen=True, kw_only=True, gc=False):
    arn: str
    account: str
    region: str
    id: str
    """The last part of the ARN: 32 hex digits."""
    cluster: str
    task_definition: str
    group: str
    """"service:<name>" or "family:<family>" or what RunTask gave."""
    service: str | None = None
    deployment: str | None = None
    launch_type: str = "FARGATE"
    platform_version: str | None = None
    last_status: TaskStatus
    desired_status: Literal["RUNNING", "STOPPED"]
    containers: tuple[Container, ...]
    attachment: str | None = None
    """Id of the ELASTIC_NETWORK_INTERFACE attachment."""
    attachment_status: str | None = None
    interface: str | None = None
    private_ip: IPv4Address | None = None
    az: str | None = None
    overrides: str = "{}"
    started_by: str | None = None
    created: float
    pull_started: float | None = None
    pull_stopped: float | None = None
    connected: float | None = None
    started: float | None = None
    stopping: float | None = None
    execution_stopped: float | None = None
    stopped: float | None = None
    stop_code: str | None = None
    stopped_reason: str | None = None
    version: int = 1
    tags: Tags = ()


class ObservedContainer(Record, frozen=True, kw_only=True, gc=False):
    """What the agent saw of one container. The key is "<task arn>/<container name>"."""

    task: str
    container: str
    state: Literal["starting", "running", "stopped", "failed"]
    runtime: Literal["stand-in", "podman", "process"]
    runtime_id: str
    exit_code: int | None = None
    reason: str | None = None
    at: float
