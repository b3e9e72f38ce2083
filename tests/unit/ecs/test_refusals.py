"""What users of ECS run into most, in the words in which ECS says it, where no packet is involved."""

from __future__ import annotations

from typing import Any

import pytest

from ecs_harness import Cloud

PLACEMENT = (
    "(service web) was unable to place a task because no container instance met all of its requirements. The closest "
    "matching (container-instance {}) {} For more information, see the Troubleshooting section of the Amazon ECS "
    "Developer Guide."
)


def serve(cloud: Cloud, **more: Any) -> None:
    cloud.ecs("CreateService", **{"serviceName": "web", "taskDefinition": "web", "launchType": "EC2"} | more)


def balanced(group: str, name: str = "app") -> list[dict[str, Any]]:
    return [{"targetGroupArn": group, "containerName": name, "containerPort": 80}]


def test_an_instance_type_has_only_so_many_interfaces_for_tasks(cloud: Cloud) -> None:
    arn = cloud.container_instance(type="c5.large")
    cloud.modal_definition("awsvpc")
    serve(cloud, desiredCount=3, networkConfiguration=cloud.network(subnets=1))
    cloud.settle()
    shown = cloud.ecs("DescribeServices", services=["web"])["services"][0]
    assert shown["runningCount"] == 2, "a c5.large carries three interfaces, one of them its own"
    assert any(
        one["message"] == PLACEMENT.format(cloud.instance_row(arn).id, 'encountered error "RESOURCE:ENI".')
        for one in shown["events"]
    )


def test_trunking_that_is_switched_on_later_helps_only_instances_that_come_later(cloud: Cloud) -> None:
    early = cloud.container_instance(type="c5.large", cpu=10240, memory=10240)
    cloud.ecs("PutAccountSettingDefault", name="awsvpcTrunking", value="enabled")
    cloud.modal_definition("awsvpc")
    serve(cloud, desiredCount=3, networkConfiguration=cloud.network(subnets=1))
    cloud.settle()
    described = cloud.ecs("DescribeContainerInstances", containerInstances=[early])["containerInstances"][0]
    assert not any(one["name"] == "ecs.awsvpc-trunk-id" for one in described["attributes"])
    assert cloud.ecs("DescribeServices", services=["web"])["services"][0]["runningCount"] == 2
    cloud.container_instance(type="c5.large", cpu=10240, memory=10240)
    cloud.settle()
    assert cloud.ecs("DescribeServices", services=["web"])["services"][0]["runningCount"] == 3


@pytest.mark.parametrize(("mode", "type"), [("bridge", "ip"), ("host", "ip"), ("awsvpc", "instance")])
def test_a_target_group_of_the_wrong_type(cloud: Cloud, mode: str, type: str) -> None:
    cloud.modal_definition(mode, portMappings=[{"containerPort": 80}])
    group = cloud.balancer(type=type)
    request: dict[str, Any] = {"serviceName": "web", "taskDefinition": "web", "loadBalancers": balanced(group)}
    if mode == "awsvpc":
        request["networkConfiguration"] = cloud.network()
    assert cloud.error("CreateService", **request) == (
        "InvalidParameterException",
        f"The provided target group {group} has target type {type}, which is incompatible with the {mode} network mode "
        "specified in the task definition.",
    )


def test_a_target_group_that_no_listener_uses(cloud: Cloud) -> None:
    cloud.definition()
    vpc = cloud.ec2("DescribeVpcs")["Vpcs"][0]["VpcId"]
    made = cloud.elbv2("CreateTargetGroup", Name="web", Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip")
    group = made["TargetGroups"][0]["TargetGroupArn"]
    request = {"serviceName": "web", "taskDefinition": "web", "launchType": "FARGATE"}
    request |= {"networkConfiguration": cloud.network(), "loadBalancers": balanced(group)}
    assert cloud.error("CreateService", **request) == (
        "InvalidParameterException",
        f"The target group with targetGroupArn {group} does not have an associated load balancer.",
    )


def test_a_public_address_for_a_task_on_an_instance(cloud: Cloud) -> None:
    cloud.container_instance()
    cloud.modal_definition("awsvpc")
    network = cloud.network(assignPublicIp="ENABLED")
    for operation, more in (("RunTask", {}), ("CreateService", {"serviceName": "web"})):
        assert cloud.error(operation, taskDefinition="web", launchType="EC2", networkConfiguration=network, **more) == (
            "InvalidParameterException",
            "Assign public IP is not supported for this launch type.",
        )


@pytest.mark.parametrize("mode", ["bridge", "host"])
def test_without_an_address_of_its_own_a_task_is_found_by_port_only(cloud: Cloud, mode: str) -> None:
    cloud.modal_definition(mode, portMappings=[{"containerPort": 80}])
    registry = {"registryArn": "arn:aws:servicediscovery:us-east-1:111122223333:service/srv-1"}
    request = {"serviceName": "web", "taskDefinition": "web", "launchType": "EC2"}
    assert cloud.error("CreateService", **request, serviceRegistries=[registry]) == (
        "InvalidParameterException",
        "When specifying 'host' or 'bridge' for networkMode, values for 'containerName' and 'containerPort' must be "
        "specified from the task definition.",
    )
    by_port = registry | {"containerName": "app", "containerPort": 80}
    assert cloud.error("CreateService", **request, serviceRegistries=[by_port])[0] == "NotImplemented"


def test_a_subnet_runs_out_of_addresses_during_a_deployment(cloud: Cloud) -> None:
    vpc = cloud.ec2("CreateVpc", CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = cloud.ec2("CreateSubnet", VpcId=vpc, CidrBlock="10.9.0.0/28")["Subnet"]["SubnetId"]
    cloud.definition()
    network = {"awsvpcConfiguration": {"subnets": [subnet]}}
    serve(cloud, launchType="FARGATE", desiredCount=8, networkConfiguration=network)
    cloud.wait(60)
    (free,) = cloud.ec2("DescribeSubnets", SubnetIds=[subnet])["Subnets"]
    assert free["AvailableIpAddressCount"] == 16 - 5 - 8
    cloud.ecs("UpdateService", service="web", forceNewDeployment=True)
    cloud.settle()
    stopped = cloud.ecs("ListTasks", serviceName="web", desiredStatus="STOPPED")["taskArns"]
    reasons = {cloud.task(arn)["stoppedReason"] for arn in stopped}
    assert (
        "Unexpected EC2 error while attempting to Create Network Interface with public IP assignment disabled in "
        f"subnet '{subnet}': InsufficientFreeAddressesInSubnet"
    ) in reasons
    assert cloud.ecs("DescribeServices", services=["web"])["services"][0]["runningCount"] >= 8


def test_a_host_port_is_there_once_for_each_instance(cloud: Cloud) -> None:
    arn = cloud.container_instance()
    cloud.modal_definition("bridge", portMappings=[{"containerPort": 80, "hostPort": 8080}])
    serve(cloud, desiredCount=2)
    cloud.settle()
    assert cloud.ecs("DescribeServices", services=["web"])["services"][0]["runningCount"] == 1
    expected = PLACEMENT.format(cloud.instance_row(arn).id, "is already using a port required by your task.")
    assert expected in [
        one["message"] for one in cloud.ecs("DescribeServices", services=["web"])["services"][0]["events"]
    ]
    failures = cloud.ecs("RunTask", taskDefinition="web", launchType="EC2")["failures"]
    assert failures == [{"arn": arn, "reason": "RESOURCE:PORTS"}]


def test_in_awsvpc_mode_host_port_and_container_port_are_one(cloud: Cloud) -> None:
    ports = [{"containerPort": 80, "hostPort": 81}]
    container = {"name": "app", "image": "web:1", "memory": 64, "portMappings": ports}
    assert cloud.error(
        "RegisterTaskDefinition", family="web", networkMode="awsvpc", containerDefinitions=[container]
    ) == (
        "ClientException",
        "When networkMode=awsvpc, the host ports and container ports in port mappings must match.",
    )
