"""Task definitions that others published: every one registers and runs, in the mode that it asks for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ecsnet.testing.instance import Instance
from ecsnet.testing.waiting import eventually

pytestmark = [pytest.mark.network, pytest.mark.inputs]

CLUSTER = "published"
EXCERPT = "simple-container-definition.json"
"""Of an article: members are left out with an ellipsis, so that it is no JSON."""
WAIT = {"Delay": 1, "MaxAttempts": 120}


@pytest.fixture(scope="module")
def subnet(instance: Instance) -> str:
    """A subnet with a container instance that has room for any of them."""
    ec2, ecs = instance.client("ec2"), instance.client("ecs")
    ecs.create_cluster(clusterName=CLUSTER)
    vpc = ec2.create_vpc(CidrBlock="10.95.0.0/16")["Vpc"]["VpcId"]
    made: str = ec2.create_subnet(VpcId=vpc, CidrBlock="10.95.1.0/24")["Subnet"]["SubnetId"]
    ec2.run_instances(
        ImageId="ami-12345678",
        InstanceType="m5.2xlarge",
        MinCount=1,
        MaxCount=1,
        SubnetId=made,
        UserData=f"#!/bin/bash\necho ECS_CLUSTER={CLUSTER} >> /etc/ecs/ecs.config\n",
    )
    connected = "agentConnected == true"
    eventually(
        lambda: ecs.list_container_instances(cluster=CLUSTER, filter=connected)["containerInstanceArns"],
        "the agent registers",
    )
    return made


def numbers(shape: Any, value: Any) -> Any:
    """`value` with numbers where the API wants them: some write "80", which the templates' tools accept."""
    match shape.type_name:
        case "structure":
            return {name: numbers(shape.members[name], item) for name, item in value.items()}
        case "list":
            return [numbers(shape.member, item) for item in value]
        case "integer":
            return int(value)
        case _:
            return value


def test_every_published_task_definition_registers_and_runs(instance: Instance, subnet: str, inputs: Path) -> None:
    ecs = instance.client("ecs")
    paths = [path for path in sorted((inputs / "taskdefs").glob("*.json")) if not path.name.endswith(EXCERPT)]
    assert paths
    shape = ecs.meta.service_model.operation_model("RegisterTaskDefinition").input_shape
    modes, tasks = set(), []
    for path in paths:
        given = numbers(shape, json.loads(path.read_text()))
        registered = ecs.register_task_definition(**given)["taskDefinition"]
        mode, fargate = registered["networkMode"], "FARGATE" in registered.get("requiresCompatibilities", ())
        request: dict[str, Any] = {"launchType": "FARGATE" if fargate else "EC2"}
        if mode == "awsvpc":
            request["networkConfiguration"] = {"awsvpcConfiguration": {"subnets": [subnet]}}
        reply = ecs.run_task(cluster=CLUSTER, taskDefinition=registered["taskDefinitionArn"], **request)
        assert reply["failures"] == [], path.name
        tasks.append(reply["tasks"][0]["taskArn"])
        modes.add((mode, request["launchType"]))
    ecs.get_waiter("tasks_running").wait(cluster=CLUSTER, tasks=tasks, WaiterConfig=WAIT)
    assert {("awsvpc", "FARGATE"), ("bridge", "EC2")} <= modes
