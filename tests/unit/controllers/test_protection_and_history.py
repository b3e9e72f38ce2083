"""Protected tasks stay, and the history of a service's deployments tells what became of each."""

from __future__ import annotations

from typing import Any

from ecs_harness import Cloud


def create(cloud: Cloud, **more: Any) -> None:
    request = {
        "serviceName": "web",
        "taskDefinition": "web",
        "launchType": "FARGATE",
        "networkConfiguration": cloud.network(),
    }
    cloud.ecs("CreateService", **request | more)


def running(cloud: Cloud) -> set[str]:
    return set(cloud.ecs("ListTasks", serviceName="web")["taskArns"])


def test_scale_in_leaves_protected_tasks_alone_until_it_expires(cloud: Cloud) -> None:
    cloud.definition()
    create(cloud, desiredCount=3)
    cloud.wait(60)
    kept = sorted(running(cloud))[:2]
    reply = cloud.ecs(
        "UpdateTaskProtection", cluster="default", tasks=kept, protectionEnabled=True, expiresInMinutes=10
    )
    assert [one["protectionEnabled"] for one in reply["protectedTasks"]] == [True, True]
    cloud.ecs("UpdateService", service="web", desiredCount=0)
    cloud.wait(60)
    assert running(cloud) == set(kept)
    cloud.ecs("UpdateTaskProtection", cluster="default", tasks=kept[:1], protectionEnabled=False)
    cloud.wait(60)
    assert running(cloud) == {kept[1]}
    cloud.wait(600)
    assert running(cloud) == set()


def test_a_deployment_waits_for_protected_tasks(cloud: Cloud) -> None:
    cloud.definition()
    create(cloud, desiredCount=1)
    cloud.wait(60)
    old = running(cloud)
    cloud.ecs("UpdateTaskProtection", cluster="default", tasks=list(old), protectionEnabled=True, expiresInMinutes=10)
    cloud.ecs("UpdateService", service="web", forceNewDeployment=True)
    cloud.wait(120)
    assert old < running(cloud)
    cloud.wait(600)
    assert len(running(cloud)) == 1
    assert not old & running(cloud)


def test_only_tasks_of_services_can_be_protected(cloud: Cloud) -> None:
    cloud.definition()
    task = cloud.run_task()
    reply = cloud.ecs("UpdateTaskProtection", cluster="default", tasks=[task, "0" * 32], protectionEnabled=True)
    assert [one["reason"] for one in reply["failures"]] == ["TASK_NOT_VALID", "MISSING"]


def history(cloud: Cloud) -> list[tuple[str, str]]:
    """(status, task definition) of the service's deployments, the newest first."""
    brief = cloud.ecs("ListServiceDeployments", service="web")["serviceDeployments"]
    arns = [one["serviceDeploymentArn"] for one in brief]
    full = cloud.ecs("DescribeServiceDeployments", serviceDeploymentArns=arns)["serviceDeployments"]
    revisions = [one["targetServiceRevision"]["arn"] for one in full]
    shown = cloud.ecs("DescribeServiceRevisions", serviceRevisionArns=revisions)["serviceRevisions"]
    return [(one["status"], rev["taskDefinition"].rpartition("/")[2]) for one, rev in zip(full, shown, strict=True)]


def test_history(cloud: Cloud) -> None:
    cloud.definition()
    create(
        cloud,
        desiredCount=1,
        deploymentConfiguration={"deploymentCircuitBreaker": {"enable": True, "rollback": True}},
    )
    cloud.wait(60)
    assert history(cloud) == [("SUCCESSFUL", "web:1")]
    cloud.definition(image="broken")
    cloud.broken_images = {"broken"}
    cloud.ecs("UpdateService", service="web", taskDefinition="web")
    assert history(cloud)[0] == ("IN_PROGRESS", "web:2")
    cloud.now += 1
    cloud.definition(image="web:3")
    cloud.wait(120)
    assert history(cloud) == [("ROLLBACK_SUCCESSFUL", "web:2"), ("SUCCESSFUL", "web:1")]
    cloud.ecs("UpdateService", service="web", taskDefinition="web:3")
    cloud.now += 1
    cloud.ecs("UpdateService", service="web", taskDefinition="web:1")
    cloud.wait(120)
    assert history(cloud)[:2] == [("SUCCESSFUL", "web:1"), ("STOPPED", "web:3")]
