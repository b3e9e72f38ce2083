"""Container instances through the API: an agent registers, an awsvpc task runs there with an interface of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ecsnet.cli.dial import Place
from ecsnet.cli.errors import CliError, Exit
from ecsnet.testing.instance import Instance
from ecsnet.testing.waiting import eventually

CLUSTER = "ec2"


def place_of(task: dict[str, Any]) -> Place:
    return Place(netns="t" + task["taskArn"].rpartition("/")[2][:12], nameserver="169.254.169.253")


def address_of(task: dict[str, Any]) -> str:
    details = {item["name"]: item["value"] for item in task["attachments"][0]["details"]}
    return str(details["privateIPv4Address"])


def test_the_group_of_an_awsvpc_task_decides_not_that_of_its_instance(instance: Instance) -> None:
    ec2, ecs = instance.client("ec2"), instance.client("ecs")
    ecs.create_cluster(clusterName=CLUSTER)
    vpc = ec2.create_vpc(CidrBlock="10.70.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.70.1.0/24")["Subnet"]["SubnetId"]
    opened, shut = (
        ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"] for name in ("open", "shut")
    )
    ec2.authorize_security_group_ingress(
        GroupId=opened,
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
    )
    ec2.run_instances(
        ImageId="ami-12345678",
        InstanceType="t3.medium",
        MinCount=1,
        MaxCount=1,
        SubnetId=subnet,
        SecurityGroupIds=[opened],
        UserData=f"#!/bin/bash\necho ECS_CLUSTER={CLUSTER} >> /etc/ecs/ecs.config\n",
    )
    arns = eventually(
        lambda: ecs.list_container_instances(cluster=CLUSTER, filter="agentConnected == true")["containerInstanceArns"],
        "the agent registers",
    )
    definition = ecs.register_task_definition(
        family="awsvpc",
        networkMode="awsvpc",
        containerDefinitions=[
            {"name": "app", "image": "absent", "memory": 128, "portMappings": [{"containerPort": 80}]}
        ],
    )["taskDefinition"]["taskDefinitionArn"]

    def start(group: str) -> str:
        reply = ecs.run_task(
            cluster=CLUSTER,
            taskDefinition=definition,
            networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": [group]}},
        )
        assert reply["failures"] == []
        return str(reply["tasks"][0]["taskArn"])

    def described(arn: str) -> dict[str, Any]:
        task: dict[str, Any] = ecs.describe_tasks(cluster=CLUSTER, tasks=[arn])["tasks"][0]
        return task

    started = [start(opened), start(shut)]
    reached, guarded = (
        eventually(
            lambda arn=arn: task if (task := described(arn))["lastStatus"] == "RUNNING" else None,  # type: ignore[misc]
            "the task runs",
        )
        for arn in started
    )
    assert {reached["containerInstanceArn"], guarded["containerInstanceArn"]} == set(arns)
    reply = instance.curl(f"http://{address_of(reached)}/", place=place_of(guarded))
    assert json.loads(reply.body)["task"] == reached["taskArn"].rpartition("/")[2]
    with pytest.raises(CliError) as caught:
        instance.curl(f"http://{address_of(guarded)}/", place=place_of(reached), timeout=0.5)
    assert caught.value.code is Exit.TIMED_OUT

    third = ecs.run_task(
        cluster=CLUSTER,
        taskDefinition=definition,
        networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": [opened]}},
    )
    assert [one["reason"] for one in third["failures"]] == ["RESOURCE:ENI"], "a t3.medium has three interfaces"
    for arn in started:
        ecs.stop_task(cluster=CLUSTER, task=arn)
    eventually(lambda: all(described(arn)["lastStatus"] == "STOPPED" for arn in started), "the tasks stop")
