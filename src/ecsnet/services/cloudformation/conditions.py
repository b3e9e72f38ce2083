"""The Conditions section: decided once, before anything else is evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ecsnet.services.cloudformation.errors import ValidationError
from ecsnet.services.cloudformation.intrinsics import Scope, truth


def conditions(section: Mapping[str, Any], scope: Scope) -> dict[str, bool]:
    """Evaluate a template's Conditions section; conditions may refer to each other in any order."""
    done: dict[str, bool] = {}
    open_names: list[str] = []

    def result(name: str) -> bool:
        if name in done:
            return done[name]
        if name not in section:
            raise ValidationError(f"Template format error: Unresolved condition dependency {name}.")
        if name in open_names:
            raise ValidationError(f"Template error: Circular dependency between conditions: {[*open_names, name]}")
        open_names.append(name)
        value = section[name]
        for needed in _conditions_in(value):
            result(needed)
        inner = Scope(values=scope.values, mappings=scope.mappings, conditions=done)
        done[name] = truth(value, inner)
        open_names.pop()
        return done[name]

    for name in section:
        result(name)
    return done


def _conditions_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if len(value) == 1 and isinstance(value.get("Condition"), str):
            yield value["Condition"]
        elif len(value) == 1 and isinstance(value.get("Fn::If"), list) and value["Fn::If"]:
            yield str(value["Fn::If"][0])
        for item in value.values():
            yield from _conditions_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from _conditions_in(item)
