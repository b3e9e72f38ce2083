"""Containers that vanished while nobody told."""

from __future__ import annotations

from ecs_harness import Cloud
from ecsnet.controllers.absent import forget_absent


def test_a_stopping_task_goes_on_when_its_container_is_no_longer_there(cloud: Cloud) -> None:
    cloud.definition()
    stopping, running = cloud.run_task(), cloud.run_task()
    cloud.settle()
    cloud.agent_away = True
    cloud.ecs("StopTask", task=stopping)
    cloud.settle()

    with cloud.store.transaction() as tx:
        forget_absent(cloud.call(tx), {f"{stopping}/app"})
    cloud.settle()
    assert cloud.task(stopping)["lastStatus"] == "STOPPING"

    with cloud.store.transaction() as tx:
        forget_absent(cloud.call(tx), set())
    cloud.settle()
    assert cloud.task(stopping)["lastStatus"] == "STOPPED"
    assert cloud.task(running)["lastStatus"] == "RUNNING"
    assert len(cloud.enis()) == 1
