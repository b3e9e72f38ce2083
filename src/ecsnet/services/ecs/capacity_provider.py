"""Capacity providers: Fargate and Auto Scaling groups (Developer Guide, "Amazon ECS capacity providers")."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ecsnet.model.base import scope
from ecsnet.model.capacity import CapacityProvider, ManagedScaling
from ecsnet.model.ecs import StrategyItem
from ecsnet.model.tables import CAPACITY_PROVIDERS, CAPACITY_PROVIDERS_BY_SCOPE, CLUSTERS_BY_SCOPE
from ecsnet.services.call import AwsError, Call, Operation, Reply, Request, not_implemented, read, write
from ecsnet.services.ecs import errors, names, paging, tags

FARGATE = ("FARGATE", "FARGATE_SPOT")

_MAX_WEIGHT = 1000
_MAX_BASE = 100_000
_MAX_ITEMS = 20


def lookup(call: Call, given: str) -> CapacityProvider | None:
    """A provider of the caller's own, by name or ARN."""
    row = call.tx.get(CAPACITY_PROVIDERS, names.arn(call, f"capacity-provider/{names.last_part(given)}"))
    return row if row is not None and row.status == "ACTIVE" else None


def check_names(call: Call, providers: Iterable[str]) -> tuple[str, ...]:
    """The names of `providers` when each exists. Raises InvalidParameterException."""
    chosen = tuple(names.last_part(given) for given in providers)
    for name in chosen:
        if name not in FARGATE and lookup(call, name) is None:
            raise errors.invalid(
                f"The specified capacity provider '{name}' was not found. Specify a valid name and try again."
            )
    return chosen


def scales(call: Call, provider: str) -> bool:
    """Whether a provider adds instances by itself, so that tasks may wait for them."""
    row = lookup(call, provider)
    return row is not None and row.scaling.enabled


def strategy(items: Iterable[Mapping[str, Any]], associated: Iterable[str]) -> tuple[StrategyItem, ...]:
    """A capacity provider strategy of a request, checked against the providers associated with the cluster.

    Raises InvalidParameterException.
    """
    chosen = tuple(
        StrategyItem(
            provider=names.last_part(item["capacityProvider"]), weight=item.get("weight", 0), base=item.get("base", 0)
        )
        for item in items
    )
    if len(chosen) > _MAX_ITEMS:
        raise errors.invalid(f"A capacity provider strategy can contain a maximum of {_MAX_ITEMS} capacity providers.")
    if len({item.provider in FARGATE for item in chosen}) > 1:
        raise errors.invalid(
            "A capacity provider strategy cannot contain a mix of capacity providers using Auto Scaling groups and "
            "Fargate providers. Specify one or the other and try again."
        )
    known = set(associated)
    if any(item.provider not in known for item in chosen):
        raise errors.invalid(
            "The specified capacity provider strategy cannot contain a capacity provider that is not associated with "
            "the cluster. Associate the capacity provider with the cluster and try again."
        )
    if len({item.provider for item in chosen}) != len(chosen):
        raise errors.invalid("The specified capacity provider strategy contains duplicate capacity providers.")
    for item in chosen:
        if not 0 <= item.weight <= _MAX_WEIGHT:
            raise errors.invalid(f"Capacity provider weight must be between 0 and {_MAX_WEIGHT}.")
        if not 0 <= item.base <= _MAX_BASE:
            raise errors.invalid(f"Capacity provider base must be between 0 and {_MAX_BASE}.")
    if sum(1 for item in chosen if item.base) > 1:
        raise errors.invalid("Only one capacity provider in a capacity provider strategy can have a base defined.")
    if chosen and not any(item.weight for item in chosen):
        raise errors.invalid("A capacity provider strategy must contain at least one provider with a weight above 0.")
    return chosen


def wire(items: Iterable[StrategyItem]) -> list[Mapping[str, Any]]:
    return [{"capacityProvider": item.provider, "weight": item.weight, "base": item.base} for item in items]


def choose(items: tuple[StrategyItem, ...], already: Mapping[str, int]) -> str:
    """The provider of the next task: first the base, then the one that is furthest below its weighted share.

    `already` counts the tasks that each provider has. The rule is that of the Developer Guide, "Capacity provider
    strategy considerations".
    """
    for item in items:
        if already.get(item.provider, 0) < item.base:
            return item.provider
    weighted = [item for item in items if item.weight]
    return min(weighted, key=lambda item: (already.get(item.provider, 0) - item.base) / item.weight).provider


_NAME = re.compile(r"(?!aws|ecs|fargate)[A-Za-z0-9_-]{1,255}\Z", re.IGNORECASE)
_MOST_STEP = 10_000


def create_capacity_provider(call: Call, request: Request) -> Reply:
    """The provider is known at once; whether its group exists shows when its instances register."""
    name = request["name"]
    if request.get("managedInstancesProvider"):
        raise not_implemented("CreateCapacityProvider", "managedInstancesProvider")
    if not _NAME.match(name):
        raise errors.invalid(
            "The specified capacity provider name is invalid. Up to 255 characters are allowed, including letters "
            "(upper and lowercase), numbers, underscores, and hyphens. The name cannot be prefixed with 'aws', 'ecs', "
            "or 'fargate'. Specify a valid name and try again."
        )
    given = request.get("autoScalingGroupProvider")
    if not given or not given.get("autoScalingGroupArn"):
        raise errors.invalid("The autoScalingGroupProvider of a capacity provider must name an Auto Scaling group.")
    arn = names.arn(call, f"capacity-provider/{name}")
    if call.tx.get(CAPACITY_PROVIDERS, arn) is not None:
        raise errors.client(
            "The specified capacity provider already exists. To change the configuration of the capacity provider, "
            "update the capacity provider."
        )
    row = CapacityProvider(
        arn=arn,
        account=call.account,
        region=call.region,
        name=name,
        group=given["autoScalingGroupArn"],
        tags=tags.given(request),
    )
    return {"capacityProvider": render(call.tx.put(CAPACITY_PROVIDERS, _configured(row, given)), with_tags=True)}


def _configured(row: CapacityProvider, given: Mapping[str, Any]) -> CapacityProvider:
    old, new = row.scaling, given.get("managedScaling") or {}
    scaling = ManagedScaling(
        enabled=new.get("status", "ENABLED" if old.enabled else "DISABLED") == "ENABLED",
        target_capacity=new.get("targetCapacity", old.target_capacity),
        minimum_step=new.get("minimumScalingStepSize", old.minimum_step),
        maximum_step=new.get("maximumScalingStepSize", old.maximum_step),
        warmup=new.get("instanceWarmupPeriod", old.warmup),
    )
    if not 1 <= scaling.target_capacity <= 100:
        raise errors.invalid("The targetCapacity of managed scaling must be between 1 and 100.")
    if not 1 <= scaling.minimum_step <= scaling.maximum_step <= _MOST_STEP:
        raise errors.invalid(f"The step sizes of managed scaling must be between 1 and {_MOST_STEP}, minimum first.")
    protection = given.get("managedTerminationProtection", "ENABLED" if row.termination_protection else "DISABLED")
    if protection == "ENABLED" and not scaling.enabled:
        raise errors.invalid(
            "The managed termination protection setting for the capacity provider is invalid. To enable managed "
            "termination protection, managed scaling must be enabled."
        )
    return msgspec.structs.replace(
        row,
        scaling=scaling,
        termination_protection=protection == "ENABLED",
        draining=given.get("managedDraining", "ENABLED" if row.draining else "DISABLED") == "ENABLED",
    )


def update_capacity_provider(call: Call, request: Request) -> Reply:
    if request.get("managedInstancesProvider"):
        raise not_implemented("UpdateCapacityProvider", "managedInstancesProvider")
    row = _own(call, request["name"])
    row = msgspec.structs.replace(
        _configured(row, request.get("autoScalingGroupProvider") or {}), update_status="UPDATE_COMPLETE"
    )
    return {"capacityProvider": render(call.tx.put(CAPACITY_PROVIDERS, row), with_tags=True)}


def delete_capacity_provider(call: Call, request: Request) -> Reply:
    """Refused while a cluster is associated with the provider (API DeleteCapacityProvider)."""
    row = _own(call, request["capacityProvider"])
    clusters = call.tx.find(CLUSTERS_BY_SCOPE, scope(call.account, call.region))
    if any(one.status == "ACTIVE" and row.name in one.capacity_providers for one in clusters):
        raise AwsError("ResourceInUseException", "The specified capacity provider is in use and cannot be removed.")
    call.tx.delete(CAPACITY_PROVIDERS, row.arn)
    gone = msgspec.structs.replace(row, status="INACTIVE", update_status="DELETE_COMPLETE")
    return {"capacityProvider": render(gone, with_tags=False)}


def _own(call: Call, given: str) -> CapacityProvider:
    if names.last_part(given) in FARGATE:
        raise errors.client("The capacity providers FARGATE and FARGATE_SPOT cannot be changed or deleted.")
    row = lookup(call, given)
    if row is None:
        raise errors.client(
            "The specified capacity provider does not exist. Specify a valid name or ARN and try again."
        )
    return row


def render(row: CapacityProvider, *, with_tags: bool) -> Mapping[str, Any]:
    return {
        "capacityProviderArn": row.arn,
        "name": row.name,
        "status": row.status,
        "updateStatus": row.update_status,
        "type": "EC2_AUTOSCALING",
        "autoScalingGroupProvider": {
            "autoScalingGroupArn": row.group,
            "managedScaling": {
                "status": "ENABLED" if row.scaling.enabled else "DISABLED",
                "targetCapacity": row.scaling.target_capacity,
                "minimumScalingStepSize": row.scaling.minimum_step,
                "maximumScalingStepSize": row.scaling.maximum_step,
                "instanceWarmupPeriod": row.scaling.warmup,
            },
            "managedTerminationProtection": "ENABLED" if row.termination_protection else "DISABLED",
            "managedDraining": "ENABLED" if row.draining else "DISABLED",
        },
        "tags": tags.wire(row.tags) if with_tags else [],
    }


def _fargate(call: Call, name: str) -> Mapping[str, Any]:
    arn = names.arn(call, f"capacity-provider/{name}")
    return {"capacityProviderArn": arn, "name": name, "status": "ACTIVE", "type": name, "tags": []}


def describe_capacity_providers(call: Call, request: Request) -> Reply:
    with_tags = "TAGS" in (request.get("include") or ())
    wanted = request.get("capacityProviders")
    token = None
    if not wanted:
        own = [row.name for row in call.tx.find(CAPACITY_PROVIDERS_BY_SCOPE, scope(call.account, call.region))]
        wanted, token = paging.page(request, sorted((*FARGATE, *own)), largest=10)
    found: list[Mapping[str, Any]] = []
    failures = []
    for given in wanted:
        name = names.last_part(given)
        row = lookup(call, name)
        if name in FARGATE:
            found.append(_fargate(call, name))
        elif row is not None:
            found.append(render(row, with_tags=with_tags))
        else:
            arn = given if given.startswith("arn:") else names.arn(call, f"capacity-provider/{given}")
            failures.append({"arn": arn, "reason": "MISSING"})
    return {"capacityProviders": found, "failures": failures} | ({"nextToken": token} if token else {})


OPERATIONS: tuple[Operation, ...] = (
    write("CreateCapacityProvider", create_capacity_provider),
    write("UpdateCapacityProvider", update_capacity_provider),
    write("DeleteCapacityProvider", delete_capacity_provider),
    read("DescribeCapacityProviders", describe_capacity_providers),
)
