"""Amazon ECS: clusters, task definitions, services."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ecsnet.model import tables
from ecsnet.services.call import AwsError
from ecsnet.services.cloudformation.resources.base import (
    READY,
    WAITING,
    Broken,
    Env,
    Made,
    Native,
    Observed,
    Properties,
    delete_if_there,
)
from ecsnet.store.snapshot import Reader

_RENAMED = {
    "AwsVpcConfiguration": "awsvpcConfiguration",
    "EFSVolumeConfiguration": "efsVolumeConfiguration",
    "FSxWindowsFileServerVolumeConfiguration": "fsxWindowsFileServerVolumeConfiguration",
    "FilesystemId": "fileSystemId",
    "IAM": "iam",
    "PlacementStrategies": "placementStrategy",
    "ProxyConfigurationProperties": "properties",
}
"""Where the API's member is not the template's property with a lower-case first letter."""
_USER_KEYS = frozenset({"DockerLabels", "DriverOpts", "Labels", "Options"})
"""Maps whose keys are the user's own."""


def members(value: Any) -> Any:
    """Template properties → ECS API members: `ContainerDefinitions` becomes `containerDefinitions`, at every depth."""
    if isinstance(value, list):
        return [members(item) for item in value]
    if isinstance(value, Mapping):
        return {
            _RENAMED.get(key, key[:1].lower() + key[1:]): item if key in _USER_KEYS else members(item)
            for key, item in value.items()
        }
    return value


def tags(env: Env, p: Properties) -> list[dict[str, str]] | None:
    tags = env.naming.tags(p)
    return [{"key": tag["Key"], "value": tag["Value"]} for tag in tags] or None


def _retag(env: Env, arn: str, before: Properties, after: Properties) -> None:
    old = {tag["Key"]: tag["Value"] for tag in env.naming.tags(before)}
    new = {tag["Key"]: tag["Value"] for tag in env.naming.tags(after)}
    if gone := [key for key in old if key not in new]:
        env.run("ecs", "UntagResource", {"resourceArn": arn, "tagKeys": gone})
    if fresh := [{"key": key, "value": value} for key, value in new.items() if old.get(key) != value]:
        env.run("ecs", "TagResource", {"resourceArn": arn, "tags": fresh})


# ── clusters ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _create_cluster(env: Env, p: Properties) -> Made:
    request = members({key: value for key, value in p.items() if key not in ("ClusterName", "ClusterSettings", "Tags")})
    reply = env.run(
        "ecs",
        "CreateCluster",
        {
            **request,
            "clusterName": p.get("ClusterName") or env.naming.name(255),
            "settings": members(p.get("ClusterSettings")),
            "tags": tags(env, p),
        },
    )
    cluster = reply["cluster"]
    return Made(id=cluster["clusterName"], attributes={"Arn": cluster["clusterArn"]})


def _cluster_arn(env: Env, name: str) -> str:
    arn = f"arn:aws:ecs:{env.call.region}:{env.call.account}:cluster/{name}"
    row = env.call.tx.get(tables.CLUSTERS, arn)
    if row is None:
        raise AwsError("ClusterNotFoundException", f"Cluster {name} not found.")
    return row.arn


def _update_cluster(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    arn = _cluster_arn(env, id_)
    names = ("ClusterSettings", "Configuration", "ServiceConnectDefaults")
    if any(after.get(name) != before.get(name) for name in names):
        request = {
            "cluster": id_,
            "settings": members(after.get("ClusterSettings")),
            "configuration": members(after.get("Configuration")),
            "serviceConnectDefaults": members(after.get("ServiceConnectDefaults")),
        }
        env.run("ecs", "UpdateCluster", request)
    if any(after.get(name) != before.get(name) for name in ("CapacityProviders", "DefaultCapacityProviderStrategy")):
        _put_providers(env, id_, after)
    _retag(env, arn, before, after)
    return Made(id=id_, attributes={"Arn": arn})


def _put_providers(env: Env, cluster: str, p: Properties) -> None:
    env.run(
        "ecs",
        "PutClusterCapacityProviders",
        {
            "cluster": cluster,
            "capacityProviders": list(p.get("CapacityProviders") or ()),
            "defaultCapacityProviderStrategy": members(p.get("DefaultCapacityProviderStrategy") or []),
        },
    )


def _delete_cluster(env: Env, id_: str, p: Properties) -> None:
    delete_if_there(env, "ecs", "DeleteCluster", {"cluster": id_})


def _create_providers(env: Env, p: Properties) -> Made:
    _put_providers(env, p["Cluster"], p)
    return Made(id=p["Cluster"])


def _update_providers(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    _put_providers(env, id_, after)
    return Made(id=id_)


def _delete_providers(env: Env, id_: str, p: Properties) -> None:
    delete_if_there(
        env,
        "ecs",
        "PutClusterCapacityProviders",
        {"cluster": id_, "capacityProviders": [], "defaultCapacityProviderStrategy": []},
    )


# ── capacity providers ───────────────────────────────────────────────────────────────────────────────────────────────


def _create_provider(env: Env, p: Properties) -> Made:
    name = p.get("Name") or env.naming.name(255)
    request = {"name": name, "autoScalingGroupProvider": members(p.get("AutoScalingGroupProvider"))}
    if p.get("ManagedInstancesProvider"):
        request["managedInstancesProvider"] = members(p["ManagedInstancesProvider"])
    env.run("ecs", "CreateCapacityProvider", {**request, "tags": tags(env, p)})
    return Made(id=name)


def _update_provider(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    given = members(after.get("AutoScalingGroupProvider") or {})
    given.pop("autoScalingGroupArn", None)
    env.run("ecs", "UpdateCapacityProvider", {"name": id_, "autoScalingGroupProvider": given})
    _retag(env, f"arn:aws:ecs:{env.call.region}:{env.call.account}:capacity-provider/{id_}", before, after)
    return Made(id=id_)


def _delete_provider(env: Env, id_: str, p: Properties) -> None:
    arn = f"arn:aws:ecs:{env.call.region}:{env.call.account}:capacity-provider/{id_}"
    if env.call.tx.get(tables.CAPACITY_PROVIDERS, arn) is not None:
        env.run("ecs", "DeleteCapacityProvider", {"capacityProvider": id_})


# ── task definitions ─────────────────────────────────────────────────────────────────────────────────────────────────


def _create_definition(env: Env, p: Properties) -> Made:
    request = members({key: value for key, value in p.items() if key not in ("Family", "Tags")})
    family = p.get("Family") or env.naming.name(255)
    reply = env.run("ecs", "RegisterTaskDefinition", {**request, "family": family, "tags": tags(env, p)})
    arn = reply["taskDefinition"]["taskDefinitionArn"]
    return Made(id=arn, attributes={"TaskDefinitionArn": arn})


def _update_definition(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    _retag(env, id_, before, after)
    return Made(id=id_, attributes={"TaskDefinitionArn": id_})


def _delete_definition(env: Env, id_: str, p: Properties) -> None:
    row = env.call.tx.get(tables.TASK_DEFINITIONS, id_)
    if row is not None and row.status == "ACTIVE":
        delete_if_there(env, "ecs", "DeregisterTaskDefinition", {"taskDefinition": id_})


# ── services ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_AT_CREATION = ("Cluster", "Tags", "ServiceName", "DesiredCount")
_CHANGEABLE = (
    "AvailabilityZoneRebalancing",
    "CapacityProviderStrategy",
    "DeploymentConfiguration",
    "DesiredCount",
    "EnableECSManagedTags",
    "EnableExecuteCommand",
    "ForceNewDeployment",
    "HealthCheckGracePeriodSeconds",
    "LoadBalancers",
    "NetworkConfiguration",
    "PlacementConstraints",
    "PlacementStrategies",
    "PlatformVersion",
    "PropagateTags",
    "ServiceConnectConfiguration",
    "ServiceRegistries",
    "TaskDefinition",
    "VolumeConfigurations",
)


def _create_service(env: Env, p: Properties) -> Made:
    request = members({key: value for key, value in p.items() if key not in (*_AT_CREATION, "ForceNewDeployment")})
    daemon = p.get("SchedulingStrategy") == "DAEMON"
    reply = env.run(
        "ecs",
        "CreateService",
        {
            **request,
            "cluster": p.get("Cluster"),
            "serviceName": p.get("ServiceName") or env.naming.name(255),
            "desiredCount": None if daemon else p.get("DesiredCount", 1),
            "tags": tags(env, p),
        },
    )
    service = reply["service"]
    return Made(
        id=service["serviceArn"],
        attributes={"ServiceArn": service["serviceArn"], "Name": service["serviceName"]},
    )


def _service_ready(reader: Reader, id_: str, p: Properties) -> Observed:
    """Stable: the deployment of what the template asks for is completed and nothing is on its way."""
    row = reader.get(tables.SERVICES, id_)
    if row is None or row.status != "ACTIVE":
        return Broken(reason=f"Service {id_} does not exist any more")
    if row.controller == "EXTERNAL":
        return READY
    primary = row.deployments[0]
    if any(deployment.rollout == "FAILED" for deployment in row.deployments) or (
        p.get("TaskDefinition") and not _same_definition(primary.task_definition, str(p["TaskDefinition"]))
    ):
        return Broken(reason="Error occurred during operation 'ECS Deployment Circuit Breaker was triggered'.")
    return READY if primary.rollout == "COMPLETED" and row.steady else WAITING


def _same_definition(arn: str, wanted: str) -> bool:
    """Whether an ARN is what a template may have written: the ARN, family:revision, or a family alone."""
    name = arn.rsplit("/", 1)[-1]
    return wanted in (arn, name, re.sub(r":\d+$", "", name))


def _service_gone(reader: Reader, id_: str, p: Properties) -> Observed:
    row = reader.get(tables.SERVICES, id_)
    return READY if row is None or row.status == "INACTIVE" else WAITING


def _update_service(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    row = env.call.tx.get(tables.SERVICES, id_)
    if row is None:
        raise AwsError("ServiceNotFoundException", "Service not found.")
    changes: dict[str, Any] = {}
    for name in _CHANGEABLE:
        if after.get(name) != before.get(name):
            if name == "DesiredCount" and name not in after:
                continue
            changes[name] = after.get(name, [] if isinstance(before.get(name), list) else None)
    if changes:
        env.run("ecs", "UpdateService", {**members(changes), "cluster": row.cluster, "service": id_})
    _retag(env, id_, before, after)
    return Made(id=id_, attributes={"ServiceArn": id_, "Name": row.name})


def _delete_service(env: Env, id_: str, p: Properties) -> None:
    row = env.call.tx.get(tables.SERVICES, id_)
    if row is not None and row.status == "ACTIVE":
        delete_if_there(env, "ecs", "DeleteService", {"cluster": row.cluster, "service": id_, "force": True})


PROVISIONERS = (
    Native(type="AWS::ECS::Cluster", create=_create_cluster, update=_update_cluster, delete=_delete_cluster),
    Native(
        type="AWS::ECS::CapacityProvider",
        create=_create_provider,
        update=_update_provider,
        delete=_delete_provider,
        replace_on=("Name",),
    ),
    Native(
        type="AWS::ECS::ClusterCapacityProviderAssociations",
        create=_create_providers,
        update=_update_providers,
        delete=_delete_providers,
    ),
    Native(
        type="AWS::ECS::TaskDefinition",
        create=_create_definition,
        update=_update_definition,
        delete=_delete_definition,
    ),
    Native(
        type="AWS::ECS::Service",
        create=_create_service,
        update=_update_service,
        delete=_delete_service,
        ready=_service_ready,
        gone=_service_gone,
        replace_on=("Cluster", "DeploymentController", "LaunchType", "Role", "SchedulingStrategy", "ServiceName"),
    ),
)
