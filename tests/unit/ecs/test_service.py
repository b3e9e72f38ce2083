"""CreateService, UpdateService, DeleteService and the reading calls: what they refuse and what they answer."""

from __future__ import annotations

from typing import Any

import pytest

from ecs_harness import Cloud

INVALID = "InvalidParameterException"


def request(cloud: Cloud, **more: Any) -> dict[str, Any]:
    given = {
        "serviceName": "web",
        "taskDefinition": "web",
        "desiredCount": 1,
        "launchType": "FARGATE",
        "networkConfiguration": cloud.network(),
    } | more
    return {name: value for name, value in given.items() if value is not None}


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ({"taskDefinition": None}, INVALID, "TaskDefinition can not be blank."),
        ({"taskDefinition": "no"}, "ClientException", "TaskDefinition not found."),
        ({"cluster": "no"}, "ClusterNotFoundException", "Cluster not found."),
        (
            {"networkConfiguration": None},
            INVALID,
            "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
        ),
        (
            {"deploymentConfiguration": {"minimumHealthyPercent": 100, "maximumPercent": 100}},
            INVALID,
            "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.",
        ),
        (
            {"healthCheckGracePeriodSeconds": -1},
            INVALID,
            "healthCheckGracePeriodSeconds must be between 0 and 2147483647.",
        ),
        (
            {"role": "arn:aws:iam::1:role/x"},
            INVALID,
            "You cannot specify an IAM role for services that require a service linked role.",
        ),
        ({"desiredCount": -1}, INVALID, "desiredCount must not be negative, but was -1."),
        (
            {"serviceRegistries": [{"registryArn": "x"}]},
            "NotImplemented",
            "ecsnet does not implement serviceRegistries of CreateService.",
        ),
        (
            {"deploymentController": {"type": "CODE_DEPLOY"}},
            "NotImplemented",
            "ecsnet does not implement deployment controller CODE_DEPLOY of CreateService.",
        ),
        (
            {"serviceConnectConfiguration": {"enabled": True}},
            "NotImplemented",
            "ecsnet does not implement serviceConnectConfiguration of CreateService.",
        ),
    ],
)
def test_refuses(cloud: Cloud, change: dict[str, Any], code: str, text: str) -> None:
    cloud.definition()
    assert cloud.error("CreateService", **request(cloud, **change)) == (code, text)
    assert cloud.ecs("ListServices")["serviceArns"] == []


def test_answers_what_was_asked_for(cloud: Cloud) -> None:
    definition = cloud.definition()
    made = cloud.ecs("CreateService", **request(cloud, tags=[{"key": "a", "value": "b"}]))["service"]
    assert made["serviceArn"] == "arn:aws:ecs:us-east-1:111122223333:service/default/web"
    assert made["taskDefinition"] == definition
    assert (made["status"], made["desiredCount"], made["launchType"]) == ("ACTIVE", 1, "FARGATE")
    assert made["platformVersion"] == "1.4.0"
    assert made["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"] == "DISABLED"
    assert made["deploymentConfiguration"]["maximumPercent"] == 200
    assert made["availabilityZoneRebalancing"] == "ENABLED"
    assert made["tags"] == [{"key": "a", "value": "b"}]
    deployment = made["deployments"][0]
    assert deployment["rolloutState"] == "IN_PROGRESS"
    assert deployment["rolloutStateReason"] == f"ECS deployment {deployment['id']} in progress."


def test_the_same_name_twice(cloud: Cloud) -> None:
    cloud.definition()
    cloud.ecs("CreateService", **request(cloud, clientToken="t"))
    again = cloud.ecs("CreateService", **request(cloud, clientToken="t"))["service"]
    assert again["serviceName"] == "web"
    assert cloud.error("CreateService", **request(cloud)) == (INVALID, "Creation of service was not idempotent.")
    cloud.settle()
    cloud.agent_away = True
    cloud.ecs("DeleteService", service="web", force=True)
    cloud.settle()
    assert cloud.error("CreateService", **request(cloud))[1] == "Unable to Start a service that is still Draining."
    assert cloud.error("UpdateService", service="web", desiredCount=1)[0] == "ServiceNotActiveException"
    assert cloud.error("UpdateService", service="no", desiredCount=1)[0] == "ServiceNotFoundException"


def test_only_some_updates_begin_a_deployment(cloud: Cloud) -> None:
    cloud.definition()
    cloud.ecs("CreateService", **request(cloud))

    def deployments(**change: Any) -> int:
        return len(cloud.ecs("UpdateService", service="web", **change)["service"]["deployments"])

    assert deployments(desiredCount=2) == 1
    assert deployments(taskDefinition="web") == 1
    assert deployments(networkConfiguration=cloud.network()) == 1
    assert deployments(networkConfiguration=cloud.network(assignPublicIp="ENABLED")) == 2
    assert deployments(forceNewDeployment=True) == 3
    cloud.settle()
    cloud.wait(50)
    assert len(cloud.ecs("DescribeServices", services=["web"])["services"][0]["deployments"]) == 1


def test_managed_and_inherited_tags_reach_tasks_and_interfaces(cloud: Cloud) -> None:
    cloud.definition()
    tags = [{"key": "a", "value": "b"}]
    cloud.ecs("CreateService", **request(cloud, tags=tags, propagateTags="SERVICE", enableECSManagedTags=True))
    cloud.settle()
    arn = cloud.ecs("ListTasks", serviceName="web")["taskArns"][0]
    shown = {one["key"]: one["value"] for one in cloud.ecs("ListTagsForResource", resourceArn=arn)["tags"]}
    assert shown == {"a": "b", "aws:ecs:clusterName": "default", "aws:ecs:serviceName": "web"}
    eni = cloud.ec2("DescribeNetworkInterfaces", NetworkInterfaceIds=cloud.enis())["NetworkInterfaces"][0]
    assert {one["Key"] for one in eni["TagSet"]} == {"aws:ecs:clusterName", "aws:ecs:serviceName"}


def test_lists_in_pages_of_ten(cloud: Cloud) -> None:
    cloud.definition()
    for number in range(12):
        cloud.ecs("CreateService", **request(cloud, serviceName=f"s{number:02}", desiredCount=0))
    first = cloud.ecs("ListServices")
    second = cloud.ecs("ListServices", nextToken=first["nextToken"])
    assert (len(first["serviceArns"]), len(second["serviceArns"])) == (10, 2)
    assert cloud.ecs("ListServices", launchType="EC2")["serviceArns"] == []
    described = cloud.ecs("DescribeServices", services=["s00", "no"])
    assert [one["serviceName"] for one in described["services"]] == ["s00"]
    missing = "arn:aws:ecs:us-east-1:111122223333:service/default/no"
    assert described["failures"] == [{"arn": missing, "reason": "MISSING"}]
    assert cloud.error("DescribeServices", services=["x"] * 11)[0] == INVALID


def test_a_deleted_service_is_forgotten_after_an_hour(cloud: Cloud) -> None:
    cloud.definition()
    cloud.ecs("CreateService", **request(cloud, desiredCount=0))
    cloud.ecs("DeleteService", service="web")
    cloud.settle()
    assert cloud.ecs("DescribeServices", services=["web"])["services"][0]["status"] == "INACTIVE"
    cloud.wait(3601)
    assert cloud.ecs("DescribeServices", services=["web"])["failures"][0]["reason"] == "MISSING"
