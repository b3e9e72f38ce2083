"""Attachments that come late or never, as a user may ask for, and the states that a task's attachment shows."""

from __future__ import annotations

import pytest

from ecs_harness import Cloud
from ecsnet.control import faults


def attach(cloud: Cloud, what: str, group: str = "") -> None:
    faults.put(cloud.store, {"attach": what, "group": group})


def status(cloud: Cloud, task: str) -> tuple[str, str]:
    found = cloud.task(task)
    return found["lastStatus"], found["attachments"][0]["status"]


def test_a_late_attachment_holds_the_task_up_and_no_longer(cloud: Cloud) -> None:
    attach(cloud, "20")
    cloud.definition()
    task = cloud.run_task()
    cloud.wait(19)
    assert status(cloud, task) == ("PROVISIONING", "ATTACHING")
    eni = cloud.row(task).interface
    (shown,) = cloud.ec2("DescribeNetworkInterfaces", NetworkInterfaceIds=[eni])["NetworkInterfaces"]
    assert shown["Attachment"]["Status"] == "attaching"
    cloud.wait(1)
    assert status(cloud, task) == ("RUNNING", "ATTACHED")


def test_an_attachment_that_never_comes_ends_in_the_words_of_ecs(cloud: Cloud) -> None:
    attach(cloud, "9999", "family:web")
    cloud.definition()
    task = cloud.run_task()
    cloud.wait(179)
    assert status(cloud, task) == ("PROVISIONING", "ATTACHING")
    cloud.wait(1)
    found = cloud.task(task)
    assert (found["lastStatus"], found["stopCode"]) == ("STOPPED", "TaskFailedToStart")
    assert found["stoppedReason"] == "Timeout waiting for network interface provisioning to complete."
    assert cloud.enis() == []
    assert cloud.ec2("DescribeNetworkInterfaces")["NetworkInterfaces"] == []


def test_a_task_that_is_stopped_while_its_attachment_is_late_goes_at_once(cloud: Cloud) -> None:
    attach(cloud, "100")
    cloud.definition()
    task = cloud.run_task()
    cloud.settle()
    cloud.ecs("StopTask", task=task)
    cloud.settle()
    assert status(cloud, task) == ("STOPPED", "DELETED")
    assert cloud.enis() == []


def test_a_refused_attachment_is_a_failed_start_and_concerns_its_group_only(cloud: Cloud) -> None:
    attach(cloud, "refused", "service:web")
    cloud.definition()
    network = cloud.network()
    for name in ("web", "api"):
        cloud.ecs(
            "CreateService",
            serviceName=name,
            taskDefinition="web",
            launchType="FARGATE",
            desiredCount=1,
            networkConfiguration=network,
        )
    cloud.settle()
    counts = {
        one["serviceName"]: one["runningCount"]
        for one in cloud.ecs("DescribeServices", services=["web", "api"])["services"]
    }
    assert counts == {"web": 0, "api": 1}
    stopped = cloud.ecs("ListTasks", serviceName="web", desiredStatus="STOPPED")["taskArns"]
    assert cloud.task(stopped[0])["stoppedReason"] == "Unable to attach network interface to unused device index."
    assert cloud.task(stopped[0])["attachments"][0]["status"] == "DELETED"
    attach(cloud, "none", "service:web")
    cloud.wait(600)
    assert cloud.ecs("DescribeServices", services=["web"])["services"][0]["runningCount"] == 1


def test_a_task_that_waits_for_an_instance_has_no_interface_yet(cloud: Cloud) -> None:
    scaling = {"autoScalingGroupArn": "group", "managedScaling": {"status": "ENABLED"}}
    cloud.ecs("CreateCapacityProvider", name="own", autoScalingGroupProvider=scaling)
    strategy = [{"capacityProvider": "own", "weight": 1}]
    cloud.ecs(
        "PutClusterCapacityProviders",
        cluster="default",
        capacityProviders=["own"],
        defaultCapacityProviderStrategy=strategy,
    )
    cloud.modal_definition("awsvpc")
    task = cloud.run_task(launchType=None, capacityProviderStrategy=strategy)
    cloud.settle()
    assert status(cloud, task) == ("PROVISIONING", "PRECREATED")
    waiting = cloud.task(task)["attachments"][0]
    cloud.container_instance(group="group")
    cloud.settle()
    assert status(cloud, task) == ("RUNNING", "ATTACHED")
    assert cloud.task(task)["attachments"][0]["id"] == waiting["id"]


def test_faults_are_listed_and_cleared(cloud: Cloud) -> None:
    attach(cloud, "2.5")
    attach(cloud, "refused", "family:web")
    assert faults.listed(cloud.store.snapshot) == [
        {"group": "*", "attach": 2.5},
        {"group": "family:web", "attach": "refused"},
    ]
    attach(cloud, "none")
    attach(cloud, "none", "family:web")
    assert faults.listed(cloud.store.snapshot) == []


@pytest.mark.parametrize("given", ["", "soon", "-1", "0", "inf", "nan"])
def test_nonsense_is_refused(cloud: Cloud, given: str) -> None:
    with pytest.raises(ValueError, match="attach must be"):
        attach(cloud, given)
