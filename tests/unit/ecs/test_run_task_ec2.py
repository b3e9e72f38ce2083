"""RunTask and StartTask on container instances: where tasks go, and why they do not."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ecs_harness import Cloud
from ecsnet.services.ecs import ops as ecs_ops


def run(cloud: Cloud, **more: Any) -> Any:
    return cloud.ecs("RunTask", **{"taskDefinition": "web", "launchType": "EC2"} | more)


def test_without_instances_it_is_an_error(cloud: Cloud) -> None:
    cloud.modal_definition("bridge")
    assert cloud.error("RunTask", taskDefinition="web") == (
        "InvalidParameterException",
        "No Container Instances were found in your cluster.",
    )


def test_a_bridge_task_begins_pending_and_stays_so_while_nothing_is_seen(cloud: Cloud) -> None:
    arn = cloud.container_instance()
    cloud.modal_definition("bridge")
    task = run(cloud)["tasks"][0]
    assert (task["lastStatus"], task["launchType"], task["containerInstanceArn"]) == ("PENDING", "EC2", arn)
    assert task["attachments"] == []
    assert "platformVersion" not in task
    cloud.agent_away = True
    cloud.settle()
    assert cloud.task(task["taskArn"])["lastStatus"] == "PENDING"
    cloud.agent_away = False
    cloud.settle()
    assert cloud.task(task["taskArn"])["lastStatus"] == "RUNNING"


def test_one_static_port_per_instance(cloud: Cloud) -> None:
    cloud.container_instance()
    cloud.container_instance(1)
    cloud.modal_definition("bridge", portMappings=[{"containerPort": 80, "hostPort": 80}])
    reply = run(cloud, count=3)
    assert len({task["containerInstanceArn"] for task in reply["tasks"]}) == 2
    assert [one["reason"] for one in reply["failures"]] == ["RESOURCE:PORTS", "RESOURCE:PORTS"]


def test_interfaces_are_limited_by_the_type(cloud: Cloud) -> None:
    arn = cloud.container_instance()
    cloud.modal_definition("awsvpc")
    reply = run(cloud, count=3, networkConfiguration=cloud.network())
    assert len(reply["tasks"]) == 2
    assert reply["failures"] == [{"arn": arn, "reason": "RESOURCE:ENI"}]
    enis = [cloud.row(task["taskArn"]).interface for task in reply["tasks"]]
    shown = cloud.ec2("DescribeNetworkInterfaces", NetworkInterfaceIds=enis)["NetworkInterfaces"]
    assert sorted(one["Attachment"]["DeviceIndex"] for one in shown) == [1, 2]
    assert all(one["AvailabilityZone"] == "us-east-1a" for one in shown)
    cloud.settle()
    assert {cloud.task(task["taskArn"])["lastStatus"] for task in reply["tasks"]} == {"RUNNING"}


def test_the_interface_is_made_in_the_zone_of_the_instance(cloud: Cloud) -> None:
    arn = cloud.container_instance(1)
    cloud.modal_definition("awsvpc")
    reply = run(cloud, networkConfiguration=cloud.network(subnets=2))
    assert cloud.row(reply["tasks"][0]["taskArn"]).subnet == cloud.subnets[1]
    reply = run(cloud, networkConfiguration=cloud.network(subnets=1))
    assert reply["failures"] == [{"arn": arn, "reason": "LOCATION"}]


def test_reasons(cloud: Cloud) -> None:
    arn = cloud.container_instance(cpu=1024, memory=1024)
    for container, reason in (
        ({"cpu": 2048}, "RESOURCE:CPU"),
        ({"memory": 2048}, "RESOURCE:MEMORY"),
        ({"memory": 2048, "memoryReservation": 512}, None),
        ({"logConfiguration": {"logDriver": "splunk"}}, "ATTRIBUTE"),
    ):
        cloud.modal_definition("bridge", **container)
        reply = run(cloud)
        assert [one["reason"] for one in reply["failures"]] == ([reason] if reason else [])
    cloud.modal_definition("bridge")
    row = cloud.instance_row(arn)
    cloud.change(lambda call: ecs_ops.set_agent_connected(call, row, False))
    assert run(cloud)["failures"] == [{"arn": arn, "reason": "AGENT"}]


def test_strategies_and_constraints(cloud: Cloud) -> None:
    arns = [cloud.container_instance(number % 2) for number in range(4)]
    cloud.modal_definition("bridge")
    spread = [{"type": "spread", "field": "attribute:ecs.availability-zone"}]
    zones = Counter(task["availabilityZone"] for task in run(cloud, count=4, placementStrategy=spread)["tasks"])
    assert zones == {"us-east-1a": 2, "us-east-1b": 2}
    packed = run(cloud, count=5, group="g", placementStrategy=[{"type": "binpack", "field": "cpu"}])["tasks"]
    assert len({task["containerInstanceArn"] for task in packed}) == 1
    apart = run(cloud, count=5, group="h", placementConstraints=[{"type": "distinctInstance"}])
    assert {task["containerInstanceArn"] for task in apart["tasks"]} == set(arns)
    assert {one["reason"] for one in apart["failures"]} == {"DistinctInstance placement constraint unsatisfied."}
    member = [{"type": "memberOf", "expression": "attribute:ecs.availability-zone == us-east-1b"}]
    chosen = run(cloud, count=3, placementConstraints=member)["tasks"]
    assert {task["availabilityZone"] for task in chosen} == {"us-east-1b"}
    near = [{"type": "memberOf", "expression": "task:group == g"}]
    assert (
        run(cloud, placementConstraints=near)["tasks"][0]["containerInstanceArn"] == (packed[0]["containerInstanceArn"])
    )
    code, text = cloud.error("RunTask", taskDefinition="web", placementConstraints=[{"type": "memberOf"}])
    assert (code, text) == ("InvalidParameterException", "A memberOf placement constraint needs an expression.")


def test_draining_instances_get_nothing(cloud: Cloud) -> None:
    arn = cloud.container_instance()
    cloud.modal_definition("bridge")
    cloud.ecs("UpdateContainerInstancesState", containerInstances=[arn], status="DRAINING")
    assert cloud.error("RunTask", taskDefinition="web")[1] == "No Container Instances were found in your cluster."
    assert cloud.ecs("StartTask", taskDefinition="web", containerInstances=[arn])["failures"] == [
        {"arn": arn, "reason": "INACTIVE"}
    ]
    cloud.ecs("UpdateContainerInstancesState", containerInstances=[arn], status="ACTIVE")
    assert len(run(cloud)["tasks"]) == 1


def test_start_task_goes_where_it_is_told(cloud: Cloud) -> None:
    arns = [cloud.container_instance() for _ in range(3)]
    cloud.modal_definition("host", portMappings=[{"containerPort": 80}])
    reply = cloud.ecs("StartTask", taskDefinition="web", containerInstances=[arns[1], arns[2], "0" * 32])
    assert [task["containerInstanceArn"] for task in reply["tasks"]] == arns[1:]
    assert [one["reason"] for one in reply["failures"]] == ["MISSING"]
    again = cloud.ecs("StartTask", taskDefinition="web", containerInstances=[arns[1]])
    assert again["failures"] == [{"arn": arns[1], "reason": "RESOURCE:PORTS"}]
    listed = cloud.ecs("ListTasks", containerInstance=arns[1])["taskArns"]
    assert listed == [reply["tasks"][0]["taskArn"]]


def test_a_managed_provider_lets_tasks_wait_for_an_instance(cloud: Cloud) -> None:
    group = "arn:aws:autoscaling:us-east-1:111122223333:autoScalingGroup:uuid:autoScalingGroupName/asg"
    cloud.ecs(
        "CreateCapacityProvider",
        name="cp",
        autoScalingGroupProvider={"autoScalingGroupArn": group, "managedScaling": {"status": "ENABLED"}},
    )
    strategy = [{"capacityProvider": "cp", "weight": 1}]
    cloud.ecs(
        "PutClusterCapacityProviders",
        cluster="default",
        capacityProviders=["cp"],
        defaultCapacityProviderStrategy=strategy,
    )
    cloud.modal_definition("bridge")
    tasks = [cloud.ecs("RunTask", taskDefinition="web")["tasks"][0]["taskArn"] for _ in range(2)]
    cloud.settle()
    assert [cloud.task(arn)["lastStatus"] for arn in tasks] == ["PROVISIONING", "PROVISIONING"]
    cloud.ecs("StopTask", task=tasks[1])
    cloud.container_instance(group="other")
    cloud.settle()
    assert [cloud.task(arn)["lastStatus"] for arn in tasks] == ["PROVISIONING", "STOPPED"]
    arn = cloud.container_instance(group="asg")
    cloud.settle()
    one = cloud.task(tasks[0])
    assert (one["lastStatus"], one["containerInstanceArn"], one["capacityProviderName"]) == ("RUNNING", arn, "cp")
    assert cloud.error("DeleteCapacityProvider", capacityProvider="cp")[0] == "ResourceInUseException"


def test_a_task_does_not_wait_for_ever(cloud: Cloud) -> None:
    cloud.ecs(
        "CreateCapacityProvider",
        name="cp",
        autoScalingGroupProvider={"autoScalingGroupArn": "asg", "managedScaling": {"status": "ENABLED"}},
    )
    cloud.ecs(
        "PutClusterCapacityProviders",
        cluster="default",
        capacityProviders=["cp"],
        defaultCapacityProviderStrategy=[{"capacityProvider": "cp", "weight": 1}],
    )
    cloud.modal_definition("bridge")
    task = cloud.ecs("RunTask", taskDefinition="web")["tasks"][0]["taskArn"]
    cloud.wait(1801)
    one = cloud.task(task)
    assert (one["lastStatus"], one["stopCode"]) == ("STOPPED", "TaskFailedToStart")
    assert one["stoppedReason"] == "TaskFailedToStart: EMPTY CAPACITY PROVIDER"
