"""Every paginator and waiter that an AWS client has for ECS, and tags that follow from service to task to interface."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from ecsnet.testing.instance import Instance

pytestmark = pytest.mark.network

CLUSTER = "clients"
WAIT = {"Delay": 1, "MaxAttempts": 60}


@pytest.fixture(scope="module")
def service(instance: Instance) -> str:
    """A stable service of three tasks; its name."""
    ec2, ecs = instance.client("ec2"), instance.client("ecs")
    ecs.create_cluster(clusterName=CLUSTER)
    vpc = ec2.create_vpc(CidrBlock="10.97.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.97.1.0/24")["Subnet"]["SubnetId"]
    definition = {"networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512"}
    for number in range(3):
        ecs.register_task_definition(
            family=f"clients-{number}", containerDefinitions=[{"name": "app", "image": "absent"}], **definition
        )
    ecs.create_service(
        cluster=CLUSTER,
        serviceName="web",
        taskDefinition="clients-0",
        desiredCount=3,
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet]}},
        tags=[{"key": "team", "value": "blue"}],
        propagateTags="SERVICE",
        enableECSManagedTags=True,
    )
    ecs.get_waiter("services_stable").wait(cluster=CLUSTER, services=["web"], WaiterConfig=WAIT)
    return "web"


PAGES: list[tuple[str, str, dict[str, Any], int]] = [
    ("list_clusters", "clusterArns", {}, 1),
    ("list_services", "serviceArns", {"cluster": CLUSTER}, 1),
    ("list_tasks", "taskArns", {"cluster": CLUSTER}, 3),
    ("list_task_definitions", "taskDefinitionArns", {}, 3),
    ("list_task_definition_families", "families", {}, 3),
    ("list_container_instances", "containerInstanceArns", {"cluster": CLUSTER}, 0),
    ("list_attributes", "attributes", {"cluster": CLUSTER, "targetType": "container-instance"}, 0),
    ("list_account_settings", "settings", {"effectiveSettings": True}, 11),
]
NOT_THERE = {"list_services_by_namespace"}


@pytest.mark.parametrize(("operation", "result", "request_", "expected"), PAGES)
def test_pages(
    instance: Instance, service: str, operation: str, result: str, request_: dict[str, Any], expected: int
) -> None:
    paginator = instance.client("ecs").get_paginator(operation)
    found = [item for page in paginator.paginate(**request_, PaginationConfig={"PageSize": 2}) for item in page[result]]
    assert len(found) == expected
    assert len({str(item) for item in found}) == expected


def test_every_paginator_and_waiter_is_tried_here(instance: Instance) -> None:
    """Apart from those of gateways and of the daemon resource, of which ecsnet has no operation at all."""
    ecs = instance.client("ecs")
    listed = {name for name in dir(ecs) if name.startswith("list_") and ecs.can_paginate(name)}
    tried = {operation for operation, *_ in PAGES} | NOT_THERE
    assert {name for name in listed - tried if "gateway" not in name} == set()
    waiters = {name for name in ecs.waiter_names if not name.startswith("daemon_")}
    assert waiters == {"services_inactive", "services_stable", "tasks_running", "tasks_stopped"}


def test_tags_of_the_service_reach_tasks_and_interfaces(instance: Instance, service: str) -> None:
    ecs = instance.client("ecs")
    arns = ecs.list_tasks(cluster=CLUSTER, serviceName=service)["taskArns"]
    for task in ecs.describe_tasks(cluster=CLUSTER, tasks=arns, include=["TAGS"])["tasks"]:
        tags = {one["key"]: one["value"] for one in task["tags"]}
        assert tags == {"team": "blue", "aws:ecs:clusterName": CLUSTER, "aws:ecs:serviceName": service}
        eni = next(one["value"] for one in task["attachments"][0]["details"] if one["name"] == "networkInterfaceId")
        (found,) = instance.client("ec2").describe_network_interfaces(NetworkInterfaceIds=[eni])["NetworkInterfaces"]
        assert {"Key": "aws:ecs:serviceName", "Value": service} in found["TagSet"]


@pytest.mark.parametrize(
    ("operation", "request_"),
    [("list_services_by_namespace", {"namespace": "local"}), ("discover_poll_endpoint", {})],
)
def test_what_is_not_there_says_so(instance: Instance, operation: str, request_: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(instance.client("ecs"), operation)(**request_)
    assert caught.value.response["Error"]["Code"] == "NotImplemented"


def test_waiters_see_tasks_stop_and_services_go(instance: Instance, service: str) -> None:
    ecs = instance.client("ecs")
    (first, *_) = ecs.list_tasks(cluster=CLUSTER, serviceName=service)["taskArns"]
    with pytest.raises(ClientError) as caught:
        ecs.execute_command(cluster=CLUSTER, task=first, command="sh", interactive=True)
    assert "execute command was not enabled when the task was run" in caught.value.response["Error"]["Message"]
    ecs.stop_task(cluster=CLUSTER, task=first)
    ecs.get_waiter("tasks_stopped").wait(cluster=CLUSTER, tasks=[first], WaiterConfig=WAIT)
    ecs.get_waiter("services_stable").wait(cluster=CLUSTER, services=[service], WaiterConfig=WAIT)
    tasks = ecs.list_tasks(cluster=CLUSTER, serviceName=service)["taskArns"]
    assert len(tasks) == 3
    ecs.get_waiter("tasks_running").wait(cluster=CLUSTER, tasks=tasks, WaiterConfig=WAIT)
    ecs.delete_service(cluster=CLUSTER, service=service, force=True)
    ecs.get_waiter("services_inactive").wait(cluster=CLUSTER, services=[service], WaiterConfig=WAIT)
