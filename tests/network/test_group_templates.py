"""Public templates whose services run on an Auto Scaling group's instances: they scale it, and answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_templates import answers

from ecsnet.cli.errors import CliError, Exit
from ecsnet.testing.instance import Instance
from ecsnet.testing.waiting import eventually

pytestmark = [pytest.mark.network, pytest.mark.inputs, pytest.mark.timeout(180)]

PATTERNS = "templates/aws-samples+container-patterns/pattern"


def test_a_service_in_bridge_mode_brings_its_instance_and_answers(instance: Instance, inputs: Path) -> None:
    """The group begins empty: the waiting tasks make the capacity provider launch an instance. Both tasks run on it,
    behind host ports of their own, and only the load balancer gets there."""
    template = inputs / PATTERNS / "public-facing-web-ecs-ec2-cloudformation" / "files" / "parent.yml"
    instance.deploy(template, "machines", {})
    (group,) = instance.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    assert [one["LifecycleState"] for one in group["Instances"]] == ["InService"]
    assert (group["DesiredCapacity"], group["MinSize"]) == (1, 0)

    elbv2 = instance.client("elbv2")
    (balancer,) = elbv2.describe_load_balancers()["LoadBalancers"]
    (target_group,) = elbv2.describe_target_groups(LoadBalancerArn=balancer["LoadBalancerArn"])["TargetGroups"]
    targets = [
        one["Target"]
        for one in elbv2.describe_target_health(TargetGroupArn=target_group["TargetGroupArn"])[
            "TargetHealthDescriptions"
        ]
    ]
    machine = group["Instances"][0]["InstanceId"]
    assert [one["Id"] for one in targets] == [machine, machine]
    assert len({one["Port"] for one in targets}) == 2
    assert all(32768 <= one["Port"] <= 60999 for one in targets)

    seen = answers(instance, f"http://{balancer['DNSName']}", 20)
    assert {status for status, _ in seen} == {200}
    assert len(seen) == 2, "both tasks answer"

    described = instance.client("ec2").describe_instances(InstanceIds=[machine])["Reservations"][0]["Instances"][0]
    with pytest.raises(CliError) as caught:
        instance.curl(f"http://{described['PublicIpAddress']}:{targets[0]['Port']}/", timeout=1.0)
    assert caught.value.code is Exit.TIMED_OUT, "the instance's group admits the load balancer alone"


def test_an_instance_that_ends_is_replaced_with_its_tasks(instance: Instance) -> None:
    autoscaling = instance.client("autoscaling")
    (group,) = autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    lost = group["Instances"][0]["InstanceId"]
    instance.client("ec2").terminate_instances(InstanceIds=[lost])
    (balancer,) = instance.client("elbv2").describe_load_balancers()["LoadBalancers"]

    def replaced() -> bool:
        (now,) = autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]
        serving = {one["InstanceId"] for one in now["Instances"] if one["LifecycleState"] == "InService"}
        if lost in serving or not serving:
            return False
        return {status for status, _ in answers(instance, f"http://{balancer['DNSName']}", 4)} == {200}

    eventually(replaced, "another instance runs the tasks and the load balancer finds them", timeout=90)
