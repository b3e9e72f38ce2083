"""RunTask: where it may run, what it refuses, what it answers."""

from __future__ import annotations

from typing import Any

import pytest

from ecs_harness import Cloud

INVALID = "InvalidParameterException"


def vpc_with_subnet(cloud: Cloud) -> tuple[str, str]:
    vpc = cloud.ec2("CreateVpc", CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    return vpc, cloud.ec2("CreateSubnet", VpcId=vpc, CidrBlock="10.1.1.0/28")["Subnet"]["SubnetId"]


def refused(cloud: Cloud, **more: Any) -> tuple[str, str]:
    request = {"taskDefinition": "web", "launchType": "FARGATE", "networkConfiguration": cloud.network()} | more
    return cloud.error("RunTask", **{name: value for name, value in request.items() if value is not None})


def test_network_configuration_is_checked_in_the_words_of_ecs(cloud: Cloud) -> None:
    cloud.definition()
    subnet = cloud.subnets[0]
    assert refused(cloud, networkConfiguration=None) == (
        INVALID,
        "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
    )

    def with_vpc(**inner: Any) -> str:
        code, text = refused(cloud, networkConfiguration={"awsvpcConfiguration": inner})
        assert code == INVALID
        return text

    assert with_vpc(subnets=[]) == "subnets can not be empty."
    assert with_vpc(subnets=[subnet] * 17) == "subnets can have at most 16 items."
    assert with_vpc(subnets=[subnet], securityGroups=["sg-1"] * 6) == "securityGroups can have at most 5 items."
    assert with_vpc(subnets=["subnet-0"]) == (
        "Error retrieving subnet information for [subnet-0]: The subnet ID 'subnet-0' does not exist "
        "(ErrorCode: InvalidSubnetID.NotFound)"
    )
    assert with_vpc(subnets=[subnet], securityGroups=["sg-0"]) == (
        "Error retrieving security group information for [sg-0]: The security group 'sg-0' does not exist "
        "(ErrorCode: InvalidGroup.NotFound)"
    )
    vpc, _ = vpc_with_subnet(cloud)
    group = cloud.ec2("CreateSecurityGroup", GroupName="x", Description="x", VpcId=vpc)["GroupId"]
    assert with_vpc(subnets=[subnet], securityGroups=[group]) == (
        f"Security group {group} does not appear to belong to the same VPC as the input subnets."
    )


def test_other_network_modes_take_no_network_configuration(cloud: Cloud) -> None:
    cloud.definition(requiresCompatibilities=["EC2"], networkMode="bridge")
    assert refused(cloud, launchType="EC2") == (
        INVALID,
        "Network Configuration is not valid for the given networkMode of this task definition.",
    )


def test_there_are_no_container_instances(cloud: Cloud) -> None:
    cloud.definition(requiresCompatibilities=["EC2"])
    text = "No Container Instances were found in your cluster."
    assert refused(cloud, launchType="EC2") == (INVALID, text)
    assert refused(cloud, launchType=None) == (INVALID, text)
    public = cloud.network(assignPublicIp="ENABLED")
    assert refused(cloud, launchType="EC2", networkConfiguration=public) == (
        INVALID,
        "Assign public IP is not supported for this launch type.",
    )
    assert refused(cloud) == (INVALID, "Task definition does not support launch_type FARGATE.")
    assert cloud.ecs("ListContainerInstances")["containerInstanceArns"] == []
    failures = cloud.ecs("DescribeContainerInstances", containerInstances=["x"])["failures"]
    assert failures[0]["reason"] == "MISSING"


def test_refuses_what_is_missing_or_contradictory(cloud: Cloud) -> None:
    assert refused(cloud) == ("ClientException", "TaskDefinition not found.")
    cloud.definition()
    assert refused(cloud, cluster="other") == ("ClusterNotFoundException", "Cluster not found.")
    assert refused(cloud, count=11)[0] == INVALID
    strategy = [{"capacityProvider": "FARGATE", "weight": 1}]
    assert refused(cloud, capacityProviderStrategy=strategy) == (
        INVALID,
        "Specify either Launch Type or Capacity Provider Strategy, but not both.",
    )
    assert "not associated with the cluster" in refused(cloud, launchType=None, capacityProviderStrategy=strategy)[1]
    override = {"containerOverrides": [{"name": "db"}]}
    assert refused(cloud, overrides=override) == (
        INVALID,
        "Override for container named db is not a container in the TaskDefinition.",
    )
    assert refused(cloud, platformVersion="0.9")[0] == "PlatformUnknownException"
    assert refused(cloud, volumeConfigurations=[{"name": "v"}])[0] == "NotImplemented"
    cloud.ecs("DeregisterTaskDefinition", taskDefinition="web:1")
    assert refused(cloud, taskDefinition="web:1") == ("ClientException", "TaskDefinition is inactive")
    assert cloud.enis() == []


def test_the_interface_is_the_service_s_own(cloud: Cloud) -> None:
    cloud.definition()
    arn = cloud.run_task(networkConfiguration=cloud.network(assignPublicIp="ENABLED"))
    attachment = cloud.task(arn)["attachments"][0]
    details = {one["name"]: one["value"] for one in attachment["details"]}
    assert list(details) == [
        "subnetId",
        "networkInterfaceId",
        "macAddress",
        "privateDnsName",
        "privateIPv4Address",
    ]
    eni = cloud.ec2("DescribeNetworkInterfaces", NetworkInterfaceIds=[details["networkInterfaceId"]])
    shown = eni["NetworkInterfaces"][0]
    assert shown["Description"] == f"arn:aws:ecs:us-east-1:111122223333:attachment/{attachment['id']}"
    assert shown["RequesterManaged"] is True
    assert shown["PrivateIpAddress"] == details["privateIPv4Address"]
    assert shown["Association"]["PublicIp"].startswith("198.1")
    assert cloud.task(arn)["containers"][0]["networkInterfaces"] == [
        {"attachmentId": attachment["id"], "privateIpv4Address": details["privateIPv4Address"]}
    ]


def test_a_full_subnet_stops_the_task_with_the_reason_of_ec2(cloud: Cloud) -> None:
    cloud.definition()
    _, subnet = vpc_with_subnet(cloud)
    network = {"awsvpcConfiguration": {"subnets": [subnet]}}
    arns = [cloud.run_task(networkConfiguration=network) for _ in range(12)]
    cloud.settle()
    states = [cloud.task(arn)["lastStatus"] for arn in arns]
    assert states == ["RUNNING"] * 11 + ["STOPPED"]
    last = cloud.task(arns[-1])
    assert last["stopCode"] == "TaskFailedToStart"
    assert last["stoppedReason"] == (
        "Unexpected EC2 error while attempting to Create Network Interface with public IP assignment disabled in "
        f"subnet '{subnet}': InsufficientFreeAddressesInSubnet"
    )
    cloud.ecs("StopTask", task=arns[0])
    cloud.settle()
    again = cloud.run_task(networkConfiguration=network)
    cloud.settle()
    assert cloud.task(again)["lastStatus"] == "RUNNING"


def test_client_tokens_run_nothing_twice(cloud: Cloud) -> None:
    cloud.definition()
    assert cloud.run_task(clientToken="t") == cloud.run_task(clientToken="t")
    assert cloud.run_task(clientToken="u") != cloud.run_task(clientToken="t")
    assert len(cloud.enis()) == 2


def test_capacity_providers_follow_base_and_weight(cloud: Cloud) -> None:
    cloud.definition()
    cloud.ecs(
        "PutClusterCapacityProviders",
        cluster="default",
        capacityProviders=["FARGATE", "FARGATE_SPOT"],
        defaultCapacityProviderStrategy=[
            {"capacityProvider": "FARGATE", "weight": 1, "base": 1},
            {"capacityProvider": "FARGATE_SPOT", "weight": 3},
        ],
    )
    tasks = cloud.ecs("RunTask", taskDefinition="web", count=9, networkConfiguration=cloud.network())["tasks"]
    used = [task["capacityProviderName"] for task in tasks]
    assert (used.count("FARGATE"), used.count("FARGATE_SPOT")) == (3, 6)
    assert used[0] == "FARGATE"


def test_lists_and_describes(cloud: Cloud) -> None:
    cloud.definition()
    cloud.definition("api")
    web, api = cloud.run_task(startedBy="me"), cloud.run_task(taskDefinition="api")
    cloud.settle()
    assert cloud.ecs("ListTasks")["taskArns"] == sorted([web, api])
    assert cloud.ecs("ListTasks", family="api")["taskArns"] == [api]
    assert cloud.ecs("ListTasks", startedBy="me")["taskArns"] == [web]
    cloud.ecs("StopTask", task=web.rsplit("/", 1)[1])
    assert cloud.ecs("ListTasks")["taskArns"] == [api]
    assert cloud.ecs("ListTasks", desiredStatus="STOPPED")["taskArns"] == [web]
    described = cloud.ecs("DescribeTasks", tasks=[api, "0" * 32])
    assert [one["taskArn"] for one in described["tasks"]] == [api]
    missing = f"arn:aws:ecs:us-east-1:111122223333:task/default/{'0' * 32}"
    assert described["failures"] == [{"arn": missing, "reason": "MISSING"}]
    assert cloud.error("StopTask", task="0" * 32) == (INVALID, "The referenced task was not found.")
    assert cloud.error("ListTasks", serviceName="x") == ("ServiceNotFoundException", "Service not found.")


def test_stopped_tasks_are_forgotten_after_an_hour(cloud: Cloud) -> None:
    cloud.definition()
    arn = cloud.run_task()
    cloud.settle()
    cloud.ecs("StopTask", task=arn)
    cloud.wait(3590)
    assert cloud.task(arn)["lastStatus"] == "STOPPED"
    cloud.wait(20)
    assert cloud.ecs("DescribeTasks", tasks=[arn])["tasks"] == []


@pytest.mark.parametrize(("given", "wanted"), [("TASK_DEFINITION", {"team": "a", "own": "b"}), (None, {"own": "b"})])
def test_tags(cloud: Cloud, given: str | None, wanted: dict[str, str]) -> None:
    cloud.definition(tags=[{"key": "team", "value": "a"}])
    more = {"propagateTags": given} if given else {}
    arn = cloud.run_task(tags=[{"key": "own", "value": "b"}], **more)
    assert {one["key"]: one["value"] for one in cloud.ecs("ListTagsForResource", resourceArn=arn)["tags"]} == wanted
