"""Auto Scaling groups: sizes, zones, health, hooks, targets, and capacity providers that scale them."""

from __future__ import annotations

import base64
import json
from collections import Counter
from typing import Any

import pytest

from ecs_harness import Cloud
from ecsnet.controllers.group_size import Member, places, surplus
from ecsnet.controllers.managed_scaling import Load, bins, outward, target
from ecsnet.model.capacity import ManagedScaling
from ecsnet.services.call import AwsError

USER_DATA = base64.b64encode(b"#!/bin/bash\necho ECS_CLUSTER=default >> /etc/ecs/ecs.config\n").decode()


def template(cloud: Cloud, **data: Any) -> str:
    given = {"ImageId": "ami-12345678", "InstanceType": "t3.medium", "UserData": USER_DATA} | data
    made = cloud.ec2("CreateLaunchTemplate", LaunchTemplateName="web", LaunchTemplateData=given)
    id: str = made["LaunchTemplate"]["LaunchTemplateId"]
    return id


def group(cloud: Cloud, name: str = "g", **more: Any) -> None:
    """A group of 0 to 10 instances over three subnets, unless `more` says otherwise."""
    request: dict[str, Any] = {"MinSize": 0, "MaxSize": 10, "VPCZoneIdentifier": ",".join(cloud.subnets[:3])}
    if "LaunchTemplate" not in more and "LaunchConfigurationName" not in more:
        request["LaunchTemplate"] = {"LaunchTemplateId": template(cloud), "Version": "$Latest"}
    cloud.autoscaling("CreateAutoScalingGroup", AutoScalingGroupName=name, **(request | more))
    cloud.settle()


def shown(cloud: Cloud, name: str = "g") -> Any:
    (found,) = cloud.autoscaling("DescribeAutoScalingGroups", AutoScalingGroupNames=[name])["AutoScalingGroups"]
    return found


def states(cloud: Cloud) -> Counter[str]:
    return Counter(one["LifecycleState"] for one in shown(cloud)["Instances"])


def ids(cloud: Cloud) -> set[str]:
    return {one["InstanceId"] for one in shown(cloud)["Instances"]}


# ── pure ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def member(number: int, az: str = "a", **more: Any) -> Member:
    given: dict[str, Any] = {"protected": False, "healthy": True, "current": True, "launched": float(number)}
    return Member(instance=f"i-{number}", subnet=f"subnet-{az}", az=az, **(given | more))


def test_new_instances_go_to_the_emptiest_zone() -> None:
    subnets = {"subnet-a": "a", "subnet-a2": "a", "subnet-b": "b"}
    assert places([member(1, "a"), member(2, "a")], subnets, 3) == ["subnet-b", "subnet-b", "subnet-a2"]


def test_surplus_ends_in_the_fullest_zone_the_outdated_first_and_never_the_protected() -> None:
    members = [member(1, "a"), member(2, "a", current=False), member(3, "a", protected=True), member(4, "b")]
    assert surplus(members, 1, ("Default",)) == ["i-2"]
    assert surplus(members, 9, ("Default",)) == ["i-2", "i-1", "i-4"]
    assert surplus(members, 1, ("NewestInstance",)) == ["i-2"]
    assert surplus([*members, member(5, "b", healthy=False)], 1, ("Default",)) == ["i-5"]


def test_tasks_fill_instances_first_fit() -> None:
    room = Load(cpu=2048, memory=4096, interfaces=2)
    assert bins([Load(cpu=1024, memory=1024, interfaces=1)] * 3, room) == 2
    assert bins([Load(cpu=1, memory=1, interfaces=1)] * 5, room) == 3, "the interfaces are what is short"
    assert bins([Load(cpu=4096, memory=1, interfaces=1)], room) == 0, "no number of instances would help"


def test_capacity_follows_target_and_steps() -> None:
    assert target(3, ManagedScaling(target_capacity=50)) == 6
    assert outward(0, 9, 10, ManagedScaling(minimum_step=1, maximum_step=4)) == 4
    assert outward(5, 6, 6, ManagedScaling(minimum_step=3, maximum_step=4)) == 6, "never above the maximum"


# ── size ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_group_reaches_its_capacity_over_its_zones_and_follows_it(cloud: Cloud) -> None:
    group(cloud, DesiredCapacity=6, Tags=[{"Key": "team", "Value": "x", "PropagateAtLaunch": True}])
    assert states(cloud) == {"InService": 6}
    assert set(Counter(one["AvailabilityZone"] for one in shown(cloud)["Instances"]).values()) == {2}
    reservations = cloud.ec2("DescribeInstances", InstanceIds=sorted(ids(cloud)))["Reservations"]
    tags = {tag["Key"]: tag["Value"] for tag in reservations[0]["Instances"][0]["Tags"]}
    assert tags == {"aws:autoscaling:groupName": "g", "team": "x"}
    cloud.autoscaling("SetDesiredCapacity", AutoScalingGroupName="g", DesiredCapacity=2)
    cloud.settle()
    assert states(cloud) == {"InService": 2}
    found = cloud.autoscaling("DescribeScalingActivities", AutoScalingGroupName="g")["Activities"]
    assert Counter(one["StatusCode"] for one in found) == {"Successful": 10}


def test_sizes_outside_the_bounds_are_refused(cloud: Cloud) -> None:
    group(cloud, MinSize=1, MaxSize=3)
    assert states(cloud) == {"InService": 1}
    with pytest.raises(AwsError, match="New SetDesiredCapacity value 4 is above max value 3 for the AutoScalingGroup"):
        cloud.autoscaling("SetDesiredCapacity", AutoScalingGroupName="g", DesiredCapacity=4)
    with pytest.raises(AwsError, match="while there are instances"):
        cloud.autoscaling("DeleteAutoScalingGroup", AutoScalingGroupName="g")
    with pytest.raises(AwsError, match="A group with the name g already exists"):
        group(cloud, LaunchTemplate={"LaunchTemplateName": "web"})


def test_an_instance_in_service_was_seen(cloud: Cloud) -> None:
    cloud.agent_away = True
    group(cloud, DesiredCapacity=2)
    assert states(cloud) == {"Pending": 2}
    cloud.agent_away = False
    cloud.settle()
    assert states(cloud) == {"InService": 2}


def test_a_refused_launch_is_told_and_tried_again_later(cloud: Cloud) -> None:
    id = template(cloud, SecurityGroupIds=["sg-0123456789abcdef0"])
    group(cloud, DesiredCapacity=1, LaunchTemplate={"LaunchTemplateId": id, "Version": "$Latest"})
    assert shown(cloud)["Instances"] == []
    (first,) = cloud.autoscaling("DescribeScalingActivities", AutoScalingGroupName="g")["Activities"]
    assert first["StatusCode"] == "Failed"
    assert "sg-0123456789abcdef0" in first["StatusMessage"]
    data = {"ImageId": "ami-12345678", "InstanceType": "t3.medium"}
    cloud.ec2("CreateLaunchTemplateVersion", LaunchTemplateId=id, LaunchTemplateData=data)
    cloud.wait(10)
    assert states(cloud) == {"InService": 1}


def test_a_launch_configuration_is_launched_and_stays_while_used(cloud: Cloud) -> None:
    cloud.autoscaling(
        "CreateLaunchConfiguration",
        LaunchConfigurationName="lc",
        ImageId="ami-12345678",
        InstanceType="t3.small",
        AssociatePublicIpAddress=True,
    )
    group(cloud, DesiredCapacity=1, LaunchConfigurationName="lc")
    (one,) = shown(cloud)["Instances"]
    assert (one["InstanceType"], one["LaunchConfigurationName"]) == ("t3.small", "lc")
    with pytest.raises(AwsError, match="it is attached to AutoScalingGroup g"):
        cloud.autoscaling("DeleteLaunchConfiguration", LaunchConfigurationName="lc")


def test_force_delete_takes_everything_away(cloud: Cloud) -> None:
    group(cloud, DesiredCapacity=3)
    gone = ids(cloud)
    cloud.autoscaling("DeleteAutoScalingGroup", AutoScalingGroupName="g", ForceDelete=True)
    assert shown(cloud)["Status"] == "Delete in progress"
    cloud.settle()
    assert cloud.autoscaling("DescribeAutoScalingGroups")["AutoScalingGroups"] == []
    found = cloud.ec2("DescribeInstances", InstanceIds=sorted(gone))["Reservations"]
    assert {one["State"]["Name"] for r in found for one in r["Instances"]} == {"terminated"}


# ── health ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_ended_instance_is_replaced(cloud: Cloud) -> None:
    group(cloud, DesiredCapacity=2)
    lost = min(ids(cloud))
    cloud.ec2("TerminateInstances", InstanceIds=[lost])
    cloud.settle()
    assert states(cloud) == {"InService": 2}
    assert lost not in ids(cloud)


def test_termination_on_request_with_and_without_replacement(cloud: Cloud) -> None:
    group(cloud, DesiredCapacity=2)
    for shrinks, left in ((False, 2), (True, 1)):
        cloud.autoscaling(
            "TerminateInstanceInAutoScalingGroup",
            InstanceId=min(ids(cloud)),
            ShouldDecrementDesiredCapacity=shrinks,
        )
        cloud.settle()
        assert states(cloud) == {"InService": left}


def test_instances_are_targets_and_drain_before_they_end(cloud: Cloud) -> None:
    arn = cloud.balancer(type="instance", delay=60)
    group(cloud, DesiredCapacity=1, TargetGroupARNs=[arn], HealthCheckType="ELB", HealthCheckGracePeriod=90)
    (first,) = ids(cloud)
    health = cloud.elbv2("DescribeTargetHealth", TargetGroupArn=arn)["TargetHealthDescriptions"]
    assert [(one["Target"]["Id"], one["Target"]["Port"]) for one in health] == [(first, 80)]
    cloud.probe(first, "unhealthy")
    cloud.wait(89)
    assert states(cloud) == {"InService": 1}, "the grace period"
    cloud.wait(2)
    assert states(cloud) == {"InService": 1, "Terminating": 1}
    (old,) = cloud.ec2("DescribeInstances", InstanceIds=[first])["Reservations"][0]["Instances"]
    assert old["State"]["Name"] == "running", "its connections drain"
    cloud.wait(61)
    assert states(cloud) == {"InService": 1}
    assert first not in ids(cloud)


# ── hooks ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def hook(cloud: Cloud, transition: str, **more: Any) -> None:
    cloud.autoscaling(
        "PutLifecycleHook",
        AutoScalingGroupName="g",
        LifecycleHookName="h",
        LifecycleTransition=f"autoscaling:EC2_INSTANCE_{transition}",
        HeartbeatTimeout=60,
        **more,
    )


def answer(cloud: Cloud, instance: str, result: str) -> None:
    cloud.autoscaling(
        "CompleteLifecycleAction",
        AutoScalingGroupName="g",
        LifecycleHookName="h",
        InstanceId=instance,
        LifecycleActionResult=result,
    )
    cloud.settle()


def test_a_launch_waits_for_its_hook(cloud: Cloud) -> None:
    group(cloud)
    hook(cloud, "LAUNCHING")
    cloud.autoscaling("SetDesiredCapacity", AutoScalingGroupName="g", DesiredCapacity=1)
    cloud.settle()
    assert states(cloud) == {"Pending:Wait": 1}
    (first,) = ids(cloud)
    answer(cloud, first, "ABANDON")
    assert states(cloud) == {"Pending:Wait": 1}
    (second,) = ids(cloud)
    assert second != first, "an abandoned launch is replaced"
    answer(cloud, second, "CONTINUE")
    assert states(cloud) == {"InService": 1}


def test_a_heartbeat_prolongs_and_silence_ends_a_wait(cloud: Cloud) -> None:
    group(cloud, DesiredCapacity=1)
    hook(cloud, "TERMINATING", DefaultResult="CONTINUE")
    cloud.autoscaling("SetDesiredCapacity", AutoScalingGroupName="g", DesiredCapacity=0)
    cloud.settle()
    assert states(cloud) == {"Terminating:Wait": 1}
    cloud.wait(50)
    (one,) = ids(cloud)
    cloud.autoscaling("RecordLifecycleActionHeartbeat", AutoScalingGroupName="g", LifecycleHookName="h", InstanceId=one)
    cloud.wait(50)
    assert states(cloud) == {"Terminating:Wait": 1}
    cloud.wait(15)
    assert states(cloud) == {}


# ── capacity providers ───────────────────────────────────────────────────────────────────────────────────────────────


def provider(cloud: Cloud, **scaling: Any) -> None:
    cloud.ecs("CreateCluster", clusterName="default")
    cloud.ecs(
        "CreateCapacityProvider",
        name="cp",
        autoScalingGroupProvider={
            "autoScalingGroupArn": shown(cloud)["AutoScalingGroupARN"],
            "managedScaling": {"status": "ENABLED", "targetCapacity": 100} | scaling,
            "managedTerminationProtection": "ENABLED",
        },
    )
    strategy = [{"capacityProvider": "cp", "weight": 1}]
    cloud.ecs(
        "PutClusterCapacityProviders",
        cluster="default",
        capacityProviders=["cp"],
        defaultCapacityProviderStrategy=strategy,
    )


def awsvpc(cloud: Cloud) -> dict[str, Any]:
    return {"awsvpcConfiguration": {"subnets": cloud.subnets[:3]}}


def test_waiting_tasks_bring_instances_and_idle_ones_go(cloud: Cloud) -> None:
    group(cloud)
    provider(cloud)
    cloud.definition(requiresCompatibilities=["EC2"], cpu="1024", memory="512")
    cloud.ecs(
        "CreateService", serviceName="s", taskDefinition="web", desiredCount=5, networkConfiguration=awsvpc(cloud)
    )
    cloud.settle()
    described = cloud.ecs("DescribeServices", services=["s"])["services"][0]
    assert described["runningCount"] == 5
    assert states(cloud) == {"InService": 3}, "a t3.medium holds two of them: 2,048 CPU units and three interfaces"
    cloud.ecs("UpdateService", service="s", desiredCount=1)
    cloud.wait(14 * 60)
    assert states(cloud) == {"InService": 3}
    cloud.wait(2 * 60)
    assert states(cloud) == {"InService": 1}, "after fifteen minutes the instances without tasks go"
    assert cloud.ecs("DescribeServices", services=["s"])["services"][0]["runningCount"] == 1


def test_instances_that_registered_before_belong_to_the_provider(cloud: Cloud) -> None:
    cloud.ecs("CreateCluster", clusterName="default")
    group(cloud, DesiredCapacity=1)
    provider(cloud)
    arns = cloud.ecs("ListContainerInstances")["containerInstanceArns"]
    found = cloud.ecs("DescribeContainerInstances", containerInstances=arns)["containerInstances"]
    assert [one["capacityProviderName"] for one in found] == ["cp"]


def test_the_wire_form_is_json_of_what_was_given(cloud: Cloud) -> None:
    policy = {
        "LaunchTemplate": {
            "LaunchTemplateSpecification": {"LaunchTemplateId": template(cloud), "Version": "$Latest"},
            "Overrides": [{"InstanceType": "c5.large"}, {"InstanceType": "m5.large"}],
        }
    }
    cloud.autoscaling(
        "CreateAutoScalingGroup",
        AutoScalingGroupName="g",
        MinSize=1,
        MaxSize=1,
        VPCZoneIdentifier=cloud.subnets[0],
        MixedInstancesPolicy=policy,
    )
    cloud.settle()
    found = shown(cloud)
    assert json.dumps(found["MixedInstancesPolicy"]) == json.dumps(policy)
    assert [one["InstanceType"] for one in found["Instances"]] == ["c5.large"]
