"""Tasks of several containers: essential ones, dependencies, exits."""

from __future__ import annotations

from typing import Any

from ecs_harness import Cloud

APP = {"name": "app", "image": "web:1"}
INIT = {"name": "init", "image": "init:1", "essential": False}


def run(cloud: Cloud, *containers: dict[str, Any]) -> str:
    cloud.definition(containerDefinitions=list(containers))
    return cloud.run_task()


def test_a_side_container_may_end(cloud: Cloud) -> None:
    arn = run(cloud, APP, INIT)
    cloud.settle()
    cloud.saw(arn, "init", "stopped", exit_code=3)
    cloud.settle()
    shown = cloud.task(arn)
    assert shown["lastStatus"] == "RUNNING"
    assert {one["name"]: one["lastStatus"] for one in shown["containers"]} == {"app": "RUNNING", "init": "STOPPED"}
    cloud.saw(arn, "app", "stopped", exit_code=0)
    cloud.settle()
    assert cloud.task(arn)["stoppedReason"] == "Essential container in task exited"


def test_waits_for_what_it_depends_on(cloud: Cloud) -> None:
    arn = run(cloud, APP | {"dependsOn": [{"containerName": "init", "condition": "SUCCESS"}]}, INIT)
    cloud.settle()
    shown = cloud.task(arn)
    assert shown["lastStatus"] == "ACTIVATING"
    assert {one["name"]: one["lastStatus"] for one in shown["containers"]} == {"app": "PENDING", "init": "RUNNING"}
    cloud.saw(arn, "init", "stopped", exit_code=0)
    cloud.settle()
    assert cloud.task(arn)["lastStatus"] == "RUNNING"


def test_a_dependency_that_fails_fails_the_task(cloud: Cloud) -> None:
    arn = run(cloud, APP | {"dependsOn": [{"containerName": "init", "condition": "SUCCESS"}]}, INIT)
    cloud.settle()
    cloud.saw(arn, "init", "stopped", exit_code=1)
    cloud.settle()
    shown = cloud.task(arn)
    assert shown["lastStatus"] == "STOPPED"
    assert (shown["stopCode"], shown["stoppedReason"]) == ("TaskFailedToStart", "Task failed to start")
    assert cloud.enis() == []


def test_an_interface_that_never_comes_up_times_out(cloud: Cloud) -> None:
    cloud.definition()
    cloud.agent_away = True
    arn = cloud.run_task()
    cloud.wait(179)
    assert cloud.task(arn)["lastStatus"] == "PROVISIONING"
    cloud.wait(2)
    shown = cloud.task(arn)
    assert shown["lastStatus"] == "STOPPED"
    assert shown["stoppedReason"] == "Timeout waiting for network interface provisioning to complete."
    assert cloud.enis() == []
