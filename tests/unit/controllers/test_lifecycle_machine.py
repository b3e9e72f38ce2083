"""Random lives of tasks and services: whatever happens in whatever order, nothing leaks and all comes to rest."""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ecs_harness import Cloud
from ecsnet.controllers.loop import Controllers
from ecsnet.model.capacity import Reservation, added
from ecsnet.model.ecs import TASK_TRANSITIONS, TaskStatus, holds_interface, holds_resources
from ecsnet.model.tables import CONTAINER_INSTANCES, INTERFACES, SCHEMA, SERVICES, TARGETS, TASKS
from ecsnet.services.call import AwsError
from ecsnet.store.store import Store


def _reachable() -> dict[TaskStatus, set[TaskStatus]]:
    found = {status: {status, *TASK_TRANSITIONS[status]} for status in TaskStatus}
    for _ in TaskStatus:
        for status in TaskStatus:
            found[status] = set().union(*(found[other] for other in found[status]))
    return found


REACHABLE = _reachable()
SERVICE = "arn:aws:ecs:us-east-1:111122223333:service/default/web"


class Lifecycle(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name) / "store.journal"
        self.cloud = Cloud(store=Store(self.path, SCHEMA))
        self.last: dict[str, TaskStatus] = {}

    def teardown(self) -> None:
        self.cloud.store.close()
        self.directory.cleanup()

    @initialize(
        balanced=st.booleans(),
        mode=st.sampled_from(["fargate", "bridge", "awsvpc"]),
        percent=st.sampled_from([(100, 200), (0, 100), (50, 200)]),
    )
    def begin(self, balanced: bool, mode: str, percent: tuple[int, int]) -> None:
        cloud = self.cloud
        cloud.ecs("CreateCluster")
        self.mode = mode
        if mode != "fargate":
            self.instances = [cloud.container_instance(number % 2, interfaces=9) for number in range(2)]
        self.define("web:1")
        self.request: dict[str, Any] = {
            "serviceName": "web",
            "taskDefinition": "web",
            "launchType": "FARGATE" if mode == "fargate" else "EC2",
            "networkConfiguration": None if mode == "bridge" else cloud.network(),
            "deploymentConfiguration": {"minimumHealthyPercent": percent[0], "maximumPercent": percent[1]},
        }
        if balanced:
            group = cloud.balancer("web", delay=20, type="instance" if mode == "bridge" else "ip")
            self.request["loadBalancers"] = [{"targetGroupArn": group, "containerName": "app", "containerPort": 80}]
        self.create(2)

    def define(self, image: str) -> None:
        if self.mode == "fargate":
            self.cloud.definition(image=image)
        else:
            self.cloud.modal_definition(self.mode, image=image, portMappings=[{"containerPort": 80}])

    def service(self) -> Any:
        return self.cloud.store.snapshot.get(SERVICES, SERVICE)

    def create(self, desired: int) -> None:
        self.cloud.ecs("CreateService", **self.request, desiredCount=desired)

    @rule(desired=st.integers(0, 4))
    def scale(self, desired: int) -> None:
        if self.service() is not None and self.service().status == "ACTIVE":
            self.cloud.ecs("UpdateService", service="web", desiredCount=desired)

    @rule(broken=st.booleans())
    def redeploy(self, broken: bool) -> None:
        image = "broken" if broken else "web:1"
        self.cloud.broken_images = {"broken"}
        self.define(image)
        if self.service() is not None and self.service().status == "ACTIVE":
            self.cloud.ecs("UpdateService", service="web", taskDefinition="web")

    @rule()
    def delete(self) -> None:
        if self.service() is not None and self.service().status == "ACTIVE":
            self.cloud.ecs("DeleteService", service="web", force=True)

    @rule()
    def create_again(self) -> None:
        if self.service() is None or self.service().status == "INACTIVE":
            self.create(1)

    @rule()
    def run_task(self) -> None:
        given = {name: self.request[name] for name in ("launchType", "networkConfiguration")}
        with contextlib.suppress(AwsError):  # every instance drains
            self.cloud.ecs("RunTask", taskDefinition="web:1", **given)

    @precondition(lambda self: self.mode != "fargate")
    @rule(choice=st.integers(0, 1), status=st.sampled_from(["ACTIVE", "DRAINING"]))
    def drain(self, choice: int, status: str) -> None:
        arn = self.instances[choice]
        self.cloud.ecs("UpdateContainerInstancesState", containerInstances=[arn], status=status)

    def _tasks(self) -> list[Any]:
        return sorted(self.cloud.store.snapshot.rows(TASKS), key=lambda task: task.arn)

    @rule(choice=st.integers(0, 20))
    def stop_task(self, choice: int) -> None:
        tasks = self._tasks()
        if tasks:
            self.cloud.ecs("StopTask", task=tasks[choice % len(tasks)].arn)

    @rule(choice=st.integers(0, 20), code=st.integers(0, 1))
    def container_exits(self, choice: int, code: int) -> None:
        alive = [task for task in self._tasks() if task.containers[0].last_status == "RUNNING"]
        if alive:
            self.cloud.saw(alive[choice % len(alive)].arn, "app", "stopped", exit_code=code)

    @rule(choice=st.integers(0, 20), state=st.sampled_from(["healthy", "healthy", "unhealthy"]))
    def probe(self, choice: int, state: str) -> None:
        registered = sorted({target.id for target in self.cloud.store.snapshot.rows(TARGETS)})
        if registered:
            self.cloud.probe(registered[choice % len(registered)], state)

    @rule()
    def look(self) -> None:
        self.cloud.look()

    @rule()
    def step(self) -> None:
        self.cloud.step()

    @rule(seconds=st.sampled_from([1.0, 45.0, 200.0, 4000.0]))
    def pass_time(self, seconds: float) -> None:
        self.cloud.now += seconds

    @rule()
    def restart(self) -> None:
        """The control process dies and comes back with nothing but its database."""
        self.cloud.store.close()
        self.cloud.store = Store(self.path, SCHEMA)
        self.cloud.controllers = Controllers(self.cloud.store, self.cloud._open_call)

    @precondition(lambda self: self.service() is not None)
    @rule()
    def comes_to_rest(self) -> None:
        """With a working image and healthy targets the service reaches what it wants."""
        cloud = self.cloud
        cloud.broken_images = set()
        if self.mode != "fargate":
            for task in self._tasks():
                if task.service is None:
                    cloud.ecs("StopTask", task=task.arn)
            cloud.ecs("UpdateContainerInstancesState", containerInstances=self.instances, status="ACTIVE")
        for _ in range(12):
            cloud.settle()
            for target in {target.id for target in cloud.store.snapshot.rows(TARGETS)}:
                cloud.probe(target, "healthy")
            cloud.settle()
            cloud.now += 100.0
        service = self.service()
        if service is None:
            return
        live = [task for task in self._tasks() if task.service == SERVICE and task.desired_status == "RUNNING"]
        match service.status:
            case "ACTIVE":
                assert len(live) == service.desired
                assert all(task.last_status is TaskStatus.RUNNING for task in live)
                assert [one.rollout for one in service.deployments] == ["COMPLETED"]
                assert service.steady
            case "INACTIVE":
                assert live == []
            case "DRAINING":
                raise AssertionError("a service drains for ever")

    @invariant()
    def instances_hold_what_their_tasks_take(self) -> None:
        snapshot = self.cloud.store.snapshot
        for row in snapshot.rows(CONTAINER_INSTANCES):
            total = Reservation()
            for task in snapshot.rows(TASKS):
                if task.container_instance == row.arn and holds_resources(task):
                    total = added(total, task.reserved)
            assert row.used == total
            assert row.used.enis <= row.task_enis
            assert len(set(row.used.dynamic)) == len(row.used.dynamic)

    @invariant()
    def no_address_is_given_twice(self) -> None:
        counts = Counter(eni.private_ip for eni in self.cloud.store.snapshot.rows(INTERFACES))
        assert [address for address, count in counts.items() if count > 1] == []

    @invariant()
    def interfaces_and_tasks_belong_together(self) -> None:
        snapshot = self.cloud.store.snapshot
        for task in snapshot.rows(TASKS):
            present = task.interface is not None and snapshot.get(INTERFACES, task.interface) is not None
            assert present == holds_interface(task)
        for eni in self.cloud.enis():
            attachment = snapshot.get(INTERFACES, eni).attachment  # type: ignore[union-attr]
            assert attachment is not None
            assert snapshot.get(TASKS, attachment.owner) is not None

    @invariant()
    def states_follow_the_table(self) -> None:
        now = {task.arn: task.last_status for task in self.cloud.store.snapshot.rows(TASKS)}
        for arn, status in now.items():
            assert status in REACHABLE[self.last.get(arn, TaskStatus.PROVISIONING)]
        self.last = now

    @invariant()
    def targets_belong_to_tasks_in_service(self) -> None:
        snapshot = self.cloud.store.snapshot
        owners = {
            (one.id, one.port): task
            for task in snapshot.rows(TASKS)
            if task.last_status in (TaskStatus.ACTIVATING, TaskStatus.RUNNING)
            for one in task.registrations
        }
        for target in snapshot.rows(TARGETS):
            if target.draining_since is None:
                assert owners[(target.id, target.port)].last_status in (TaskStatus.ACTIVATING, TaskStatus.RUNNING)


Lifecycle.TestCase.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestLifecycle = Lifecycle.TestCase
