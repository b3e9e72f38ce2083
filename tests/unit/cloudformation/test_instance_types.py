"""Instances and interface attachments in templates."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from cfn_rig import Rig, with_rig

from ecsnet.model import tables
from ecsnet.model.cloudformation import StackStatus
from ecsnet.model.ec2 import Instance, ObservedInstance, ObservedInterface, holds_stack
from ecsnet.services.ec2 import ops


def _template(check: bool = False, **instance: Any) -> str:
    subnet = {"Ref": "Subnet"}
    return json.dumps(
        {
            "Resources": {
                "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
                "Subnet": {
                    "Type": "AWS::EC2::Subnet",
                    "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.1.0/24"},
                },
                "Table": {"Type": "AWS::EC2::RouteTable", "Properties": {"VpcId": {"Ref": "Vpc"}}},
                "Router": {
                    "Type": "AWS::EC2::Instance",
                    "Properties": {
                        "ImageId": "ami-1",
                        "InstanceType": "t3.micro",
                        "NetworkInterfaces": [
                            {"DeviceIndex": "0", "SubnetId": subnet, "PrivateIpAddress": "10.0.1.10"}
                        ],
                        "SourceDestCheck": check,
                        "Tags": [{"Key": "Name", "Value": "router"}],
                        **instance,
                    },
                },
                "Second": {"Type": "AWS::EC2::NetworkInterface", "Properties": {"SubnetId": subnet}},
                "Route": {
                    "Type": "AWS::EC2::Route",
                    "Properties": {
                        "RouteTableId": {"Ref": "Table"},
                        "DestinationCidrBlock": "0.0.0.0/0",
                        "InstanceId": {"Ref": "Router"},
                    },
                },
                "Attachment": {
                    "Type": "AWS::EC2::NetworkInterfaceAttachment",
                    "DependsOn": "Route",
                    "Properties": {
                        "InstanceId": {"Ref": "Router"},
                        "NetworkInterfaceId": {"Ref": "Second"},
                        "DeviceIndex": "1",
                    },
                },
            },
            "Outputs": {"Address": {"Value": {"Fn::GetAtt": ["Router", "PrivateIp"]}}},
        }
    )


def _look(rig: Rig) -> None:
    """The agent sees what the plan asks for, and the controller moves the instances on."""
    with rig.open_call("123456789012", "us-east-1") as call:
        for row in list(call.tx.rows(tables.INSTANCES)):
            if not holds_stack(row):
                call.tx.delete(tables.OBSERVED_INSTANCES, row.id)
                if row.state == "shutting-down":
                    ops.finish_terminate(call, row)
                continue
            if call.tx.get(tables.OBSERVED_INSTANCES, row.id) is None:
                call.tx.put(tables.OBSERVED_INSTANCES, ObservedInstance(instance=row.id, revision=1))
            for eni in ops.interfaces_of(call.tx, row.id):
                if call.tx.get(tables.OBSERVED_INTERFACES, eni.id) is None:
                    call.tx.put(tables.OBSERVED_INTERFACES, ObservedInterface(interface=eni.id, revision=1))
            if row.state == "pending":
                ops.make_running(call, row)


async def _settled(rig: Rig) -> StackStatus:
    """The stack at rest, with an agent that looks after every commit."""
    waiting = asyncio.ensure_future(rig.settled("s"))
    while not waiting.done():
        await asyncio.sleep(0)
        _look(rig)
    return (await waiting).status


def _one(rig: Rig) -> Instance:
    (row,) = (row for row in rig.store.snapshot.rows(tables.INSTANCES) if row.state != "terminated")
    return row


def test_an_instance_with_a_second_interface_and_a_route_to_it() -> None:
    async def body(rig: Rig) -> None:
        await rig.call("CreateStack", StackName="s", TemplateBody=_template())
        assert await _settled(rig) is StackStatus.CREATE_COMPLETE, rig.reasons("s")
        assert rig.stack("s").current.outputs[0].value == "10.0.1.10"
        made = _one(rig)
        assert ("Name", "router") in made.tags
        first, second = ops.interfaces_of(rig.store.snapshot, made.id)
        assert not first.source_dest_check
        assert second.attachment is not None
        assert second.attachment.delete_on_termination

        await rig.call("UpdateStack", StackName="s", TemplateBody=_template(True, DisableApiTermination=False))
        assert await _settled(rig) is StackStatus.UPDATE_COMPLETE, rig.reasons("s")
        assert _one(rig).id == made.id
        assert ops.interfaces_of(rig.store.snapshot, made.id)[0].source_dest_check

        await rig.call("DeleteStack", StackName="s")
        assert await _settled(rig) is StackStatus.DELETE_COMPLETE, rig.reasons("s")
        assert not list(rig.store.snapshot.rows(tables.INTERFACES))

    with_rig(body)


def test_an_instance_from_a_launch_template() -> None:
    async def body(rig: Rig) -> None:
        def text(kind: str) -> str:
            version = {"Fn::GetAtt": ["Template", "LatestVersionNumber"]}
            return json.dumps(
                {
                    "Resources": {
                        "Template": {
                            "Type": "AWS::EC2::LaunchTemplate",
                            "Properties": {"LaunchTemplateData": {"ImageId": "ami-1", "InstanceType": kind}},
                        },
                        "Instance": {
                            "Type": "AWS::EC2::Instance",
                            "Properties": {
                                "LaunchTemplate": {"LaunchTemplateId": {"Ref": "Template"}, "Version": version}
                            },
                        },
                    }
                }
            )

        await rig.call("CreateStack", StackName="s", TemplateBody=text("m5.large"))
        assert await _settled(rig) is StackStatus.CREATE_COMPLETE, rig.reasons("s")
        assert _one(rig).type == "m5.large"
        await rig.call("UpdateStack", StackName="s", TemplateBody=text("c5.large"))
        assert await _settled(rig) is StackStatus.UPDATE_COMPLETE, rig.reasons("s")
        assert _one(rig).type == "c5.large"
        await rig.call("DeleteStack", StackName="s")
        assert await _settled(rig) is StackStatus.DELETE_COMPLETE, rig.reasons("s")
        assert not list(rig.store.snapshot.rows(tables.LAUNCH_TEMPLATES))

    with_rig(body)
