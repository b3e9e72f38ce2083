"""Clusters: CreateCluster, DescribeClusters, ListClusters, UpdateCluster, DeleteCluster and their settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ecsnet.model.base import scope
from ecsnet.model.ecs import Cluster, TaskStatus, all_deployments, primary_deployment
from ecsnet.model.tables import (
    CLUSTERS,
    CLUSTERS_BY_SCOPE,
    CONTAINER_INSTANCES_BY_CLUSTER,
    SERVICES_BY_CLUSTER,
    TASKS_BY_CLUSTER,
)
from ecsnet.services.call import AwsError, Call, Operation, Reply, Request, not_implemented, read, write
from ecsnet.services.ecs import capacity_provider, container_instances, errors, launch_type, names, paging, tags
from ecsnet.store.snapshot import Reader

_SETTINGS = {"containerInsights": ("enabled", "disabled", "enhanced")}
_DEFAULT_SETTINGS = (("containerInsights", "disabled"),)
_ALL = ("CONFIGURATIONS", "SETTINGS", "STATISTICS", "TAGS")


def find(call: Call, given: str | None) -> Cluster:
    """The ACTIVE cluster that a request means. Raises ClusterNotFoundException."""
    cluster = lookup(call, given)
    if cluster is None or cluster.status != "ACTIVE":
        raise errors.cluster_not_found()
    return cluster


def lookup(call: Call, given: str | None) -> Cluster | None:
    """The cluster that a request means, INACTIVE ones included; None when there is none in the caller's account."""
    cluster = call.tx.get(CLUSTERS, names.cluster_arn(call, given))
    return cluster if cluster is not None and (cluster.account, cluster.region) == (call.account, call.region) else None


def create_cluster(call: Call, request: Request) -> Reply:
    name = names.checked("clusterName", request.get("clusterName") or "default")
    if request.get("serviceConnectDefaults"):
        raise not_implemented("CreateCluster", "serviceConnectDefaults")
    providers = capacity_provider.check_names(call, request.get("capacityProviders") or ())
    cluster = Cluster(
        arn=names.arn(call, f"cluster/{name}"),
        account=call.account,
        region=call.region,
        name=name,
        settings=_settings(_DEFAULT_SETTINGS, request.get("settings") or ()),
        capacity_providers=providers,
        default_strategy=capacity_provider.strategy(request.get("defaultCapacityProviderStrategy") or (), providers),
        configuration=_json(request.get("configuration") or {}),
        tags=tags.given(request),
    )
    present = call.tx.get(CLUSTERS, cluster.arn)
    if present is not None and present.status == "ACTIVE":
        if msgspec.structs.replace(present, tags=cluster.tags) != cluster:
            raise errors.invalid("Arguments on this idempotent request are inconsistent with previous request(s).")
        return {"cluster": render(call.tx, present, _ALL)}
    return {"cluster": render(call.tx, call.tx.put(CLUSTERS, cluster), _ALL)}


def describe_clusters(call: Call, request: Request) -> Reply:
    include = request.get("include") or ()
    found, failures = [], []
    for given in request.get("clusters") or ["default"]:
        cluster = lookup(call, given)
        if cluster is None:
            failures.append({"arn": names.cluster_arn(call, given), "reason": "MISSING"})
        else:
            found.append(render(call.tx, cluster, include))
    return {"clusters": found, "failures": failures}


def list_clusters(call: Call, request: Request) -> Reply:
    home = scope(call.account, call.region)
    arns = sorted(cluster.arn for cluster in call.tx.find(CLUSTERS_BY_SCOPE, home) if cluster.status == "ACTIVE")
    chosen, token = paging.page(request, arns)
    return {"clusterArns": list(chosen)} | ({"nextToken": token} if token else {})


def delete_cluster(call: Call, request: Request) -> Reply:
    cluster = find(call, request["cluster"])
    if any(service.status != "INACTIVE" for service in call.tx.find(SERVICES_BY_CLUSTER, cluster.arn)):
        raise AwsError("ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active.")
    if call.tx.keys(CONTAINER_INSTANCES_BY_CLUSTER, cluster.arn):
        raise AwsError(
            "ClusterContainsContainerInstancesException",
            "The Cluster cannot be deleted while Container Instances are active or draining.",
        )
    if any(task.last_status is not TaskStatus.STOPPED for task in call.tx.find(TASKS_BY_CLUSTER, cluster.arn)):
        raise AwsError("ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active.")
    gone = call.tx.put(CLUSTERS, msgspec.structs.replace(cluster, status="INACTIVE"))
    return {"cluster": render(call.tx, gone, ())}


def update_cluster(call: Call, request: Request) -> Reply:
    if request.get("serviceConnectDefaults"):
        raise not_implemented("UpdateCluster", "serviceConnectDefaults")
    cluster = find(call, request["cluster"])
    configuration = _json(request["configuration"]) if request.get("configuration") else cluster.configuration
    settings = _settings(cluster.settings, request.get("settings") or ())
    cluster = msgspec.structs.replace(cluster, settings=settings, configuration=configuration)
    return {"cluster": render(call.tx, call.tx.put(CLUSTERS, cluster), _ALL)}


def update_cluster_settings(call: Call, request: Request) -> Reply:
    cluster = find(call, request["cluster"])
    cluster = msgspec.structs.replace(cluster, settings=_settings(cluster.settings, request["settings"]))
    return {"cluster": render(call.tx, call.tx.put(CLUSTERS, cluster), _ALL)}


def put_cluster_capacity_providers(call: Call, request: Request) -> Reply:
    cluster = find(call, request["cluster"])
    providers = capacity_provider.check_names(call, request["capacityProviders"])
    in_use = {
        item.provider
        for service in call.tx.find(SERVICES_BY_CLUSTER, cluster.arn)
        if service.status == "ACTIVE"
        for deployment in all_deployments(service)
        for item in deployment.capacity_strategy
    }
    if in_use - set(providers):
        raise AwsError(
            "ResourceInUseException",
            "The specified capacity provider is in use and cannot be removed.",
        )
    cluster = msgspec.structs.replace(
        cluster,
        capacity_providers=providers,
        default_strategy=capacity_provider.strategy(request["defaultCapacityProviderStrategy"], providers),
    )
    call.tx.put(CLUSTERS, cluster)
    container_instances.associate(call, cluster)
    return {"cluster": render(call.tx, cluster, _ALL)}


def _settings(old: Iterable[tuple[str, str]], given: Iterable[Mapping[str, str]]) -> tuple[tuple[str, str], ...]:
    result = dict(old)
    for item in given:
        name, value = item.get("name", ""), item.get("value", "")
        if name not in _SETTINGS:
            raise errors.invalid(f"Cluster setting {name!r} is unknown; it must be one of {sorted(_SETTINGS)}.")
        if value not in _SETTINGS[name]:
            raise errors.invalid(f"The value {value!r} of {name} must be one of {list(_SETTINGS[name])}.")
        result[name] = value
    return tuple(result.items())


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def render(reader: Reader, cluster: Cluster, include: Iterable[str]) -> Mapping[str, Any]:
    """A cluster as DescribeClusters answers it; `include` names the optional parts."""
    wanted = set(include)
    statuses = [task.last_status for task in reader.find(TASKS_BY_CLUSTER, cluster.arn)]
    waiting = (TaskStatus.PROVISIONING, TaskStatus.PENDING, TaskStatus.ACTIVATING)
    services = [one for one in reader.find(SERVICES_BY_CLUSTER, cluster.arn) if one.status == "ACTIVE"]
    body: dict[str, Any] = {
        "clusterArn": cluster.arn,
        "clusterName": cluster.name,
        "status": cluster.status,
        "registeredContainerInstancesCount": len(reader.keys(CONTAINER_INSTANCES_BY_CLUSTER, cluster.arn)),
        "runningTasksCount": sum(1 for status in statuses if status is TaskStatus.RUNNING),
        "pendingTasksCount": sum(1 for status in statuses if status in waiting),
        "activeServicesCount": len(services),
        "statistics": [],
        "tags": tags.wire(cluster.tags) if "TAGS" in wanted else [],
        "settings": [],
        "capacityProviders": list(cluster.capacity_providers),
        "defaultCapacityProviderStrategy": capacity_provider.wire(cluster.default_strategy),
    }
    if "SETTINGS" in wanted:
        body["settings"] = [{"name": name, "value": value} for name, value in cluster.settings]
    if "STATISTICS" in wanted:
        body["statistics"] = _statistics(reader, cluster)
    if "CONFIGURATIONS" in wanted and cluster.configuration != "{}":
        body["configuration"] = msgspec.json.decode(cluster.configuration)
    return body


_KINDS = (("EC2", "EC2"), ("Fargate", "FARGATE"), ("External", "EXTERNAL"))


def _statistics(reader: Reader, cluster: Cluster) -> list[Mapping[str, str]]:
    """Counts by launch type (API Cluster, `statistics`)."""
    counts: Counter[str] = Counter()
    for task in reader.find(TASKS_BY_CLUSTER, cluster.arn):
        if task.last_status is TaskStatus.RUNNING:
            counts[f"running/{task.launch_type}"] += 1
        elif task.last_status in (TaskStatus.PROVISIONING, TaskStatus.PENDING, TaskStatus.ACTIVATING):
            counts[f"pending/{task.launch_type}"] += 1
    for service in reader.find(SERVICES_BY_CLUSTER, cluster.arn):
        primary = primary_deployment(service)
        if primary is not None:
            counts[f"{service.status}/{launch_type.kind(primary.launch_type, primary.capacity_strategy)}"] += 1
    return [
        {"name": name.format(shown), "value": str(counts[f"{what}/{kind}"])}
        for name, what in (
            ("running{}TasksCount", "running"),
            ("pending{}TasksCount", "pending"),
            ("active{}ServiceCount", "ACTIVE"),
            ("draining{}ServiceCount", "DRAINING"),
        )
        for shown, kind in _KINDS
    ]


OPERATIONS: tuple[Operation, ...] = (
    write("CreateCluster", create_cluster),
    read("DescribeClusters", describe_clusters),
    read("ListClusters", list_clusters),
    write("DeleteCluster", delete_cluster),
    write("UpdateCluster", update_cluster),
    write("UpdateClusterSettings", update_cluster_settings),
    write("PutClusterCapacityProviders", put_cluster_capacity_providers),
)
