"""What an update would do, without doing it: the Changes of a change set, and whether there is anything to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from ecsnet.model.cloudformation import Stack, StackResource, StackVersion
from ecsnet.services.cloudformation.intrinsics import evaluate
from ecsnet.services.cloudformation.journal import resources_of
from ecsnet.services.cloudformation.plan import Plan, Resource
from ecsnet.services.cloudformation.resolve import live_scope, plan_of
from ecsnet.services.cloudformation.schema import changed, conform, schema_of
from ecsnet.store.snapshot import Reader

_PENDING = "{{changeSet:KNOWN_AFTER_APPLY}}"
"""Stands for a value that is known only when the change set is executed."""

_NESTED = "AWS::CloudFormation::Stack"


def changes_of(reader: Reader, stack: Stack, plan: Plan, version: StackVersion | None = None) -> list[dict[str, Any]]:
    """The API's Changes: resources to add, modify and remove (API reference, Change)."""
    rows = {
        logical: row
        for logical, row in resources_of(reader, stack.id).items()
        if row.physical is not None and row.status.value not in ("DELETE_COMPLETE", "DELETE_SKIPPED")
    }
    if version is not None:
        current = msgspec.structs.replace(stack.current, tags=version.tags)
        stack = msgspec.structs.replace(stack, current=current)
    replaced: set[str] = set()
    result = []
    for logical, resource in plan.resources.items():
        row = rows.get(logical)
        if row is None:
            replaced.add(logical)
            result.append(_change("Add", logical, resource.type))
            continue
        modify = _modification(reader, stack, plan, resource, row, replaced)
        if modify is not None:
            if modify["ResourceChange"]["Replacement"] == "True":
                replaced.add(logical)
            result.append(modify)
    for logical, row in rows.items():
        if logical not in plan.resources:
            assert row.physical is not None
            result.append(_change("Remove", logical, row.type, row.physical.id))
    return result


def _change(action: str, logical: str, kind: str, physical: str | None = None) -> dict[str, Any]:
    body: dict[str, Any] = {"Action": action, "LogicalResourceId": logical, "ResourceType": kind}
    if physical is not None:
        body["PhysicalResourceId"] = physical
    return {"Type": "Resource", "ResourceChange": {**body, "Scope": [], "Details": []}}


def _modification(
    reader: Reader, stack: Stack, plan: Plan, resource: Resource, row: StackResource, replaced: set[str]
) -> dict[str, Any] | None:
    assert row.physical is not None
    scope = live_scope(reader, stack, plan)
    known_resource, known_attribute = scope.resource, scope.attribute

    def reference(name: str) -> Any:
        return _PENDING if name in replaced else known_resource(name)

    def attribute(name: str, wanted: str) -> Any:
        return _PENDING if name in replaced else known_attribute(name, wanted)

    after = evaluate(dict(resource.properties), replace(scope, resource=reference, attribute=attribute))
    before: Mapping[str, Any] = json.loads(row.physical.properties)
    if _PENDING not in json.dumps(after, default=str):
        after = conform(resource.type, resource.logical, after)
    names = changed(before, json.loads(json.dumps(after, default=str)))
    if resource.type != row.type:
        return _modified(resource, row.physical.id, names, "True")
    if not names and resource.type != _NESTED:
        return None
    schema = schema_of(resource.type)
    tops = {name.split(".")[0] for name in schema.create_only} if schema else set()
    maybe = {name.split(".")[0] for name in schema.conditionally_create_only} if schema else set()
    hits = [name for name in names if name in tops]
    if any(_PENDING not in json.dumps(after.get(name), default=str) for name in hits):
        kind = "True"
    else:
        kind = "Conditional" if hits or any(name in maybe for name in names) else "False"
    return _modified(resource, row.physical.id, names, kind, tops, maybe)


def _modified(
    resource: Resource,
    physical: str,
    names: tuple[str, ...],
    replacement: str,
    tops: set[str] | None = None,
    maybe: set[str] | None = None,
) -> dict[str, Any]:
    change = _change("Modify", resource.logical, resource.type, physical)
    body = change["ResourceChange"]
    body["Replacement"] = replacement
    body["Scope"] = sorted({"Tags" if name == "Tags" else "Properties" for name in names})
    body["Details"] = [
        {
            "Target": {
                "Attribute": "Tags" if name == "Tags" else "Properties",
                **({} if name == "Tags" else {"Name": name}),
                "RequiresRecreation": "Always"
                if name in (tops or ())
                else "Conditionally"
                if name in (maybe or ())
                else "Never",
            },
            "Evaluation": "Static",
            "ChangeSource": "DirectModification",
        }
        for name in names
    ]
    return change


def differs(reader: Reader, stack: Stack, version: StackVersion, plan: Plan) -> bool:
    """Whether an update would change anything at all."""
    if changes_of(reader, stack, plan, version):
        return True
    if version.tags != stack.current.tags:
        return True
    before = plan_of(stack)
    return before.outputs != plan.outputs or _metadata(stack.current) != _metadata(version)


def _metadata(version: StackVersion) -> Mapping[str, Any]:
    """The resources' own metadata and policies: changing only these is an update too."""
    body = json.loads(version.processed)
    return {
        logical: {key: item for key, item in resource.items() if key not in ("Properties", "Type")}
        for logical, resource in body["Resources"].items()
    }
