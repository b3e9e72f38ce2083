"""Capacity providers in templates, and what uses them."""

from __future__ import annotations

import json
from typing import Any

from cfn_rig import Rig, with_rig

from ecsnet.model.capacity import CapacityProvider
from ecsnet.model.cloudformation import StackStatus
from ecsnet.model.ecs import Cluster
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
