"""Placement constraints and strategies of a request (API types PlacementConstraint and PlacementStrategy)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ecsnet.model.capacity import PlacementConstraint, PlacementStrategy
from ecsnet.model.ecs import Service, TaskDefinition
from ecsnet.services.call import Request
from ecsnet.services.ecs import errors, query

_MOST_CONSTRAINTS = 10
_MOST_STRATEGIES = 5


def constraints(definition: TaskDefinition, request: Request) -> tuple[PlacementConstraint, ...]:
    """Those of the definition and of the request. Raises InvalidParameterException."""
    own = msgspec.json.decode(definition.body).get("placementConstraints") or ()
    given = tuple(_constraint(one) for one in (*own, *(request.get("placementConstraints") or ())))
    if len(given) > _MOST_CONSTRAINTS:
        raise errors.invalid(
            f"A task can have at most {_MOST_CONSTRAINTS} placement constraints, those of its definition included."
        )
    return given


def of_service(service: Service) -> Request:
    """The placement that a service asks for, as a request."""
    body = msgspec.json.decode(service.body)
    return {member: body.get(member) or () for member in ("placementConstraints", "placementStrategy")}


def _constraint(given: Mapping[str, Any]) -> PlacementConstraint:
    kind, expression = given.get("type"), given.get("expression") or None
    match kind:
        case "distinctInstance":
            if expression is not None:
                raise errors.invalid("A distinctInstance placement constraint has no expression.")
            return PlacementConstraint(type="distinctInstance")
        case "memberOf":
            if expression is None:
                raise errors.invalid("A memberOf placement constraint needs an expression.")
            checked_expression(expression)
            return PlacementConstraint(type="memberOf", expression=expression)
        case _:
            raise errors.invalid(f"Placement constraint type {kind!r} must be distinctInstance or memberOf.")


def checked_expression(text: str) -> query.Expression:
    """A text of the cluster query language. Raises InvalidParameterException."""
    try:
        return query.parse(text)
    except query.QueryError as error:
        raise errors.invalid(f"Invalid expression '{text}': {error}.") from error


def check_definition(given: Iterable[Mapping[str, Any]]) -> None:
    """A task definition may have memberOf constraints only (API TaskDefinitionPlacementConstraint)."""
    found = list(given)
    if len(found) > _MOST_CONSTRAINTS:
        raise errors.client(f"A task definition can have at most {_MOST_CONSTRAINTS} placement constraints.")
    for one in found:
        if one.get("type") != "memberOf" or not one.get("expression"):
            raise errors.client("A placement constraint of a task definition must be memberOf with an expression.")
        try:
            query.parse(one["expression"])
        except query.QueryError as error:
            raise errors.client(f"Invalid expression '{one['expression']}': {error}.") from error


def strategies(request: Request) -> tuple[PlacementStrategy, ...]:
    """Raises InvalidParameterException."""
    given = tuple(_strategy(one) for one in request.get("placementStrategy") or ())
    if len(given) > _MOST_STRATEGIES:
        raise errors.invalid(f"A task or service can have at most {_MOST_STRATEGIES} placement strategies.")
    return given


def _strategy(given: Mapping[str, Any]) -> PlacementStrategy:
    kind, field = given.get("type"), given.get("field") or ""
    match kind:
        case "random":
            return PlacementStrategy(type="random")
        case "binpack":
            if field.lower() not in ("cpu", "memory"):
                raise errors.invalid(f"The field of a binpack strategy must be cpu or memory, but was {field!r}.")
            return PlacementStrategy(type="binpack", field=field.lower())
        case "spread":
            if field not in ("instanceId", "host") and not field.startswith("attribute:"):
                raise errors.invalid(
                    f"The field of a spread strategy must be instanceId or an attribute (attribute:<name>), but was "
                    f"{field!r}."
                )
            return PlacementStrategy(type="spread", field=field)
        case _:
            raise errors.invalid(f"Placement strategy type {kind!r} must be spread, binpack or random.")


def wire_constraints(rows: Iterable[PlacementConstraint]) -> list[dict[str, str]]:
    return [{"type": one.type} | ({"expression": one.expression} if one.expression else {}) for one in rows]


def wire_strategies(rows: Iterable[PlacementStrategy]) -> list[dict[str, str]]:
    return [{"type": one.type} | ({"field": one.field} if one.field else {}) for one in rows]
