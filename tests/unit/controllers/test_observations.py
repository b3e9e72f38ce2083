"""What control makes of what a newly connected agent tells."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ecs_harness import Cloud
from ecsnet.control.observations import Observations
from ecsnet.hostplan.messages import Applied, ContainerSeen
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
