"""Stored Amazon ECS resources, and the table of a task's states."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Literal

from ecsnet.model.base import Record, Tags
from ecsnet.model.capacity import NetworkBinding, PlacementConstraint, PlacementStrategy, Reservation


class StrategyItem(Record, frozen=True, kw_only=True, gc=False):
    """One item of a capacity provider strategy."""

    provider: str
    weight: int = 0
    base: int = 0


class Cluster(Record, frozen=True, kw_only=True, gc=False):
    arn: str
    account: str
    region: str
    name: str
    status: Literal["ACTIVE", "PROVISIONING", "DEPROVISIONING", "FAILED", "INACTIVE"] = "ACTIVE"
    settings: tuple[tuple[str, str], ...] = ()
    capacity_providers: tuple[str, ...] = ()
    default_strategy: tuple[StrategyItem, ...] = ()
    configuration: str = "{}"
    """JSON text of the ClusterConfiguration."""
    service_connect_namespace: str | None = None
    tags: Tags = ()


class PortMapping(Record, frozen=True, kw_only=True, gc=False):
    container_port: int
    host_port: int
    protocol: Literal["tcp", "udp"] = "tcp"
    name: str | None = None
    app_protocol: str | None = None
    length: int = 1
    """More than 1 for a containerPortRange, which begins at `container_port`."""
    ranged: bool = False


class ContainerHealthCheck(Record, frozen=True, kw_only=True, gc=False):
    """ECS API, HealthCheck. Times are seconds."""

    command: tuple[str, ...]
    """CMD and arguments, or CMD-SHELL and a line for the container's shell."""
    interval: int = 30
    timeout: int = 5
    retries: int = 3
    start_period: int = 0


class RestartPolicy(Record, frozen=True, kw_only=True, gc=False):
    """An enabled restartPolicy: a container that ends is started again in its task."""

    ignored_codes: tuple[int, ...] = ()
    """Exit codes after which it is not."""
    period: int = 300
    """Seconds that it must have run since its last start (`restartAttemptPeriod`)."""


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
    health_check: ContainerHealthCheck | None = None
    restart: RestartPolicy | None = None
    links: tuple[tuple[str, str], ...] = ()
    """((container, alias), …); the container starts after those that it links to."""
    depends_on: tuple[tuple[str, str], ...] = ()
    """((container, START | COMPLETE | SUCCESS | HEALTHY), …)."""


class TaskFamily(Record, frozen=True, kw_only=True, gc=False):
    """The last revision number of a family; numbers are never used again, even after DeleteTaskDefinitions."""

    account: str
    region: str
    name: str
    last_number: int


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
    delete_requested: float | None = None
    tags: Tags = ()


class AwsvpcConfiguration(Record, frozen=True, kw_only=True, gc=False):
    subnets: tuple[str, ...]
    groups: tuple[str, ...] = ()
    assign_public_ip: bool = False


class ServiceLoadBalancer(Record, frozen=True, kw_only=True, gc=False):
    target_group: str
    container: str
    port: int


class CircuitBreaker(Record, frozen=True, kw_only=True, gc=False):
    """deploymentCircuitBreaker. `threshold` is counted in failed tasks; see `kind`."""

    enable: bool = False
    rollback: bool = False
    reset_on_healthy: bool = True
    kind: Literal["BOUNDED_PERCENT", "UNBOUNDED_PERCENT", "COUNT"] = "BOUNDED_PERCENT"
    value: int = 50


class Deployment(Record, frozen=True, kw_only=True, gc=False):
    id: str
    status: Literal["PRIMARY", "ACTIVE", "INACTIVE"]
    task_definition: str
    desired: int
    awsvpc: AwsvpcConfiguration | None
    launch_type: str | None
    platform_version: str | None
    capacity_strategy: tuple[StrategyItem, ...] = ()
    load_balancers: tuple[ServiceLoadBalancer, ...] = ()
    constraints: tuple[PlacementConstraint, ...] = ()
    strategies: tuple[PlacementStrategy, ...] = ()
    rollout: Literal["IN_PROGRESS", "COMPLETED", "FAILED"] = "IN_PROGRESS"
    rollout_reason: str = ""
    failed_tasks: int = 0
    was_completed: bool = False
    """Whether the deployment ever completed, so that a failing successor may roll back to it."""
    created: float
    updated: float


class TaskSet(Record, frozen=True, kw_only=True, gc=False):
    """A part of a service whose deployments somebody else controls (ECS API, TaskSet; controller EXTERNAL)."""

    arn: str
    deployment: Deployment
    """What its tasks run; its id is that of the task set, its desired count the computed one."""
    status: Literal["PRIMARY", "ACTIVE", "DRAINING"] = "ACTIVE"
    scale: float = 0.0
    """Percent of the service's desired count."""
    external_id: str | None = None
    client_token: str | None = None
    steady: bool = False
    """stabilityStatus: exactly the computed count runs and is healthy, and nothing is on its way."""
    steady_since: float
    """stabilityStatusAt."""
    tags: Tags = ()


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
    controller: Literal["ECS", "EXTERNAL"] = "ECS"
    """The deployment controller."""
    deployments: tuple[Deployment, ...]
    """PRIMARY first; empty with the controller EXTERNAL."""
    task_sets: tuple[TaskSet, ...] = ()
    """With the controller EXTERNAL: in order of creation."""
    load_balancers: tuple[ServiceLoadBalancer, ...] = ()
    minimum_healthy_percent: int = 100
    maximum_percent: int = 200
    circuit_breaker: CircuitBreaker | None = None
    health_check_grace_seconds: int | None = None
    steady: bool = False
    """Whether the steady state was announced since it was last left."""
    failed_starts: int = 0
    """Tasks in a row that stopped without having run; starts are throttled by it."""
    last_failed_start: float | None = None
    unplaced: bool = False
    """Whether a task could not be placed when the scheduler last tried; it tries again when an instance changes."""
    events: tuple[ServiceEvent, ...] = ()
    """The newest first, at most 100."""
    body: str
    """JSON text of the remaining members as given (tags propagation, role, registries …)."""
    created: float
    created_by: str = ""
    client_token: str | None = None
    inactive_since: float | None = None
    tags: Tags = ()


def all_deployments(service: Service) -> tuple[Deployment, ...]:
    """What tasks of a service may belong to: its deployments, or those of its task sets."""
    return (*service.deployments, *(one.deployment for one in service.task_sets))


def primary_deployment(service: Service) -> Deployment | None:
    """The deployment that is PRIMARY, or that of the PRIMARY task set; None where no task set is."""
    if service.controller == "ECS":
        return service.deployments[0]
    return next((one.deployment for one in service.task_sets if one.status == "PRIMARY"), None)


class TaskStatus(enum.Enum):
    """lastStatus of a task, in the order in which a task passes through them."""

    PROVISIONING = "PROVISIONING"
    PENDING = "PENDING"
    ACTIVATING = "ACTIVATING"
    RUNNING = "RUNNING"
    DEACTIVATING = "DEACTIVATING"
    STOPPING = "STOPPING"
    DEPROVISIONING = "DEPROVISIONING"
    STOPPED = "STOPPED"


TASK_TRANSITIONS: Mapping[TaskStatus, Mapping[TaskStatus, str]] = {
    TaskStatus.PROVISIONING: {
        TaskStatus.PENDING: "the network interface was observed, or an instance was found for a task without one",
        TaskStatus.STOPPING: "stop asked for",
        TaskStatus.DEPROVISIONING: "the interface could not be made, or no instance was found",
    },
    TaskStatus.PENDING: {
        TaskStatus.ACTIVATING: "a container was observed starting",
        TaskStatus.STOPPING: "stop asked for, or a container failed to start",
    },
    TaskStatus.ACTIVATING: {
        TaskStatus.RUNNING: "every container has run and the essential ones were observed running",
        TaskStatus.DEACTIVATING: "stop asked for, or a container failed to start",
    },
    TaskStatus.RUNNING: {
        TaskStatus.DEACTIVATING: "stop asked for, or an essential container was observed stopped",
    },
    TaskStatus.DEACTIVATING: {
        TaskStatus.STOPPING: "no target of the task is left (deregistration delay over)",
    },
    TaskStatus.STOPPING: {
        TaskStatus.DEPROVISIONING: "every container was observed stopped",
    },
    TaskStatus.DEPROVISIONING: {
        TaskStatus.STOPPED: "the network interface is gone",
    },
    TaskStatus.STOPPED: {},
}
"""The task lifecycle (ECS Developer Guide, "Amazon ECS task lifecycle"): from → to → what must have been observed.
"""


class Registration(Record, frozen=True, kw_only=True, gc=False):
    """A target that the task was registered as, in `target_group`: its own address, or its instance."""

    target_group: str
    id: str
    """The task's address, or the id of its EC2 instance."""
    port: int
    """The container port, or the host port that leads to it."""


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


class Placement(Record, frozen=True, kw_only=True, gc=False):
    """What decides where a waiting task may be placed."""

    awsvpc: AwsvpcConfiguration | None = None
    constraints: tuple[PlacementConstraint, ...] = ()
    strategies: tuple[PlacementStrategy, ...] = ()
    interface_tags: Tags = ()


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
    launch_type: Literal["FARGATE", "EC2", "EXTERNAL"] = "FARGATE"
    network_mode: Literal["bridge", "host", "awsvpc", "none"] = "awsvpc"
    container_instance: str | None = None
    """ARN of the container instance it was placed on; None on Fargate, and while it waits for one."""
    instance: str | None = None
    """Id of the EC2 (or managed) instance behind `container_instance`: whose network stack it uses in bridge and host
    mode."""
    reserved: Reservation = Reservation()
    """What it takes of its container instance until it is STOPPED."""
    bindings: tuple[NetworkBinding, ...] = ()
    """Host ports in bridge and host mode; DescribeTasks shows those of a container once it was seen running."""
    addresses: tuple[tuple[str, IPv4Address], ...] = ()
    """((container, its address), …) in bridge mode; known to its own instance only."""
    secret: str = ""
    """From which the ids of its metadata and credentials follow, so that nobody can guess them."""
    wanted: Placement | None = None
    """How to place it, while it waits for an instance of its capacity provider."""
    protected_until: float | None = None
    """Until when scale-in and deployments leave it alone (UpdateTaskProtection)."""
    capacity_provider: str | None = None
    platform_version: str | None = None
    last_status: TaskStatus
    desired_status: Literal["RUNNING", "STOPPED"]
    containers: tuple[Container, ...]
    attachment: str | None = None
    """Id of the ELASTIC_NETWORK_INTERFACE attachment."""
    attach_at: float | None = None
    """Until when a fault keeps its interface from being attached (epoch seconds)."""
    attachment_status: str | None = None
    interface: str | None = None
    """Its ENI; kept after the ENI is gone, as DescribeTasks does."""
    subnet: str | None = None
    mac: str | None = None
    private_ip: IPv4Address | None = None
    ipv6_ip: IPv6Address | None = None
    private_dns_name: str | None = None
    az: str | None = None
    registrations: tuple[Registration, ...] = ()
    """Targets registered when it became RUNNING; what is deregistered while DEACTIVATING."""
    overrides: str = "{}"
    """JSON text of the TaskOverride as DescribeTasks answers it."""
    started_by: str | None = None
    client_token: str | None = None
    execute_command: bool = False
    """enableExecuteCommand as given."""
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
    health: Literal["HEALTHY", "UNHEALTHY", "UNKNOWN"] | None = None
    """The last result of its health check; None where none is run."""
    restarts: tuple[tuple[float, int], ...] = ()
    """How often its restart policy started it again: ((beginning of an agent's life, times that it did so), …)."""
    at: float


class ExecuteSession(Record, frozen=True, kw_only=True, gc=False):
    """A session that ExecuteCommand has promised (until `expires`), or that somebody has opened."""

    id: str
    account: str
    region: str
    task: str
    container: str
    command: str
    token: str
    """SHA-256 of the token, in hex: who reads the store cannot open the session."""
    expires: float
    """Until when it can be opened (epoch seconds)."""
    open: bool = False


class AccountSetting(Record, frozen=True, kw_only=True, gc=False):
    """A value given by PutAccountSetting or PutAccountSettingDefault (`principal` None)."""

    account: str
    region: str
    name: str
    value: str
    principal: str | None = None


def holds_interface(task: Task) -> bool:
    """Whether the plan contains the task's port: from PROVISIONING until the ENI is given back.

    True in every state before DEPROVISIONING, provided that an ENI was allocated and no fault holds it back. The ENI
    row goes in the same commit in which this becomes False.
    """
    return is_attachable(task) and task.last_status not in (TaskStatus.DEPROVISIONING, TaskStatus.STOPPED)


def is_attachable(task: Task) -> bool:
    return task.interface is not None and task.attach_at is None


def holds_processes(task: Task) -> bool:
    """Whether the plan contains the task's workloads: PROVISIONING to DEACTIVATING, once it has its place.

    Workloads are planned together with the port (they wait for its publication by themselves), so that start-up costs
    one round trip. They stay while targets drain (DEACTIVATING) and leave the plan when the task is STOPPING; the
    agent then ends the processes and reports them stopped. A task that is to stop before it ran leaves the plan at
    once.
    """
    match task.last_status:
        case TaskStatus.PROVISIONING | TaskStatus.PENDING:
            return task.desired_status == "RUNNING" and has_place(task)
        case TaskStatus.ACTIVATING | TaskStatus.RUNNING | TaskStatus.DEACTIVATING:
            return True
        case TaskStatus.STOPPING | TaskStatus.DEPROVISIONING | TaskStatus.STOPPED:
            return False


def holds_stacks(task: Task) -> bool:
    """Whether the plan contains network stacks of the task's single containers (bridge and none mode).

    They go when every process was seen stopped, as the interface of an awsvpc task does.
    """
    return (
        task.network_mode in ("bridge", "none")
        and task.instance is not None
        and task.last_status not in (TaskStatus.DEPROVISIONING, TaskStatus.STOPPED)
    )


def has_place(task: Task) -> bool:
    """Whether it is decided where the task's processes run: in its own interface's network stack, or on its instance.

    In bridge, host and none mode the stack is (a part of) the one of `task.instance`.
    """
    if task.network_mode == "awsvpc":
        return is_attachable(task)
    return task.container_instance is not None


def holds_resources(task: Task) -> bool:
    """Whether the task counts on its container instance: from its placement until it is STOPPED."""
    return task.container_instance is not None and task.last_status is not TaskStatus.STOPPED


def may_start(task: Task, definition: TaskDefinition, container: str) -> bool:
    """Whether every `dependsOn` condition of a container holds, so that its workload may be planned.

    A container that was seen once stays planned whatever becomes of its dependencies.
    """
    states = {one.name: one for one in task.containers}
    if states[container].last_status != "PENDING":
        return True
    own = next(one for one in definition.containers if one.name == container)
    wanted = (*own.depends_on, *((name, "START") for name, _ in own.links))
    return all(_condition_holds(states[name], condition) for name, condition in wanted)


def _condition_holds(container: Container, condition: str) -> bool:
    match condition:
        case "START":
            return container.last_status != "PENDING"
        case "COMPLETE":
            return container.last_status == "STOPPED"
        case "SUCCESS":
            return container.last_status == "STOPPED" and container.exit_code == 0
        case "HEALTHY":
            return container.last_status == "RUNNING" and container.health == "HEALTHY"
    raise ValueError(f"unknown dependsOn condition {condition!r}")


def container_token(task: Task, container: str) -> str:
    """The id of a container in its metadata URIs (`/v4/<token>`): 32 hex digits, the same after every restart."""
    return hashlib.sha256(f"{task.secret}/{task.arn}/{container}".encode()).hexdigest()[:32]


def container_id(task: str, container: str) -> str:
    """What docker would call a container of a task (an ARN): 64 hex digits. No secret."""
    return hashlib.sha256(f"{task}/{container}".encode()).hexdigest()
