"""Capacity providers and task sets in templates, and what uses them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from cfn_machine import Machine
from cfn_rig import Rig, with_rig

from ecsnet.model.capacity import CapacityProvider
from ecsnet.model.cloudformation import StackStatus
from ecsnet.model.ecs import Cluster, Service
from ecsnet.services import ec2, ecs


def _template(target: int) -> str:
    resources: dict[str, Any] = {
        "Provider": {
            "Type": "AWS::ECS::CapacityProvider",
            "Properties": {
                "AutoScalingGroupProvider": {
                    "AutoScalingGroupArn": "asg",
                    "ManagedScaling": {"Status": "ENABLED", "TargetCapacity": target},
                    "ManagedTerminationProtection": "DISABLED",
                },
                "Tags": [{"Key": "a", "Value": "b"}],
            },
        },
        "Cluster": {"Type": "AWS::ECS::Cluster"},
        "Association": {
            "Type": "AWS::ECS::ClusterCapacityProviderAssociations",
            "Properties": {
                "Cluster": {"Ref": "Cluster"},
                "CapacityProviders": [{"Ref": "Provider"}],
                "DefaultCapacityProviderStrategy": [{"CapacityProvider": {"Ref": "Provider"}, "Weight": 1}],
            },
        },
    }
    return json.dumps({"Resources": resources})


def _rows(rig: Rig) -> tuple[CapacityProvider, Cluster]:
    (provider,) = rig.store.snapshot.tables["capacity_provider"].values()
    (cluster,) = rig.store.snapshot.tables["cluster"].values()
    assert isinstance(provider, CapacityProvider)
    assert isinstance(cluster, Cluster)
    return provider, cluster


def test_a_capacity_provider_lives_with_its_stack() -> None:
    async def body(rig: Rig) -> None:
        await rig.call("CreateStack", StackName="s", TemplateBody=_template(80))
        assert (await rig.settled("s")).status is StackStatus.CREATE_COMPLETE, rig.reasons("s")
        provider, cluster = _rows(rig)
        assert (provider.scaling.enabled, provider.scaling.target_capacity) == (True, 80)
        assert cluster.capacity_providers == (provider.name,)
        assert ("a", "b") in provider.tags

        await rig.call("UpdateStack", StackName="s", TemplateBody=_template(100))
        assert (await rig.settled("s")).status is StackStatus.UPDATE_COMPLETE, rig.reasons("s")
        assert _rows(rig)[0].name == provider.name
        assert _rows(rig)[0].scaling.target_capacity == 100

        await rig.call("DeleteStack", StackName="s")
        await rig.settled("s")
        assert not rig.store.snapshot.tables["capacity_provider"]

    with_rig(body, services={"ec2": ec2.OPERATIONS, "ecs": ecs.OPERATIONS})


def _task_sets(percent: int, primary: str) -> str:
    where = {"Cluster": {"Ref": "Cluster"}, "Service": {"Fn::GetAtt": ["Service", "Name"]}}
    network = {"AwsVpcConfiguration": {"Subnets": [{"Ref": "Subnet"}], "AssignPublicIp": "DISABLED"}}
    resources: dict[str, Any] = {
        "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
        "Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.1.0/24"}},
        "Cluster": {"Type": "AWS::ECS::Cluster"},
        "Definition": {
            "Type": "AWS::ECS::TaskDefinition",
            "Properties": {
                "NetworkMode": "awsvpc",
                "RequiresCompatibilities": ["FARGATE"],
                "Cpu": "256",
                "Memory": "512",
                "ContainerDefinitions": [{"Name": "app", "Image": "web:1"}],
            },
        },
        "Service": {
            "Type": "AWS::ECS::Service",
            "Properties": {
                "Cluster": {"Ref": "Cluster"},
                "DeploymentController": {"Type": "EXTERNAL"},
                "DesiredCount": 4,
            },
        },
        "Primary": {
            "Type": "AWS::ECS::PrimaryTaskSet",
            "Properties": {**where, "TaskSetId": {"Fn::GetAtt": [primary, "Id"]}},
        },
    }
    for name, share in (("Blue", 100), ("Green", percent)):
        properties = {**where, "TaskDefinition": {"Ref": "Definition"}, "LaunchType": "FARGATE", "ExternalId": name}
        properties |= {"NetworkConfiguration": network, "Scale": {"Unit": "PERCENT", "Value": share}}
        resources[name] = {"Type": "AWS::ECS::TaskSet", "Properties": properties}
    return json.dumps({"Resources": resources})


def test_task_sets_live_and_shift_with_their_stack() -> None:
    async def body() -> None:
        machine = Machine()
        async with machine.running() as rig:
            await rig.call("CreateStack", StackName="s", TemplateBody=_task_sets(0, "Blue"))
            assert (await rig.settled("s")).status is StackStatus.CREATE_COMPLETE, rig.reasons("s")
            assert _shares(rig) == {"Blue": ("PRIMARY", 4), "Green": ("ACTIVE", 0)}
            await rig.call("UpdateStack", StackName="s", TemplateBody=_task_sets(50, "Green"))
            assert (await rig.settled("s")).status is StackStatus.UPDATE_COMPLETE, rig.reasons("s")
            assert _shares(rig) == {"Blue": ("ACTIVE", 4), "Green": ("PRIMARY", 2)}
            await rig.call("DeleteStack", StackName="s")
            assert (await rig.settled(rig.stack("s").id)).status is StackStatus.DELETE_COMPLETE, rig.reasons("s")

    asyncio.run(body())


def _shares(rig: Rig) -> dict[str | None, tuple[str, int]]:
    (service,) = rig.store.snapshot.tables["service"].values()
    assert isinstance(service, Service)
    return {one.external_id: (one.status, one.deployment.desired) for one in service.task_sets}
