"""The service scheduler behind a load balancer: registration, health, replacement, draining."""

from __future__ import annotations

from typing import Any

import pytest

from ecs_harness import Cloud
from ecsnet.controllers import target_health
from ecsnet.model.tables import TARGETS


@pytest.fixture
def group(cloud: Cloud) -> str:
    """ARN of an ip target group behind a listener, deregistration delay 20 s."""
    return cloud.balancer(delay=20)


def create(cloud: Cloud, group: str, *, desired: int = 1, **more: Any) -> None:
    cloud.definition()
    cloud.ecs(
        "CreateService",
        serviceName="web",
        taskDefinition="web",
        desiredCount=desired,
        launchType="FARGATE",
        networkConfiguration=cloud.network(),
        loadBalancers=[{"targetGroupArn": group, "containerName": "app", "containerPort": 80}],
        **more,
    )
    cloud.settle()


def service(cloud: Cloud) -> Any:
    return cloud.ecs("DescribeServices", services=["web"])["services"][0]


def messages(cloud: Cloud) -> list[str]:
    return [event["message"] for event in service(cloud)["events"]]


def tasks(cloud: Cloud) -> list[Any]:
    arns = cloud.ecs("ListTasks", serviceName="web")["taskArns"]
    return cloud.ecs("DescribeTasks", tasks=arns)["tasks"] if arns else []


def address(task: Any) -> str:
    details = {one["name"]: one["value"] for one in task["attachments"][0]["details"]}
    return str(details["privateIPv4Address"])


def probe_all(cloud: Cloud) -> None:
    """The probes find every running task healthy."""
    for task in tasks(cloud):
        cloud.probe(address(task), "healthy")
    cloud.settle()


def targets(cloud: Cloud) -> dict[str, bool]:
    """Address → whether it drains."""
    return {one.id: one.draining_since is not None for one in cloud.store.snapshot.rows(TARGETS)}


def test_registers_and_completes_only_when_healthy(cloud: Cloud, group: str) -> None:
    create(cloud, group, desired=2)
    assert service(cloud)["runningCount"] == 2
    assert service(cloud)["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    assert targets(cloud) == {address(task): False for task in tasks(cloud)}
    assert f"(service web) registered 1 targets in (target-group {group})" in messages(cloud)
    probe_all(cloud)
    assert service(cloud)["deployments"][0]["rolloutState"] == "COMPLETED"
    assert messages(cloud)[0] == "(service web) has reached a steady state."


def test_a_task_that_fails_its_checks_is_replaced_first_and_stopped_then(cloud: Cloud, group: str) -> None:
    create(cloud, group)
    probe_all(cloud)
    bad = tasks(cloud)[0]
    cloud.probe(address(bad), "unhealthy", reason="Target.Timeout", description="Request timed out")
    cloud.settle()
    both = {task["taskArn"] for task in tasks(cloud)}
    assert len(both) == 2
    assert bad["taskArn"] in both
    id = bad["taskArn"].rsplit("/")[-1]
    assert (
        f"(service web) (task {id}) (port 80) is unhealthy in (target-group {group}) due to (reason Request timed out)"
    ) in messages(cloud)

    fresh = next(task for task in tasks(cloud) if task["taskArn"] != bad["taskArn"])
    cloud.probe(address(fresh), "healthy")
    cloud.settle()
    assert [task["taskArn"] for task in tasks(cloud)] == [fresh["taskArn"]]
    ended = cloud.task(bad["taskArn"])
    assert ended["lastStatus"] == "DEACTIVATING"
    assert ended["stopCode"] == "ServiceSchedulerInitiated"
    assert ended["stoppedReason"] == f"Task failed ELB health checks in (target-group {group})"
    assert targets(cloud)[address(bad)] is True
    cloud.wait(21)
    assert cloud.task(bad["taskArn"])["lastStatus"] == "STOPPED"
    assert list(targets(cloud)) == [address(fresh)]


def test_the_grace_period_forgives_failing_checks(cloud: Cloud, group: str) -> None:
    create(cloud, group, healthCheckGracePeriodSeconds=60)
    only = tasks(cloud)[0]
    cloud.probe(address(only), "unhealthy", description="Health checks failed")
    cloud.wait(59)
    assert [task["taskArn"] for task in tasks(cloud)] == [only["taskArn"]]
    cloud.wait(2)
    assert len(tasks(cloud)) == 2


def test_a_task_drains_before_its_processes_are_stopped(cloud: Cloud, group: str) -> None:
    create(cloud, group)
    probe_all(cloud)
    task = tasks(cloud)[0]
    cloud.ecs("UpdateService", service="web", desiredCount=0)
    cloud.wait(19)
    now = cloud.task(task["taskArn"])
    assert (now["lastStatus"], now["desiredStatus"]) == ("DEACTIVATING", "STOPPED")
    assert now["containers"][0]["lastStatus"] == "RUNNING"
    deployment = service(cloud)["deployments"][0]["id"]
    assert now["stoppedReason"] == f"Scaling activity initiated by (deployment {deployment})"
    assert f"(service web) deregistered 1 targets in (target-group {group})" in messages(cloud)
    assert f"(service web, taskSet {deployment}) has begun draining connections on 1 tasks." in messages(cloud)
    cloud.wait(2)
    assert cloud.task(task["taskArn"])["lastStatus"] == "STOPPED"
    assert targets(cloud) == {}


def test_a_rolling_update_keeps_healthy_targets(cloud: Cloud, group: str) -> None:
    create(cloud, group, desired=2)
    probe_all(cloud)
    old = {task["taskArn"] for task in tasks(cloud)}
    cloud.ecs("UpdateService", service="web", forceNewDeployment=True)
    cloud.settle()
    assert len(tasks(cloud)) == 4
    fresh = [task for task in tasks(cloud) if task["taskArn"] not in old]
    cloud.probe(address(fresh[0]), "healthy")
    cloud.settle()
    assert len(tasks(cloud)) == 3
    cloud.probe(address(fresh[1]), "healthy")
    cloud.settle()
    assert {task["taskArn"] for task in tasks(cloud)} == {task["taskArn"] for task in fresh}
    assert len(service(cloud)["deployments"]) == 1


def test_probes_of_what_is_not_registered_are_dropped(cloud: Cloud, group: str) -> None:
    create(cloud, group)
    only = address(tasks(cloud)[0])
    with cloud.store.transaction() as tx:
        target_health.record(cloud.call(tx), group, "10.9.9.9", 80, True)
        target_health.record(cloud.call(tx), group, only, 80, False, "Target.ResponseCodeMismatch", "codes: [404]")
    shown = cloud.elbv2("DescribeTargetHealth", TargetGroupArn=group)["TargetHealthDescriptions"]
    assert [(one["Target"]["Id"], one["TargetHealth"]["State"]) for one in shown] == [(only, "unhealthy")]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"containerName": "db"}, "The container db does not exist in the task definition."),
        ({"containerPort": 81}, "The container app did not have a container port 81 defined."),
        ({"targetGroupArn": "arn:x"}, "The target group arn:x does not exist."),
    ],
)
def test_refuses_a_load_balancer_that_does_not_fit(cloud: Cloud, group: str, change: dict[str, Any], text: str) -> None:
    cloud.definition()
    balancer = {"targetGroupArn": group, "containerName": "app", "containerPort": 80} | change
    request = {"serviceName": "web", "taskDefinition": "web", "desiredCount": 1, "launchType": "FARGATE"}
    network = cloud.network()
    assert cloud.error("CreateService", **request, networkConfiguration=network, loadBalancers=[balancer]) == (
        "InvalidParameterException",
        text,
    )


def test_refuses_a_load_balancer_for_a_port_of_two_protocols(cloud: Cloud, group: str) -> None:
    ports = [{"containerPort": 80, "protocol": protocol} for protocol in ("tcp", "udp")]
    container = {"name": "app", "image": "web:1", "portMappings": [*ports, {"containerPort": 81}]}
    cloud.definition(containerDefinitions=[container])
    request = {
        "serviceName": "web",
        "taskDefinition": "web",
        "desiredCount": 1,
        "launchType": "FARGATE",
        "networkConfiguration": cloud.network(),
    }
    balancer = {"targetGroupArn": group, "containerName": "app"}
    code, text = cloud.error("CreateService", **request, loadBalancers=[balancer | {"containerPort": 80}])
    assert (code, text) == (
        "InvalidParameterException",
        "Container port 80 is used in more than one port mapping for container app",
    )
    cloud.ecs("CreateService", **request, loadBalancers=[balancer | {"containerPort": 81}])


def test_refuses_target_groups_of_the_wrong_kind(cloud: Cloud) -> None:
    cloud.definition()
    vpc = cloud.ec2("DescribeVpcs")["Vpcs"][0]["VpcId"]
    made = {
        kind: cloud.elbv2("CreateTargetGroup", Name=kind, Protocol="HTTP", Port=80, VpcId=vpc, TargetType=kind)[
            "TargetGroups"
        ][0]["TargetGroupArn"]
        for kind in ("instance", "ip")
    }

    def refused(group: str) -> str:
        return cloud.error(
            "CreateService",
            serviceName="web",
            taskDefinition="web",
            desiredCount=1,
            launchType="FARGATE",
            networkConfiguration=cloud.network(),
            loadBalancers=[{"targetGroupArn": group, "containerName": "app", "containerPort": 80}],
        )[1]

    assert refused(made["instance"]) == (
        f"The provided target group {made['instance']} has target type instance, which is incompatible with the awsvpc "
        "network mode specified in the task definition."
    )
    assert refused(made["ip"]) == (
        f"The target group with targetGroupArn {made['ip']} does not have an associated load balancer."
    )
