"""ECS without a machine: an in-memory store, the controllers on a clock that the test moves, and a fake agent.

The fake agent is the only thing here that claims to have seen something. It sees what the plan asks for (the same
predicates that the compiler uses), unless a test tells it that an image cannot be pulled or that it is away.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ecsnet.controllers.loop import Controllers
from ecsnet.model.capacity import ContainerInstance
from ecsnet.model.ec2 import Attachment, Instance, ObservedInstance, ObservedInterface, holds_stack
from ecsnet.model.ecs import ObservedContainer, Task, holds_interface, holds_processes, may_start
from ecsnet.model.elbv2 import ObservedLoadBalancer, TargetHealth
from ecsnet.model.tables import (
    CLUSTERS,
    CONTAINER_INSTANCES,
    INSTANCES,
    INTERFACES,
    LOAD_BALANCERS,
    OBSERVED_CONTAINERS,
    OBSERVED_INSTANCES,
    OBSERVED_INTERFACES,
    OBSERVED_LOAD_BALANCERS,
    SCHEMA,
    SUBNETS,
    TARGET_HEALTH,
    TARGETS,
    TASK_DEFINITIONS,
    TASKS,
    container_key,
)
from ecsnet.services import autoscaling, ec2, ecs, elbv2
from ecsnet.services.call import AwsError, Call, Settings
from ecsnet.services.ec2 import ops as ec2_ops
from ecsnet.services.ecs import ops as ecs_ops
from ecsnet.store.store import Store, Transaction
from in_memory import CountingIds, plain

START = 1_700_000_000.0


@dataclass
class Cloud:
    """One account in one region."""

    store: Store = field(default_factory=lambda: Store(None, SCHEMA))
    account: str = "111122223333"
    region: str = "us-east-1"
    now: float = START
    settings: Settings = field(default_factory=Settings)
    ids: CountingIds = field(default_factory=CountingIds)
    broken_images: set[str] = field(default_factory=set)
    agent_away: bool = False

    def __post_init__(self) -> None:
        self.controllers = Controllers(self.store, self._open_call)
        with self.store.transaction() as tx:
            ec2_ops.seed_account(self.call(tx))
        self.subnets = sorted(s["SubnetId"] for s in self.ec2("DescribeSubnets")["Subnets"])

    @contextlib.contextmanager
    def _open_call(self) -> Iterator[Call]:
        with self.store.transaction() as tx:
            yield self.call(tx)

    def call(self, tx: Transaction) -> Call:
        return Call(tx=tx, account=self.account, region=self.region, now=self.now, ids=self.ids, settings=self.settings)

    def _api(self, service: Any, operation: str, request: Mapping[str, Any]) -> Any:
        run = next(one.run for one in service.OPERATIONS if one.name == operation)
        with self.store.transaction() as tx:
            return plain(run(self.call(tx), request))

    def ecs(self, operation: str, **request: Any) -> Any:
        return self._api(ecs, operation, request)

    def ec2(self, operation: str, **request: Any) -> Any:
        return self._api(ec2, operation, request)

    def elbv2(self, operation: str, **request: Any) -> Any:
        return self._api(elbv2, operation, request)

    def autoscaling(self, operation: str, **request: Any) -> Any:
        return self._api(autoscaling, operation, request)

    def error(self, operation: str, **request: Any) -> tuple[str, str]:
        """(code, message) of an ECS call that must fail."""
        try:
            self.ecs(operation, **request)
        except AwsError as error:
            return error.code, error.message
        raise AssertionError(f"{operation} did not fail")

    # ── time and machine ─────────────────────────────────────────────────────────────────────────────────────────

    def step(self) -> float | None:
        """Let the controllers run on what changed and on what is due now."""
        return self.controllers.run_once(self.now)

    def settle(self) -> float | None:
        """Controllers and agent in turn until nothing changes any more; answers the next due time."""
        for _ in range(200):
            due = self.step()
            revision = self.store.snapshot.revision
            if not self.agent_away:
                self.look()
            if self.store.snapshot.revision == revision and not self.controllers.busy:
                return due
        raise AssertionError("the controllers do not come to rest")

    def wait(self, seconds: float) -> None:
        """Let time pass, stopping wherever a controller is due."""
        end = self.now + seconds
        while True:
            due = self.settle()
            if due is None or due > end:
                break
            self.now = max(due, self.now)
        self.now = end
        self.settle()

    def look(self) -> None:
        """The agent looks once at what the plan asks for and reports what it sees."""
        with self.store.transaction() as tx:
            for instance in list(tx.rows(INSTANCES)):
                if holds_stack(instance):
                    if tx.get(OBSERVED_INSTANCES, instance.id) is not None:
                        continue
                    tx.put(OBSERVED_INSTANCES, ObservedInstance(instance=instance.id, revision=tx.base.revision))
                else:
                    tx.delete(OBSERVED_INSTANCES, instance.id)
            for eni in list(tx.rows(INTERFACES)):
                owner = tx.get(INSTANCES, eni.attachment.owner) if eni.attachment is not None else None
                if owner is not None and not holds_stack(owner):
                    continue
                task = tx.get(TASKS, eni.attachment.owner) if eni.attachment is not None else None
                if task is not None and not holds_interface(task):
                    continue
                if eni.attachment is not None and tx.get(OBSERVED_INTERFACES, eni.id) is None:
                    tx.put(OBSERVED_INTERFACES, ObservedInterface(interface=eni.id, revision=tx.base.revision))
            for balancer in list(tx.rows(LOAD_BALANCERS)):
                tx.put(OBSERVED_LOAD_BALANCERS, ObservedLoadBalancer(load_balancer=balancer.arn, revision=1))
            for task in list(tx.rows(TASKS)):
                self._look_at(tx, task)

    def _look_at(self, tx: Transaction, task: Task) -> None:
        for one in task.containers:
            seen = tx.get(OBSERVED_CONTAINERS, container_key(task.arn, one.name))
            if holds_processes(task):
                assert holds_interface(task) == (task.network_mode == "awsvpc")
                definition = tx.get(TASK_DEFINITIONS, task.task_definition)
                published = not holds_interface(task) or tx.get(OBSERVED_INTERFACES, task.interface or "") is not None
                if seen is None and published and definition is not None and may_start(task, definition, one.name):
                    if one.image in self.broken_images:
                        self._saw(tx, task, one.name, "failed", reason=f"CannotPullContainerError: {one.image}")
                    else:
                        own = next(given for given in definition.containers if given.name == one.name)
                        health = "HEALTHY" if own.health_check is not None else None
                        self._saw(tx, task, one.name, "running", health=health)
            elif seen is not None and seen.state in ("starting", "running"):
                self._saw(tx, task, one.name, "stopped", exit_code=143)

    def _saw(self, tx: Transaction, task: Task, name: str, state: Any, **more: Any) -> None:
        tx.put(
            OBSERVED_CONTAINERS,
            ObservedContainer(
                task=task.arn, container=name, state=state, runtime="stand-in", runtime_id="7", at=self.now, **more
            ),
        )

    def saw(self, task: str, name: str, state: str, **more: Any) -> None:
        """The agent reports a container of a task (an ARN)."""
        with self.store.transaction() as tx:
            row = tx.get(TASKS, task)
            assert row is not None
            self._saw(tx, row, name, state, **more)

    def probe(self, address: str, state: str, **more: Any) -> None:
        """The load balancer's probes find every target with this address healthy or unhealthy."""
        with self.store.transaction() as tx:
            for target in list(tx.rows(TARGETS)):
                if target.id == address:
                    tx.put(
                        TARGET_HEALTH,
                        TargetHealth(
                            target_group=target.target_group,
                            id=target.id,
                            port=target.port,
                            state=state,  # type: ignore[arg-type]
                            changed=self.now,
                            **more,
                        ),
                    )

    # ── what the tests start from ────────────────────────────────────────────────────────────────────────────────

    def definition(self, family: str = "web", *, image: str = "web:1", port: int | None = 80, **more: Any) -> str:
        """Register a Fargate definition of one container; answers its ARN."""
        container: dict[str, Any] = {"name": "app", "image": image}
        if port is not None:
            container["portMappings"] = [{"containerPort": port}]
        request = {
            "family": family,
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "cpu": "256",
            "memory": "512",
            "containerDefinitions": [container],
        } | more
        arn: str = self.ecs("RegisterTaskDefinition", **request)["taskDefinition"]["taskDefinitionArn"]
        return arn

    def modal_definition(self, mode: str, family: str = "web", **container: Any) -> str:
        """Register a definition of one container of 128 CPU units and 256 MiB in a network mode; answers its ARN."""
        definition = {"name": "app", "image": "web:1", "cpu": 128, "memory": 256} | container
        request = {"family": family, "networkMode": mode, "containerDefinitions": [definition]}
        arn: str = self.ecs("RegisterTaskDefinition", **request)["taskDefinition"]["taskDefinitionArn"]
        return arn

    def container_instance(
        self,
        subnet: int = 0,
        *,
        cpu: int = 2048,
        memory: int = 4096,
        type: str = "t3.medium",
        interfaces: int = 3,
        **more: Any,
    ) -> str:
        """An EC2 instance in a subnet whose agent came up; answers the container instance's ARN."""
        with self.store.transaction() as tx:
            call = self.call(tx)
            home = tx.get(SUBNETS, self.subnets[subnet])
            assert home is not None
            id = self.ids.resource("i")
            tx.put(
                INSTANCES,
                Instance(
                    id=id,
                    account=self.account,
                    region=self.region,
                    az=home.az,
                    vpc=home.vpc,
                    subnet=home.id,
                    image="ami-1",
                    type=type,
                    state="running",
                    reservation="r-1",
                    launched=self.now,
                ),
            )
            attachment = Attachment(
                id=self.ids.resource("eni-attach"), owner_kind="instance", owner=id, attached=self.now
            )
            ec2_ops.allocate_interface(
                call,
                subnet=home.id,
                groups=(),
                description="",
                requester_managed=False,
                requester_id=None,
                attachment=attachment,
            )
            where = tx.get(CLUSTERS, f"arn:aws:ecs:{self.region}:{self.account}:cluster/default")
            assert where is not None
            machine = ecs_ops.Machine(
                instance=id,
                cpu=cpu,
                memory=memory,
                type=type,
                image="ami-1",
                az=home.az,
                vpc=home.vpc,
                subnet=home.id,
                interfaces=interfaces,
                **more,
            )
            return ecs_ops.register_instance(call, where, machine, connected=True).arn

    def instance_row(self, arn: str) -> ContainerInstance:
        row = self.store.snapshot.get(CONTAINER_INSTANCES, arn)
        assert row is not None
        return row

    def change(self, verb: Callable[[Call], Any]) -> None:
        """Run a verb of `ops` in a transaction of its own."""
        with self.store.transaction() as tx:
            verb(self.call(tx))

    def balancer(self, name: str = "web", *, delay: int = 300, type: str = "ip") -> str:
        """A target group behind the listener of a load balancer; answers the target group's ARN.

        `delay` is the deregistration delay in seconds, `type` the target type.
        """
        vpc = self.ec2("DescribeVpcs")["Vpcs"][0]["VpcId"]
        group = self.elbv2("CreateTargetGroup", Name=name, Protocol="HTTP", Port=80, VpcId=vpc, TargetType=type)
        arn: str = group["TargetGroups"][0]["TargetGroupArn"]
        self.elbv2(
            "ModifyTargetGroupAttributes",
            TargetGroupArn=arn,
            Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": str(delay)}],
        )
        made = self.elbv2("CreateLoadBalancer", Name=name, Subnets=self.subnets[:2])["LoadBalancers"][0]
        self.elbv2(
            "CreateListener",
            LoadBalancerArn=made["LoadBalancerArn"],
            Protocol="HTTP",
            Port=80,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": arn}],
        )
        return arn

    def network(self, *, subnets: int = 2, **more: Any) -> dict[str, Any]:
        return {"awsvpcConfiguration": {"subnets": self.subnets[:subnets], **more}}

    def run_task(self, **more: Any) -> str:
        """Run one task of family web; answers its ARN."""
        request = {"taskDefinition": "web", "launchType": "FARGATE", "networkConfiguration": self.network()} | more
        arn: str = self.ecs("RunTask", **request)["tasks"][0]["taskArn"]
        return arn

    def task(self, arn: str) -> Any:
        return self.ecs("DescribeTasks", tasks=[arn])["tasks"][0]

    def row(self, arn: str) -> Task:
        task = self.store.snapshot.get(TASKS, arn)
        assert task is not None
        return task

    def enis(self) -> list[str]:
        """Ids of the task interfaces that exist."""
        return sorted(
            eni.id
            for eni in self.store.snapshot.rows(INTERFACES)
            if eni.attachment is not None and eni.attachment.owner_kind == "task"
        )
