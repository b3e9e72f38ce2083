"""The service scheduler without a load balancer: desired count, rolling updates, replacement, deletion."""

from __future__ import annotations

from typing import Any

from ecs_harness import Cloud


def create(cloud: Cloud, *, desired: int = 2, **more: Any) -> str:
    request = {
        "serviceName": "web",
        "taskDefinition": "web",
        "desiredCount": desired,
        "launchType": "FARGATE",
        "networkConfiguration": cloud.network(),
    } | more
    arn: str = cloud.ecs("CreateService", **request)["service"]["serviceArn"]
    return arn


def service(cloud: Cloud) -> Any:
    return cloud.ecs("DescribeServices", services=["web"])["services"][0]


def messages(cloud: Cloud) -> list[str]:
    return [event["message"] for event in service(cloud)["events"]]


def running(cloud: Cloud) -> list[Any]:
    arns = cloud.ecs("ListTasks", serviceName="web")["taskArns"]
    return cloud.ecs("DescribeTasks", tasks=arns)["tasks"] if arns else []


def test_reaches_and_keeps_the_desired_count(cloud: Cloud) -> None:
    cloud.definition()
    create(cloud, desired=3)
    assert service(cloud)["pendingCount"] == 0
    cloud.settle()
    now = service(cloud)
    assert (now["runningCount"], now["pendingCount"]) == (3, 0)
    assert [one["rolloutState"] for one in now["deployments"]] == ["COMPLETED"]
    id = now["deployments"][0]["id"]
    assert messages(cloud)[:2] == [
        "(service web) has reached a steady state.",
        f"(service web) (deployment {id}) deployment completed.",
    ]
    assert messages(cloud)[2].startswith("(service web) has started 3 tasks: (task ")

    victim = running(cloud)[0]
    assert victim["startedBy"] == id
    assert victim["group"] == "service:web"
    cloud.ecs("StopTask", task=victim["taskArn"])
    cloud.settle()
    assert service(cloud)["runningCount"] == 3
    assert victim["taskArn"] not in [task["taskArn"] for task in running(cloud)]
    assert len(cloud.enis()) == 3


def test_spreads_over_zones_and_scales_in_evenly(cloud: Cloud) -> None:
    cloud.definition()
    create(cloud, desired=4)
    cloud.settle()
    zones = sorted(task["availabilityZone"] for task in running(cloud))
    assert zones == ["us-east-1a", "us-east-1a", "us-east-1b", "us-east-1b"]
    cloud.ecs("UpdateService", service="web", desiredCount=2)
    cloud.settle()
    assert sorted(task["availabilityZone"] for task in running(cloud)) == ["us-east-1a", "us-east-1b"]
    assert any("has stopped 2 running tasks: (task " in text for text in messages(cloud))


def test_an_exited_container_is_replaced(cloud: Cloud) -> None:
    cloud.definition()
    create(cloud, desired=1)
    cloud.wait(60)
    old = running(cloud)[0]["taskArn"]
    cloud.saw(old, "app", "stopped", exit_code=1)
    cloud.settle()
    ended = cloud.task(old)
    assert ended["lastStatus"] == "STOPPED"
    assert (ended["stopCode"], ended["stoppedReason"]) == (
        "EssentialContainerExited",
        "Essential container in task exited",
    )
    assert ended["containers"][0]["exitCode"] == 1
    assert service(cloud)["runningCount"] == 1


def test_rolls_out_a_new_definition_within_the_percentages(cloud: Cloud) -> None:
    cloud.definition()
    create(cloud, desired=2)
    cloud.wait(60)
    cloud.definition(image="web:2")
    cloud.ecs("UpdateService", service="web", taskDefinition="web")
    now = service(cloud)
    assert [(one["status"], one["desiredCount"]) for one in now["deployments"]] == [("PRIMARY", 2), ("ACTIVE", 0)]
    cloud.settle()
    assert len(running(cloud)) == 4
    cloud.wait(39)
    assert len(running(cloud)) == 4
    cloud.wait(2)
    now = service(cloud)
    assert len(now["deployments"]) == 1
    assert now["runningCount"] == 2
    assert all(task["taskDefinitionArn"].endswith("web:2") for task in running(cloud))


def test_minimum_zero_stops_before_it_starts(cloud: Cloud) -> None:
    cloud.definition()
    create(cloud, desired=2, deploymentConfiguration={"minimumHealthyPercent": 0, "maximumPercent": 100})
    cloud.wait(60)
    cloud.ecs("UpdateService", service="web", forceNewDeployment=True)
    for _ in range(30):
        cloud.step()
        cloud.look()
        assert len(running(cloud)) <= 2
    assert service(cloud)["runningCount"] == 2
    assert len(service(cloud)["deployments"]) == 1


def test_a_failing_image_is_throttled_and_says_why(cloud: Cloud) -> None:
    cloud.definition()
    cloud.broken_images.add("web:1")
    create(cloud, desired=1)
    cloud.settle()
    stopped = cloud.ecs("ListTasks", desiredStatus="STOPPED")["taskArns"]
    assert len(stopped) == 3
    one = cloud.task(stopped[0])
    assert (one["stopCode"], one["stoppedReason"]) == ("TaskFailedToStart", "CannotPullContainerError: web:1")
    assert "(service web) is unable to consistently start tasks successfully." in messages(cloud)
    cloud.wait(11)
    assert len(cloud.ecs("ListTasks", desiredStatus="STOPPED")["taskArns"]) == 4
    assert cloud.enis() == []


def test_the_circuit_breaker_rolls_back(cloud: Cloud) -> None:
    cloud.definition()
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    create(cloud, desired=1, deploymentConfiguration=breaker)
    cloud.wait(60)
    first = service(cloud)["deployments"][0]["id"]
    cloud.definition(image="broken")
    cloud.broken_images.add("broken")
    cloud.ecs("UpdateService", service="web", taskDefinition="web")
    cloud.wait(60)
    now = service(cloud)
    assert [(one["id"], one["status"]) for one in now["deployments"]] == [(first, "PRIMARY")]
    assert now["taskDefinition"].endswith("web:1")
    assert now["runningCount"] == 1
    assert "(service web) deployment failed: tasks failed to start." in messages(cloud)


def test_the_circuit_breaker_without_rollback_starts_nothing_more(cloud: Cloud) -> None:
    cloud.definition()
    cloud.broken_images.add("web:1")
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": False}}
    create(cloud, desired=1, deploymentConfiguration=breaker)
    cloud.wait(600)
    now = service(cloud)
    assert now["deployments"][0]["rolloutState"] == "FAILED"
    assert now["deployments"][0]["failedTasks"] == 3
    assert len(cloud.ecs("ListTasks", desiredStatus="STOPPED")["taskArns"]) == 3


def test_delete_drains_and_becomes_inactive(cloud: Cloud) -> None:
    cloud.definition()
    create(cloud, desired=2)
    cloud.settle()
    code, text = cloud.error("DeleteService", service="web")
    assert (code, text) == (
        "InvalidParameterException",
        "The service cannot be stopped while it is scaled above 0.",
    )
    assert cloud.ecs("DeleteService", service="web", force=True)["service"]["status"] == "DRAINING"
    cloud.settle()
    assert service(cloud)["status"] == "INACTIVE"
    assert cloud.enis() == []
    assert cloud.ecs("ListServices")["serviceArns"] == []
    create(cloud, desired=1)
    cloud.settle()
    assert service(cloud)["runningCount"] == 1


def test_a_service_on_ec2_places_nothing_and_says_so(cloud: Cloud) -> None:
    cloud.definition(requiresCompatibilities=["EC2"], networkMode="bridge")
    cloud.ecs("CreateService", serviceName="web", taskDefinition="web", desiredCount=1, launchType="EC2")
    cloud.settle()
    assert messages(cloud) == [
        "(service web) was unable to place a task because no container instance met all of its requirements. Reason: "
        "No Container Instances were found in your cluster. For more information, see the Troubleshooting section of "
        "the Amazon ECS Developer Guide."
    ]
    assert service(cloud)["runningCount"] == 0
