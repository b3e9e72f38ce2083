"""What CloudFormation's resource provider schemas say about a type: its properties, and which changes replace it.

The schemas are the JSON files inside the installed cfn-lint package. They are read as files: importing cfn-lint costs
a third of a second and 66 MB for nothing that is needed here.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ecsnet.services.cloudformation.errors import ValidationError
from ecsnet.services.cloudformation.intrinsics import text


@lru_cache(maxsize=1)
def _root() -> Path:
    spec = importlib.util.find_spec("cfnlint")
    if spec is None or spec.origin is None:
        raise RuntimeError("the package cfn-lint is not installed; CloudFormation needs its resource schemas")
    return Path(spec.origin).parent / "data" / "schemas"


@lru_cache(maxsize=1)
def _files() -> Mapping[str, str]:
    found: dict[str, str] = json.loads((_root() / "providers" / "us-east-1.json").read_bytes())
    return found


def is_known(kind: str) -> bool:
    """Whether a resource type exists at all (custom resources are known by their prefix)."""
    return kind in _files() or kind.startswith("Custom::") or kind in _WITHOUT_SCHEMA


_WITHOUT_SCHEMA = frozenset(
    ["AWS::CloudFormation::CustomResource", "AWS::CDK::Metadata", "AWS::CloudFormation::WaitCondition"]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """One resource type's schema."""

    body: Mapping[str, Any]

    @property
    def attributes(self) -> tuple[str, ...]:
        """What Fn::GetAtt can name: the read-only properties, nested ones with dots."""
        return tuple(_dotted(pointer) for pointer in self.body.get("readOnlyProperties", ()))

    @property
    def create_only(self) -> tuple[str, ...]:
        return tuple(_dotted(pointer) for pointer in self.body.get("createOnlyProperties", ()))

    @property
    def conditionally_create_only(self) -> tuple[str, ...]:
        return tuple(_dotted(pointer) for pointer in self.body.get("conditionalCreateOnlyProperties", ()))


def _dotted(pointer: str) -> str:
    return pointer.removeprefix("/properties/").replace("/", ".")


@lru_cache(maxsize=512)
def schema_of(kind: str) -> Schema | None:
    """The schema of a type, or None for one that has none (custom resources)."""
    name = _files().get(kind)
    if name is None:
        return None
    return Schema(body=json.loads((_root() / "resources" / f"{name}.json").read_bytes()))


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the top-level properties whose values differ."""
    return tuple(key for key in {**before, **after} if before.get(key) != after.get(key))


def replacing(kind: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """The create-only properties (dotted) that differ: any of them makes the change a replacement."""
    found = schema_of(kind)
    return tuple(name for name in (found.create_only if found else ()) if _at(before, name) != _at(after, name))


def _at(value: Any, path: str) -> Any:
    for part in path.split("."):
        if part == "*":
            return value
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def conform(kind: str, logical: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """The properties with every value in the type that the schema wants (the string "80" where a number belongs).

    Raises ValidationError in CloudFormation's words for an unknown property, a missing required one or a value that
    cannot be made to fit; all findings are in one message.
    """
    found = schema_of(kind)
    if found is None:
        return dict(properties)
    problems: list[str] = []
    result = _object(found.body, found.body, properties, "#", problems)
    if problems:
        raise ValidationError(
            f"Properties validation failed for resource {logical} with message: [{', '.join(problems)}]"
        )
    return result


def _resolve(root: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    for _ in range(20):
        pointer = node.get("$ref")
        if not isinstance(pointer, str) or not pointer.startswith("#/"):
            return node
        target: Any = root
        for part in pointer[2:].split("/"):
            target = target.get(part, {}) if isinstance(target, Mapping) else {}
        node = target
    return {}


def _types(node: Mapping[str, Any]) -> tuple[str, ...]:
    kind = node.get("type")
    return tuple(kind) if isinstance(kind, list) else (kind,) if isinstance(kind, str) else ()


def _alternatives(root: Mapping[str, Any], node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for word in ("oneOf", "anyOf", "allOf"):
        for item in node.get(word, ()):
            resolved = _resolve(root, item)
            if resolved.get("properties") or resolved.get("type"):
                yield resolved


def _value(root: Mapping[str, Any], node: Mapping[str, Any], value: Any, path: str, problems: list[str]) -> Any:
    node = _resolve(root, node)
    types = _types(node)
    if not types and "properties" not in node:
        options = list(_alternatives(root, node))
        for option in options:
            attempt: list[str] = []
            result = _value(root, option, value, path, attempt)
            if not attempt:
                return result
        return value
    if isinstance(value, dict):
        if types and "object" not in types:
            problems.append(f"{path}: expected type: {_named(types)}, found: JSONObject")
            return value
        return _object(root, node, value, path, problems)
    if isinstance(value, list):
        if "array" not in types:
            problems.append(f"{path}: expected type: {_named(types)}, found: JSONArray")
            return value
        items = node.get("items")
        if not isinstance(items, Mapping):
            return value
        return [_value(root, items, item, f"{path}/{number}", problems) for number, item in enumerate(value)]
    return _scalar(types, value, path, problems)


def _named(types: tuple[str, ...]) -> str:
    names = {"object": "JSONObject", "array": "JSONArray", "string": "String", "integer": "Integer"}
    return " or ".join(names.get(kind, kind.capitalize()) for kind in types)


def _scalar(types: tuple[str, ...], value: Any, path: str, problems: list[str]) -> Any:
    if value is None:
        problems.append(f"{path}: null values are not allowed in templates")
        return value
    written = text(value)
    if "string" in types:
        return written
    if "boolean" in types and written.lower() in ("true", "false"):
        return written.lower() == "true"
    if "integer" in types or "number" in types:
        try:
            number = float(written)
        except ValueError:
            number = float("nan")
        if number == number and ("number" in types or number.is_integer()):
            return int(number) if number.is_integer() else number
    if "object" in types and isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            problems.append(f"{path}: expected type: JSONObject, found: a string that is not JSON")
            return value
    if types:
        problems.append(f"{path}: expected type: {_named(types)}, found: {_found(value)}")
    return value


def _found(value: Any) -> str:
    return "Boolean" if isinstance(value, bool) else "String" if isinstance(value, str) else "Number"


def _object(
    root: Mapping[str, Any], node: Mapping[str, Any], value: Mapping[str, Any], path: str, problems: list[str]
) -> dict[str, Any]:
    properties = dict(node.get("properties", {}))
    for option in _alternatives(root, node):
        for key, item in option.get("properties", {}).items():
            properties.setdefault(key, item)
    if not properties:
        return dict(value)
    result = {}
    read_only = {_dotted(p) for p in root.get("readOnlyProperties", ())} if node is root else set()
    for key, item in value.items():
        if key in properties:
            if key in read_only:
                problems.append(f"{path}: extraneous key [{key}] is not permitted (it is read-only)")
            else:
                result[key] = _value(root, properties[key], item, f"{path}/{key}", problems)
        elif node.get("additionalProperties") is False and "patternProperties" not in node:
            problems.append(f"{path}: extraneous key [{key}] is not permitted")
        else:
            result[key] = item
    for key in node.get("required", ()):
        if key not in value:
            problems.append(f"{path}: required key [{key}] not found")
    return result
