"""What control makes of what a newly connected agent tells."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ecs_harness import Cloud
from ecsnet.control.observations import Observations
from ecsnet.hostplan.messages import Applied, ContainerSeen
from ecsnet.model.tables import OBSERVED_CONTAINERS, container_key
from ecsnet.services.call import Call


def observations(cloud: Cloud) -> Observations:
    @contextlib.contextmanager
    def open_call(account: str, region: str) -> Iterator[Call]:
        with cloud.store.transaction() as tx:
            yield cloud.call(tx)

    return Observations(open_call, lambda item: None)


def stopping_task(cloud: Cloud) -> str:
    cloud.definition()
    arn = cloud.run_task()
    cloud.settle()
    cloud.agent_away = True
    cloud.ecs("StopTask", task=arn)
    cloud.settle()
    assert cloud.task(arn)["lastStatus"] == "STOPPING"
    return arn


def test_a_container_that_a_new_agent_does_not_hold_is_gone(cloud: Cloud) -> None:
    arn = stopping_task(cloud)
    seen = observations(cloud)
    seen.connected()
    assert cloud.task(arn)["lastStatus"] == "STOPPING"
    seen.applied(Applied(revision=1), {})
    cloud.settle()
    assert cloud.task(arn)["lastStatus"] == "STOPPED"


def test_a_container_that_it_holds_is_waited_for(cloud: Cloud) -> None:
    arn = stopping_task(cloud)
    seen = observations(cloud)
    key = f"workload:{arn}/app"
    seen.connected()
    seen.container(ContainerSeen(key=key, state="running", runtime="stand-in", runtime_id="7", at=cloud.now))
    seen.applied(Applied(revision=1), {})
    cloud.settle()
    assert cloud.task(arn)["lastStatus"] == "STOPPING"
    seen.applied(Applied(revision=2), {})
    cloud.settle()
    assert cloud.task(arn)["lastStatus"] == "STOPPING"
    seen.container(
        ContainerSeen(key=key, state="stopped", runtime="stand-in", runtime_id="7", exit_code=143, at=cloud.now)
    )
    cloud.settle()
    assert cloud.task(arn)["containers"][0]["exitCode"] == 143
    assert cloud.task(arn)["lastStatus"] == "STOPPED"


def test_restarts_that_several_agents_have_seen_are_added_up(cloud: Cloud) -> None:
    cloud.definition()
    arn = cloud.run_task()
    cloud.settle()
    seen = observations(cloud)

    def counted(restarts: int, since: float) -> int:
        seen.container(
            ContainerSeen(
                key=f"workload:{arn}/app",
                state="running",
                runtime="stand-in",
                runtime_id="7",
                restarts=restarts,
                counted_from=since,
                at=cloud.now,
            )
        )
        row = cloud.store.snapshot.get(OBSERVED_CONTAINERS, container_key(arn, "app"))
        assert row is not None
        return sum(times for _, times in row.restarts)

    assert counted(0, 10.0) == 0
    assert [counted(1, 10.0), counted(2, 10.0), counted(2, 10.0)] == [1, 2, 2]
    assert [counted(0, 20.0), counted(1, 20.0)] == [2, 3], "the next agent begins at nought"
    assert counted(2, 10.0) == 3, "what is told late counts once"
