"""The life of a task, moved by what a fake agent reports."""

from __future__ import annotations

from ecs_harness import Cloud


def test_runs_and_stops(cloud: Cloud) -> None:
    cloud.definition()
    arn = cloud.run_task()
    new = cloud.task(arn)
    assert (new["lastStatus"], new["desiredStatus"]) == ("PROVISIONING", "RUNNING")
    assert new["attachments"][0]["status"] == "ATTACHING"

    cloud.settle()
    running = cloud.task(arn)
    assert running["lastStatus"] == "RUNNING"
    assert running["connectivity"] == "CONNECTED"
    assert running["attachments"][0]["status"] == "ATTACHED"
    assert running["containers"][0]["lastStatus"] == "RUNNING"
    assert len(cloud.enis()) == 1

    cloud.ecs("StopTask", task=arn, reason="enough")
    assert cloud.task(arn)["lastStatus"] == "RUNNING"
    cloud.settle()
    stopped = cloud.task(arn)
    assert stopped["lastStatus"] == "STOPPED"
    assert (stopped["stopCode"], stopped["stoppedReason"]) == ("UserInitiated", "enough")
    assert stopped["attachments"][0]["status"] == "DELETED"
    assert stopped["containers"][0]["exitCode"] == 143
    assert cloud.enis() == []


def test_nothing_is_claimed_that_the_agent_did_not_see(cloud: Cloud) -> None:
    cloud.definition()
    cloud.agent_away = True
    arn = cloud.run_task()
    cloud.settle()
    assert cloud.task(arn)["lastStatus"] == "PROVISIONING"
    assert "connectivity" not in cloud.task(arn)


def test_a_stopping_task_keeps_its_interface_until_its_processes_are_seen_stopped(cloud: Cloud) -> None:
    cloud.definition()
    arn = cloud.run_task()
    cloud.settle()
    cloud.agent_away = True
    cloud.ecs("StopTask", task=arn)
    cloud.settle()
    assert cloud.task(arn)["lastStatus"] == "STOPPING"
    assert len(cloud.enis()) == 1
    cloud.saw(arn, "app", "stopped", exit_code=137)
    cloud.settle()
    assert cloud.task(arn)["lastStatus"] == "STOPPED"
    assert cloud.enis() == []
