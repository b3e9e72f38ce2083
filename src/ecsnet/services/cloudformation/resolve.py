"""Resolves a stack's template values against what its resources are right now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ecsnet.model import tables
from ecsnet.model.base import scope as place
from ecsnet.model.cloudformation import Output, Physical, Stack, StackVersion
from ecsnet.services.cloudformation.errors import ValidationError
from ecsnet.services.cloudformation.intrinsics import Scope, evaluate, text
from ecsnet.services.cloudformation.journal import resource_of
from ecsnet.services.cloudformation.plan import Identity, Plan, Resource, make_plan
from ecsnet.services.cloudformation.resources.custom import is_custom
from ecsnet.services.cloudformation.schema import conform
from ecsnet.store.snapshot import Reader


class UnknownValueError(Exception):
    """A value depends on a resource that does not exist yet."""


def identity_of(stack: Stack, version: StackVersion | None = None) -> Identity:
    return Identity(
        id=stack.id,
        name=stack.name,
        account=stack.account,
        region=stack.region,
        notifications=(version or stack.current).notifications,
    )


def plan_of(stack: Stack, version: StackVersion | None = None) -> Plan:
    version = version or stack.current
    return make_plan(version.processed, version.parameters, identity_of(stack, version))


def zones(reader: Reader, account: str, region: str) -> list[str]:
    """The zones that Fn::GetAZs answers: those with a default subnet, else all (user guide, Fn::GetAZs)."""
    subnets = list(reader.find(tables.SUBNETS_BY_SCOPE, place(account, region)))
    default = sorted({subnet.az for subnet in subnets if subnet.default_for_az})
    return default or [f"{region}{letter}" for letter in "abc"]


def live_scope(reader: Reader, stack: Stack, plan: Plan) -> Scope:
    """The plan's scope plus the stack's resources and the region's exports."""

    def physical(name: str) -> Physical:
        row = resource_of(reader, stack.id, name)
        if row is None or row.physical is None:
            raise UnknownValueError(name)
        return row.physical

    def resource(name: str) -> Any:
        found = physical(name)
        return json.loads(found.attributes).get("Ref", found.id)

    def attribute(name: str, wanted: str) -> Any:
        found = physical(name)
        attributes = json.loads(found.attributes)
        if wanted not in attributes and is_custom(found.type):
            raise ValidationError(
                f"ecsnet does not run the function behind {name} ({found.type}), so its attribute {wanted} is unknown."
            )
        if wanted not in attributes:
            raise ValidationError(
                f"Template error: resource {name} ({found.type}) does not support attribute type {wanted} in "
                f"Fn::GetAtt; ecsnet gives {', '.join(sorted(set(attributes) - {'Ref'})) or 'none'}"
            )
        return attributes[wanted]

    return replace(
        plan.scope,
        resource=resource,
        attribute=attribute,
        export=lambda name: export_value(reader, stack.account, stack.region, name),
        zones=lambda region: zones(reader, stack.account, region),
    )


def export_value(reader: Reader, account: str, region: str, name: str) -> str:
    found = reader.get(tables.EXPORTS, tables.export_key(account, region, name))
    if found is None:
        raise ValidationError(f"No export named {name} found.")
    return found.value


def properties_of(reader: Reader, stack: Stack, plan: Plan, resource: Resource) -> dict[str, Any]:
    """A resource's properties, resolved and in the types that its schema wants.

    Raises ValidationError, or UnknownValueError when a resource that it refers to does not exist yet.
    """
    value = evaluate(dict(resource.properties), live_scope(reader, stack, plan))
    return conform(resource.type, resource.logical, value)


def outputs_of(reader: Reader, stack: Stack, plan: Plan) -> tuple[Output, ...]:
    scope = live_scope(reader, stack, plan)
    outputs = []
    for key, declared in plan.outputs.items():
        value = evaluate(declared.value, scope)
        if isinstance(value, dict | list):
            raise ValidationError(f"Template format error: Output {key} is malformed. The Value must be a string.")
        export = evaluate(declared.export, scope) if declared.export is not None else None
        outputs.append(
            Output(
                key=key,
                value=text(value),
                description=declared.description,
                export=text(export) if export is not None else None,
            )
        )
    return tuple(outputs)


def imports_of(plan: Plan, reader: Reader, account: str, region: str) -> tuple[str, ...]:
    """The exports that the plan imports. Their names can depend on parameters only.

    Raises ValidationError when one of them does not exist.
    """
    names: dict[str, None] = {}

    def use(name: str) -> str:
        names[name] = None
        return export_value(reader, account, region, name)

    scope = replace(plan.scope, export=use)
    for resource in plan.resources.values():
        _imports(resource.properties, scope)
    for output in plan.outputs.values():
        _imports(output.value, scope)
    return tuple(names)


def _imports(value: Any, scope: Scope) -> None:
    if isinstance(value, Mapping):
        if len(value) == 1 and "Fn::ImportValue" in value:
            evaluate(value, scope)
            return
        for item in value.values():
            _imports(item, scope)
    elif isinstance(value, list):
        for item in value:
            _imports(item, scope)
