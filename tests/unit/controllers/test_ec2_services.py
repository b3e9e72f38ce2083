"""Services on container instances: placement, dynamic ports as targets, draining, daemons, capacity providers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from ecs_harness import Cloud
from ecsnet.model.tables import CONTAINER_INSTANCES, TARGETS, TASKS
from ecsnet.services.ecs import ops as ecs_ops


def create(cloud: Cloud, **more: Any) -> None:
    cloud.ecs("CreateService", **{"serviceName": "web", "taskDefinition": "web", "launchType": "EC2"} | more)


def service(cloud: Cloud) -> Any:
    return cloud.ecs("DescribeServices", services=["web"])["services"][0]


def events(cloud: Cloud) -> list[str]:
    return [one["message"] for one in service(cloud)["events"]]


def running(cloud: Cloud) -> Counter[str]:
    """Tasks that run, by container instance."""
    return Counter(
        task.container_instance or ""
        for task in cloud.store.snapshot.rows(TASKS)
        if task.last_status.value == "RUNNING" and task.desired_status == "RUNNING"
    )


PLACEMENT = (
    "(service web) was unable to place a task because no container instance met all of its requirements. {} For more "
    "information, see the Troubleshooting section of the Amazon ECS Developer Guide."
)


def test_a_service_spreads_over_zones_and_instances(cloud: Cloud) -> None:
    arns = [cloud.container_instance(number % 2) for number in range(4)]
    cloud.modal_definition("bridge", portMappings=[{"containerPort": 80}])
    create(cloud, desiredCount=4)
    cloud.settle()
    assert running(cloud) == Counter(arns)
    assert service(cloud)["deployments"][0]["rolloutState"] == "COMPLETED"


def test_a_task_that_finds_no_room_is_placed_when_there_is_some(cloud: Cloud) -> None:
    cloud.modal_definition("bridge")
    create(cloud, desiredCount=1)
    cloud.settle()
    none = "Reason: No Container Instances were found in your cluster."
    assert events(cloud)[0] == PLACEMENT.format(none)
    small = cloud.container_instance(cpu=64)
    cloud.settle()
    id = cloud.instance_row(small).id
    closest = f"The closest matching (container-instance {id}) has insufficient CPU units available."
    assert events(cloud)[0] == PLACEMENT.format(closest)
    large = cloud.container_instance()
    cloud.settle()
    assert running(cloud) == Counter([large])


def test_a_static_port_blocks_a_second_copy(cloud: Cloud) -> None:
    arn = cloud.container_instance()
    cloud.modal_definition("host", portMappings=[{"containerPort": 80}])
    create(cloud, desiredCount=2)
    cloud.settle()
    id = cloud.instance_row(arn).id
    closest = f"The closest matching (container-instance {id}) is already using a port required by your task."
    assert PLACEMENT.format(closest) in events(cloud)
    cloud.ecs("UpdateService", service="web", desiredCount=1)
    cloud.settle()
    assert running(cloud) == Counter([arn])


def test_dynamic_ports_are_the_targets(cloud: Cloud) -> None:
    arn = cloud.container_instance()
    cloud.modal_definition("bridge", portMappings=[{"containerPort": 80}])
    group = cloud.balancer("web", type="instance", delay=20)
    balancers = [{"targetGroupArn": group, "containerName": "app", "containerPort": 80}]
    create(cloud, desiredCount=2, loadBalancers=balancers)
    cloud.settle()
    instance = cloud.instance_row(arn).instance
    rows = list(cloud.store.snapshot.rows(TARGETS))
    assert {(row.id, row.port) for row in rows} == {(instance, 32768), (instance, 32769)}
    assert {str(row.address) for row in rows} == {
        one["PrivateIpAddress"]
        for one in cloud.ec2("DescribeNetworkInterfaces")["NetworkInterfaces"]
        if one["Attachment"].get("InstanceId") == instance or one["Attachment"]["DeviceIndex"] == 0
        if one["PrivateIpAddress"] == str(rows[0].address)
    }
    cloud.probe(instance, "healthy")
    cloud.settle()
    assert service(cloud)["deployments"][0]["rolloutState"] == "COMPLETED"
    cloud.ecs("UpdateService", service="web", desiredCount=1)
    cloud.settle()
    draining = [row.port for row in cloud.store.snapshot.rows(TARGETS) if row.draining_since is not None]
    assert len(draining) == 1
    cloud.wait(21)
    assert len(list(cloud.store.snapshot.rows(TARGETS))) == 1
    assert running(cloud) == Counter([arn])


def test_draining_replaces_before_it_stops(cloud: Cloud) -> None:
    first = cloud.container_instance()
    cloud.modal_definition("bridge")
    create(cloud, desiredCount=2)
    cloud.wait(60)
    second = cloud.container_instance()
    cloud.ecs("UpdateContainerInstancesState", containerInstances=[first], status="DRAINING")
    cloud.settle()
    assert running(cloud) == Counter({first: 2, second: 2}), "new ones are not healthy before they have settled"
    cloud.wait(60)
    assert running(cloud) == Counter({second: 2})
    assert cloud.instance_row(first).used.cpu == 0


def test_a_deployment_that_needs_the_same_port_stops_first(cloud: Cloud) -> None:
    arn = cloud.container_instance()
    cloud.modal_definition("host", portMappings=[{"containerPort": 80}])
    create(
        cloud,
        desiredCount=1,
        deploymentConfiguration={"minimumHealthyPercent": 0, "maximumPercent": 100},
    )
    cloud.wait(60)
    cloud.modal_definition("host", portMappings=[{"containerPort": 80}])
    cloud.ecs("UpdateService", service="web", taskDefinition="web")
    cloud.wait(60)
    assert running(cloud) == Counter([arn])
    assert service(cloud)["deployments"][0]["taskDefinition"].endswith(":2")
    assert service(cloud)["deployments"][0]["rolloutState"] == "COMPLETED"


def test_daemon(cloud: Cloud) -> None:
    arns = [cloud.container_instance() for _ in range(2)]
    cloud.modal_definition("host")
    create(cloud, schedulingStrategy="DAEMON")
    cloud.settle()
    assert running(cloud) == Counter(arns)
    assert service(cloud)["desiredCount"] == 2
    assert service(cloud)["deploymentConfiguration"]["maximumPercent"] == 100
    third = cloud.container_instance()
    cloud.settle()
    assert running(cloud) == Counter([*arns, third])
    cloud.ecs("UpdateContainerInstancesState", containerInstances=[third], status="DRAINING")
    cloud.settle()
    assert running(cloud) == Counter(arns)
    cloud.modal_definition("host")
    cloud.ecs("UpdateService", service="web", taskDefinition="web")
    cloud.wait(60)
    assert running(cloud) == Counter(arns)
    assert [one["rolloutState"] for one in service(cloud)["deployments"]] == ["COMPLETED"]
    row = cloud.instance_row(arns[0])
    cloud.change(lambda call: ecs_ops.set_agent_connected(call, row, False))
    cloud.settle()
    assert running(cloud) == Counter(arns), "an agent that is away keeps its task"


def test_daemons_follow_their_constraints(cloud: Cloud) -> None:
    arns = [cloud.container_instance() for _ in range(2)]
    cloud.modal_definition("bridge")
    expression = "attribute:role == logs"
    create(
        cloud,
        schedulingStrategy="DAEMON",
        placementConstraints=[{"type": "memberOf", "expression": expression}],
    )
    cloud.settle()
    assert running(cloud) == Counter()
    cloud.ecs("PutAttributes", attributes=[{"name": "role", "value": "logs", "targetId": arns[1]}])
    cloud.settle()
    assert running(cloud) == Counter([arns[1]])
    cloud.ecs("DeleteAttributes", attributes=[{"name": "role", "targetId": arns[1]}])
    cloud.settle()
    assert running(cloud) == Counter()


def test_daemon_and_fargate_do_not_go_together(cloud: Cloud) -> None:
    cloud.definition()
    assert cloud.error(
        "CreateService",
        serviceName="web",
        taskDefinition="web",
        launchType="FARGATE",
        schedulingStrategy="DAEMON",
        networkConfiguration=cloud.network(),
    ) == (
        "InvalidParameterException",
        "The daemon scheduling strategy is not supported with the FARGATE launch type.",
    )


def test_what_instances_hold_is_the_sum_of_their_tasks(cloud: Cloud) -> None:
    """After scaling, redeploying, failing and deleting, nothing is left behind on any instance."""
    for number in range(3):
        cloud.container_instance(number % 2)
    cloud.modal_definition("bridge", portMappings=[{"containerPort": 80}, {"containerPort": 90, "hostPort": 9000}])
    create(cloud, desiredCount=3)
    cloud.wait(60)
    cloud.modal_definition("bridge", image="broken", portMappings=[{"containerPort": 80}])
    cloud.broken_images = {"broken"}
    cloud.ecs("UpdateService", service="web", taskDefinition="web")
    cloud.wait(200)
    cloud.ecs("DeleteService", service="web", force=True)
    cloud.wait(60)
    for row in cloud.store.snapshot.rows(CONTAINER_INSTANCES):
        assert row.used == msgspec.structs.replace(row.used, cpu=0, memory=0, ports=(), dynamic=(), enis=0)
