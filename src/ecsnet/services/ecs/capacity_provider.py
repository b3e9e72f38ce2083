"""Capacity providers: FARGATE and FARGATE_SPOT (Developer Guide, "Fargate capacity providers").

Capacity providers of a user's own need container instances, which ecsnet does not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ecsnet.model.ecs import StrategyItem
from ecsnet.services.call import Call, Operation, Reply, Request, read
from ecsnet.services.ecs import errors, names

FARGATE = ("FARGATE", "FARGATE_SPOT")

_MAX_WEIGHT = 1000
_MAX_BASE = 100_000
_MAX_ITEMS = 20


def check_names(providers: Iterable[str]) -> tuple[str, ...]:
    """`providers` when each exists. Raises InvalidParameterException."""
    chosen = tuple(providers)
    for name in chosen:
        if name not in FARGATE:
            raise errors.invalid(
                f"The specified capacity provider '{name}' was not found. ecsnet knows FARGATE and FARGATE_SPOT."
            )
    return chosen


def strategy(items: Iterable[Mapping[str, Any]], associated: Iterable[str]) -> tuple[StrategyItem, ...]:
    """A capacity provider strategy of a request, checked against the providers associated with the cluster.

    Raises InvalidParameterException.
    """
    chosen = tuple(
        StrategyItem(provider=item["capacityProvider"], weight=item.get("weight", 0), base=item.get("base", 0))
        for item in items
    )
    if len(chosen) > _MAX_ITEMS:
        raise errors.invalid(f"A capacity provider strategy can contain a maximum of {_MAX_ITEMS} capacity providers.")
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


def describe_capacity_providers(call: Call, request: Request) -> Reply:
    wanted = request.get("capacityProviders")
    found, failures = [], []
    for given in wanted if wanted else FARGATE:
        name = names.last_part(given)
        if name in FARGATE:
            found.append(
                {
                    "capacityProviderArn": names.arn(call, f"capacity-provider/{name}"),
                    "name": name,
                    "status": "ACTIVE",
                    "type": name,
                    "tags": [],
                }
            )
        else:
            arn = given if given.startswith("arn:") else names.arn(call, f"capacity-provider/{given}")
            failures.append({"arn": arn, "reason": "MISSING"})
    return {"capacityProviders": found, "failures": failures}


OPERATIONS: tuple[Operation, ...] = (read("DescribeCapacityProviders", describe_capacity_providers),)
