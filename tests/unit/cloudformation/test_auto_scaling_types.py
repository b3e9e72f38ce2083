"""Auto Scaling groups in templates, creation policies with their signals, and custom resources that are recorded."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from cfn_rig import ACCOUNT, REGION, Rig, with_rig

from ecsnet.controllers.loop import Controllers
from ecsnet.model import tables
from ecsnet.model.cloudformation import StackStatus
from ecsnet.model.ec2 import ObservedInstance, ObservedInterface, holds_stack
from ecsnet.services import autoscaling, ec2, ecs
from ecsnet.services.call import AwsError, Call
from ecsnet.services.ec2 import ops

SERVICES = {"ec2": ec2.OPERATIONS, "ecs": ecs.OPERATIONS, "autoscaling": autoscaling.OPERATIONS}


@contextlib.asynccontextmanager
async def machine(rig: Rig) -> Any:
    """Controllers and an agent that sees what is asked for, while the block runs."""

    @contextlib.contextmanager
    def open_call() -> Iterator[Call]:
        with rig.open_call(ACCOUNT, REGION) as call:
            yield call

    controllers = Controllers(rig.store, open_call)

    async def turn() -> None:
        while True:
            controllers.run_once(rig.now)
            with rig.open_call(ACCOUNT, REGION) as call:
                _look(call)
            await asyncio.sleep(0)

    task = asyncio.ensure_future(turn())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _look(call: Call) -> None:
    for row in list(call.tx.rows(tables.INSTANCES)):
        if not holds_stack(row):
            call.tx.delete(tables.OBSERVED_INSTANCES, row.id)
            continue
        if call.tx.get(tables.OBSERVED_INSTANCES, row.id) is None:
            call.tx.put(tables.OBSERVED_INSTANCES, ObservedInstance(instance=row.id, revision=1))
        for eni in ops.interfaces_of(call.tx, row.id):
            if call.tx.get(tables.OBSERVED_INTERFACES, eni.id) is None:
                call.tx.put(tables.OBSERVED_INTERFACES, ObservedInterface(interface=eni.id, revision=1))


def _template(user_data: str = "", *, policy: Any = None, size: str = "2", **group: Any) -> str:
    made: dict[str, Any] = {
        "Type": "AWS::AutoScaling::AutoScalingGroup",
        "Properties": {
            "LaunchConfigurationName": {"Ref": "Config"},
            "MinSize": size,
            "MaxSize": "4",
            "VPCZoneIdentifier": [{"Ref": "Subnet"}],
            "Tags": [{"Key": "Name", "Value": "web", "PropagateAtLaunch": True}],
            **group,
        },
        "UpdatePolicy": {"AutoScalingRollingUpdate": {"MinInstancesInService": 1}},
    }
    if policy is not None:
        made["CreationPolicy"] = policy
    resources = {
        "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
        "Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.1.0/24"}},
        "Config": {
            "Type": "AWS::AutoScaling::LaunchConfiguration",
            "Metadata": {"AWS::CloudFormation::Init": {"config": {}}},
            "Properties": {
                "ImageId": "ami-12345678",
                "InstanceType": "t3.micro",
                "UserData": base64.b64encode(user_data.encode()).decode(),
            },
        },
        "Group": made,
        "Hook": {
            "Type": "AWS::AutoScaling::LifecycleHook",
            "Properties": {
                "AutoScalingGroupName": {"Ref": "Group"},
                "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
                "HeartbeatTimeout": 300,
            },
        },
        "Policy": {
            "Type": "AWS::AutoScaling::ScalingPolicy",
            "Properties": {"AutoScalingGroupName": {"Ref": "Group"}, "PolicyType": "TargetTrackingScaling"},
        },
    }
    return json.dumps({"Resources": resources, "Outputs": {"Name": {"Value": {"Ref": "Group"}}}})


SIGNALS = {"ResourceSignal": {"Count": 2, "Timeout": "PT15M"}}


def test_a_group_lives_with_its_stack() -> None:
    async def body(rig: Rig) -> None:
        async with machine(rig):
            await rig.call("CreateStack", StackName="s", TemplateBody=_template())
            stack = await rig.settled("s")
            assert stack.status is StackStatus.CREATE_COMPLETE, rig.reasons("s")
            (group,) = rig.store.snapshot.rows(tables.AUTO_SCALING_GROUPS)
            assert stack.current.outputs[0].value == group.name
            assert len(list(rig.store.snapshot.rows(tables.GROUP_INSTANCES))) == 2
            assert any("no alarm or schedule" in reason for reason in rig.reasons("s"))

            await rig.call("UpdateStack", StackName="s", TemplateBody=_template(size="3"))
            assert (await rig.settled("s")).status is StackStatus.UPDATE_COMPLETE, rig.reasons("s")
            assert len(list(rig.store.snapshot.rows(tables.GROUP_INSTANCES))) == 3

            await rig.call("DeleteStack", StackName="s")
            assert (await rig.settled("s")).status is StackStatus.DELETE_COMPLETE, rig.reasons("s")
            assert not list(rig.store.snapshot.rows(tables.AUTO_SCALING_GROUPS))
            assert {row.state for row in rig.store.snapshot.rows(tables.INSTANCES)} == {"terminated"}

    with_rig(body, services=SERVICES)


def test_a_group_that_cannot_launch_fails_with_the_reason() -> None:
    async def body(rig: Rig) -> None:
        async def time_passes() -> None:
            while True:
                rig.now += 5
                await asyncio.sleep(0)

        async with machine(rig):
            clock = asyncio.ensure_future(time_passes())
            text = _template().replace("t3.micro", "t9.gigantic")
            await rig.call("CreateStack", StackName="s", TemplateBody=text)
            assert (await rig.settled("s")).status is StackStatus.ROLLBACK_COMPLETE
            clock.cancel()
        (reason,) = [one for one in rig.reasons("s") if "did not stabilize" in one]
        assert "t9.gigantic" in reason

    with_rig(body, services=SERVICES)


def test_instances_that_would_signal_count_once_they_run() -> None:
    async def body(rig: Rig) -> None:
        text = _template("#!/bin/bash\n/opt/aws/bin/cfn-signal -e $? --stack s --resource Group\n", policy=SIGNALS)
        await rig.call("CreateStack", StackName="s", TemplateBody=text)
        async with machine(rig):
            assert (await rig.settled("s")).status is StackStatus.CREATE_COMPLETE, rig.reasons("s")

    with_rig(body, services=SERVICES)


async def _waiting(rig: Rig) -> None:
    """Until the group is made and only its signals are missing."""
    while len([m for m in rig.store.snapshot.rows(tables.GROUP_INSTANCES) if m.state.value == "InService"]) < 2:
        await asyncio.sleep(0)


def test_others_wait_for_signal_resource() -> None:
    async def body(rig: Rig) -> None:
        async with machine(rig):
            await rig.call("CreateStack", StackName="s", TemplateBody=_template(policy=SIGNALS))
            await _waiting(rig)
            members = {"StackName": "s", "LogicalResourceId": "Group", "Status": "SUCCESS"}
            await rig.call("SignalResource", UniqueId="i-1", **members)
            await rig.call("SignalResource", UniqueId="i-1", **members)
            assert rig.stack("s").status is StackStatus.CREATE_IN_PROGRESS, "the same id counts once"
            await rig.call("SignalResource", UniqueId="i-2", **members)
            assert (await rig.settled("s")).status is StackStatus.CREATE_COMPLETE, rig.reasons("s")
            with pytest.raises(AwsError, match="not waiting"):
                await rig.call("SignalResource", UniqueId="i-3", **members)

    with_rig(body, services=SERVICES)


def test_a_failure_signal_fails_the_resource() -> None:
    async def body(rig: Rig) -> None:
        async with machine(rig):
            await rig.call("CreateStack", StackName="s", TemplateBody=_template(policy=SIGNALS))
            await _waiting(rig)
            await rig.call("SignalResource", StackName="s", LogicalResourceId="Group", UniqueId="i-1", Status="FAILURE")
            assert (await rig.settled("s")).status is StackStatus.ROLLBACK_COMPLETE
            assert "Received 1 FAILURE signal(s) out of 1." in rig.reasons("s")

    with_rig(body, services=SERVICES)


def test_signals_that_do_not_come_end_the_wait() -> None:
    async def body(rig: Rig) -> None:
        async with machine(rig):
            await rig.call("CreateStack", StackName="s", TemplateBody=_template(policy=SIGNALS))
            await _waiting(rig)
            rig.now += 15 * 60
            await rig.run("ec2", "CreateVpc", CidrBlock="10.9.0.0/16")  # any commit wakes the engine
            assert (await rig.settled("s")).status is StackStatus.ROLLBACK_COMPLETE
            assert "Failed to receive 2 resource signal(s) within the specified duration" in rig.reasons("s")

    with_rig(body, services=SERVICES)


def _custom(output: Any) -> str:
    resources = {"Thing": {"Type": "Custom::Thing", "Properties": {"ServiceToken": "arn:aws:lambda:x"}}}
    return json.dumps({"Resources": resources, "Outputs": {"Out": {"Value": output}}})


def test_a_custom_resource_is_recorded_and_has_no_attributes() -> None:
    async def body(rig: Rig) -> None:
        await rig.call("CreateStack", StackName="s", TemplateBody=_custom({"Ref": "Thing"}))
        assert (await rig.settled("s")).status is StackStatus.CREATE_COMPLETE
        assert "Recorded only: ecsnet does not run the function behind it." in rig.reasons("s")
        await rig.call("CreateStack", StackName="t", TemplateBody=_custom({"Fn::GetAtt": ["Thing", "Answer"]}))
        assert (await rig.settled("t")).status is StackStatus.ROLLBACK_COMPLETE
        assert any("its attribute Answer is unknown" in reason for reason in rig.reasons("t"))

    with_rig(body, services=SERVICES)


def test_an_image_parameter_of_aws_has_some_image() -> None:
    async def body(rig: Rig) -> None:
        name = "/aws/service/ecs/optimized-ami/amazon-linux-2/recommended/image_id"
        template = {
            "Parameters": {"Image": {"Type": "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>", "Default": name}},
            "Resources": {"Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"}},
            "Outputs": {"Image": {"Value": {"Ref": "Image"}}},
        }
        await rig.call("CreateStack", StackName="s", TemplateBody=json.dumps(template))
        stack = await rig.settled("s")
        assert stack.status is StackStatus.CREATE_COMPLETE
        assert stack.current.outputs[0].value.startswith("ami-")

    with_rig(body, services=SERVICES)


def _wait_condition(user_data: Any) -> str:
    machine = {"ImageId": "ami-1", "InstanceType": "t3.micro", "UserData": {"Fn::Base64": user_data}}
    condition = {"Handle": {"Ref": "Handle"}, "Timeout": "600", "Count": 1}
    resources = {
        "Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"},
        "Machine": {"Type": "AWS::EC2::Instance", "Properties": machine},
        "Wait": {"Type": "AWS::CloudFormation::WaitCondition", "DependsOn": "Machine", "Properties": condition},
    }
    return json.dumps({"Resources": resources, "Outputs": {"Data": {"Value": {"Fn::GetAtt": ["Wait", "Data"]}}}})


def test_a_wait_condition_counts_instances_that_know_its_handle() -> None:
    async def body(rig: Rig) -> None:
        async with machine(rig):
            knows = {"Fn::Sub": "#!/bin/bash\ncfn-signal '${Handle}'\n"}
            await rig.call("CreateStack", StackName="s", TemplateBody=_wait_condition(knows))
            stack = await rig.settled("s")
            assert stack.status is StackStatus.CREATE_COMPLETE, rig.reasons("s")
            assert json.loads(stack.current.outputs[0].value).popitem()[0].startswith("i-")

            await rig.call("CreateStack", StackName="t", TemplateBody=_wait_condition("#!/bin/bash\n"))
            while "Wait CREATE_IN_PROGRESS" not in rig.events("t"):
                await asyncio.sleep(0)
            rig.now += 600
            await rig.run("ec2", "CreateVpc", CidrBlock="10.9.0.0/16")
            assert (await rig.settled("t")).status is StackStatus.ROLLBACK_COMPLETE
            assert any("Failed to receive 1 resource signal" in reason for reason in rig.reasons("t"))

    with_rig(body, services=SERVICES)


def test_an_agent_reads_what_cfn_init_would_fetch() -> None:
    """The cluster's name is in the launch configuration's metadata alone, as in the ECS reference architecture."""

    async def body(rig: Rig) -> None:
        await rig.run("ecs", "CreateCluster", clusterName="shop")
        template = json.loads(_template("#!/bin/bash\ncfn-init -v --region us-east-1 --stack s --resource Config\n"))
        command = {"Fn::Sub": "#!/bin/bash\necho ECS_CLUSTER=${Name} >> /etc/ecs/ecs.config"}
        init = {"config": {"commands": {"01_join": {"command": command}}}}
        template["Parameters"] = {"Name": {"Type": "String", "Default": "shop"}}
        template["Resources"]["Config"]["Metadata"] = {"AWS::CloudFormation::Init": init}
        async with machine(rig):
            await rig.call("CreateStack", StackName="s", TemplateBody=json.dumps(template))
            assert (await rig.settled("s")).status is StackStatus.CREATE_COMPLETE, rig.reasons("s")
            while len(list(rig.store.snapshot.rows(tables.CONTAINER_INSTANCES))) < 2:
                await asyncio.sleep(0)

    with_rig(body, services=SERVICES)
