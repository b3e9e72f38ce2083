"""Instances move from state to state by what was seen, and their interfaces with them."""

from __future__ import annotations

from typing import Any

import pytest

from ecs_harness import Cloud
from ecsnet.control.observations import Observations
from ecsnet.fabric.kernel.plan import published_by
from ecsnet.hostplan.kernel import Namespace
from ecsnet.hostplan.messages import Applied
from ecsnet.model.ec2 import INSTANCE_TRANSITIONS, ObservedInstance
from ecsnet.model.tables import INSTANCES, OBSERVED_INSTANCES, OBSERVED_INTERFACES
from ecsnet.services.call import AwsError


def run(cloud: Cloud, **more: Any) -> dict[str, Any]:
    given = {"ImageId": "ami-1", "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1, **more}
    instance: dict[str, Any] = cloud.ec2("RunInstances", **given)["Instances"][0]
    return instance


def describe(cloud: Cloud, instance: str) -> dict[str, Any]:
    (reservation,) = cloud.ec2("DescribeInstances", InstanceIds=[instance])["Reservations"]
    shown: dict[str, Any] = reservation["Instances"][0]
    return shown


def state(cloud: Cloud, instance: str) -> str:
    return str(describe(cloud, instance)["State"]["Name"])


def test_it_runs_once_its_stack_and_primary_interface_were_seen(cloud: Cloud) -> None:
    cloud.agent_away = True
    made = run(cloud)
    cloud.settle()
    assert state(cloud, made["InstanceId"]) == "pending"
    assert made["NetworkInterfaces"][0]["Attachment"]["Status"] == "attaching"
    with cloud.store.transaction() as tx:
        tx.put(OBSERVED_INSTANCES, ObservedInstance(instance=made["InstanceId"], revision=1))
    cloud.settle()
    assert state(cloud, made["InstanceId"]) == "pending"
    cloud.agent_away = False
    cloud.settle()
    shown = describe(cloud, made["InstanceId"])
    assert shown["State"] == {"Code": 16, "Name": "running"}
    assert shown["NetworkInterfaces"][0]["Attachment"]["Status"] == "attached"
    (status,) = cloud.ec2("DescribeInstanceStatus")["InstanceStatuses"]
    assert status["InstanceStatus"]["Status"] == status["SystemStatus"]["Status"] == "ok"


def test_it_stops_and_starts_with_its_addresses_but_another_public_one(cloud: Cloud) -> None:
    made = run(cloud)
    cloud.settle()
    key = made["InstanceId"]
    cloud.agent_away = True
    cloud.ec2("StopInstances", InstanceIds=[key])
    cloud.settle()
    assert state(cloud, key) == "stopping"
    cloud.agent_away = False
    cloud.settle()
    stopped = describe(cloud, key)
    assert stopped["State"]["Name"] == "stopped"
    assert "PublicIpAddress" not in stopped
    assert stopped["PrivateIpAddress"] == made["PrivateIpAddress"]
    assert stopped["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    interface = stopped["NetworkInterfaces"][0]
    assert interface["Attachment"]["Status"] == "attached"
    assert cloud.store.snapshot.get(OBSERVED_INTERFACES, interface["NetworkInterfaceId"]) is None
    assert cloud.ec2("DescribeInstanceStatus")["InstanceStatuses"] == []
    cloud.ec2("StartInstances", InstanceIds=[key])
    assert state(cloud, key) == "pending"
    cloud.settle()
    started = describe(cloud, key)
    assert started["State"]["Name"] == "running"
    assert started["PublicIpAddress"] != made["PublicIpAddress"]
    assert started["PrivateIpAddress"] == made["PrivateIpAddress"]


def test_it_takes_its_interfaces_along_unless_they_are_to_stay(cloud: Cloud) -> None:
    kept = cloud.ec2("CreateNetworkInterface", SubnetId=cloud.subnets[0])["NetworkInterface"]["NetworkInterfaceId"]
    made = run(cloud, SubnetId=cloud.subnets[0])
    cloud.settle()
    key = made["InstanceId"]
    cloud.ec2("AttachNetworkInterface", InstanceId=key, NetworkInterfaceId=kept, DeviceIndex=1)
    cloud.settle()
    (attached,) = cloud.ec2("DescribeNetworkInterfaces", NetworkInterfaceIds=[kept])["NetworkInterfaces"]
    assert (attached["Status"], attached["Attachment"]["Status"]) == ("in-use", "attached")
    assert attached["Attachment"]["InstanceId"] == key
    cloud.agent_away = True
    cloud.ec2("TerminateInstances", InstanceIds=[key])
    cloud.settle()
    assert state(cloud, key) == "shutting-down"
    cloud.agent_away = False
    cloud.settle()
    ended = describe(cloud, key)
    assert ended["State"]["Name"] == "terminated"
    assert ended["NetworkInterfaces"] == []
    assert "VpcId" not in ended
    left = cloud.ec2("DescribeNetworkInterfaces")["NetworkInterfaces"]
    assert [(one["NetworkInterfaceId"], one["Status"]) for one in left] == [(kept, "available")]
    cloud.now += 3599
    cloud.settle()
    assert cloud.store.snapshot.get(INSTANCES, key) is not None
    cloud.now += 2
    cloud.settle()
    assert cloud.store.snapshot.get(INSTANCES, key) is None
    with pytest.raises(AwsError, match="does not exist"):
        describe(cloud, key)


def test_a_detached_interface_is_seen_anew_elsewhere(cloud: Cloud) -> None:
    moving = cloud.ec2("CreateNetworkInterface", SubnetId=cloud.subnets[0])["NetworkInterface"]["NetworkInterfaceId"]
    first, second = (run(cloud, SubnetId=cloud.subnets[0])["InstanceId"] for _ in range(2))
    cloud.settle()
    there = {"NetworkInterfaceId": moving, "DeviceIndex": 1}
    attachment = cloud.ec2("AttachNetworkInterface", InstanceId=first, **there)["AttachmentId"]
    cloud.settle()
    cloud.ec2("DetachNetworkInterface", AttachmentId=attachment)
    cloud.agent_away = True
    cloud.ec2("AttachNetworkInterface", InstanceId=second, **there)
    cloud.settle()
    (shown,) = cloud.ec2("DescribeNetworkInterfaces", NetworkInterfaceIds=[moving])["NetworkInterfaces"]
    assert shown["Status"] == "attaching"


def test_every_state_can_be_left_for_the_end() -> None:
    reached = {"pending"}
    while more := {after for one in reached for after in INSTANCE_TRANSITIONS[one]} - reached:  # type: ignore[index]
        reached |= more
    assert reached == set(INSTANCE_TRANSITIONS)
    assert all("shutting-down" in after for name, after in INSTANCE_TRANSITIONS.items() if name[0] != "t" and after
               and name != "shutting-down")  # fmt: skip


def observations(cloud: Cloud) -> Observations:
    return Observations(lambda account, region: cloud._open_call(), published_by)


def test_the_stack_is_gone_when_the_agent_has_taken_it_down(cloud: Cloud) -> None:
    key = run(cloud)["InstanceId"]
    stack = Namespace(name="i" + "0" * 12, owner=key)
    seen = observations(cloud)
    seen.planned(5, (stack,), ())
    seen.applied(Applied(revision=4), {})
    assert cloud.store.snapshot.get(OBSERVED_INSTANCES, key) is None
    seen.applied(Applied(revision=5), {})
    assert cloud.store.snapshot.get(OBSERVED_INSTANCES, key) is not None
    seen.planned(6, (), (stack.key,))
    seen.applied(Applied(revision=5), {})
    assert cloud.store.snapshot.get(OBSERVED_INSTANCES, key) is not None
    seen.applied(Applied(revision=6), {stack.key: "busy"})
    assert cloud.store.snapshot.get(OBSERVED_INSTANCES, key) is not None
    seen.applied(Applied(revision=7), {})
    assert cloud.store.snapshot.get(OBSERVED_INSTANCES, key) is None


def test_a_stack_that_went_while_control_was_away_is_gone(cloud: Cloud) -> None:
    gone, there = run(cloud)["InstanceId"], run(cloud)["InstanceId"]
    with cloud.store.transaction() as tx:
        for key in (gone, there):
            tx.put(OBSERVED_INSTANCES, ObservedInstance(instance=key, revision=1))
    seen = observations(cloud)
    seen.planned(5, (Namespace(name="i" + "0" * 12, owner=there),), ())
    seen.connected()
    seen.applied(Applied(revision=5), {})
    assert cloud.store.snapshot.get(OBSERVED_INSTANCES, gone) is None
    assert cloud.store.snapshot.get(OBSERVED_INSTANCES, there) is not None
