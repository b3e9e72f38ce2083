"""Intrinsic functions: one value in, the value that it stands for out.

`evaluate` walks a template value and replaces every function by its result in a `Scope`. The scope decides what is
known: parameters alone while conditions are evaluated, live attributes while a resource is made.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ecsnet.services.cloudformation.errors import ValidationError


class NoValue:
    """`AWS::NoValue`: the property or list item that holds it is left out."""


NO_VALUE = NoValue()

_SUB = re.compile(r"\$\{(!?)([^}]*)\}")


def _no_resource(name: str) -> Any:
    raise ValidationError(
        f"Template format error: Unresolved resource dependencies [{name}] in the Resources block of the template"
    )


def _no_attribute(name: str, attribute: str) -> Any:
    raise ValidationError(f"Template error: instance of Fn::GetAtt references undefined resource {name}")


def _no_export(name: str) -> str:
    raise ValidationError(f"No export named {name} found.")


def _no_zones(region: str) -> list[str]:
    raise ValidationError(f"Template error: Fn::GetAZs is not available here (region {region!r}).")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a template's functions may refer to."""

    values: Mapping[str, Any]
    """Parameters and pseudo parameters by name; strings or lists of strings."""
    mappings: Mapping[str, Any] = field(default_factory=dict)
    conditions: Mapping[str, bool] = field(default_factory=dict)
    resource: Callable[[str], Any] = _no_resource
    """Logical id → what Ref gives."""
    attribute: Callable[[str, str], Any] = _no_attribute
    """(logical id, attribute) → what Fn::GetAtt gives."""
    export: Callable[[str], str] = _no_export
    zones: Callable[[str], list[str]] = _no_zones
    extra: Mapping[str, Callable[[Any, Scope], Any]] = field(default_factory=dict)
    """Functions that exist in this place only (those of Rules)."""


def evaluate(value: Any, scope: Scope) -> Any:
    """Replace every function in `value`.

    Raises ValidationError with CloudFormation's text when a function is misused or names what does not exist.
    """
    if isinstance(value, dict):
        if len(value) == 1:
            ((name, argument),) = value.items()
            function = FUNCTIONS.get(name) or scope.extra.get(name)
            if function is not None:
                return function(argument, scope)
            if name.startswith("Fn::"):
                raise ValidationError(f"Template format error: unknown function {name}.")
        result = {}
        for key, item in value.items():
            evaluated = evaluate(item, scope)
            if evaluated is not NO_VALUE:
                result[key] = evaluated
        return result
    if isinstance(value, list):
        return [item for item in (evaluate(each, scope) for each in value) if item is not NO_VALUE]
    return value


def text(value: Any) -> str:
    """A scalar as CloudFormation writes it into a string."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _scalar(name: str, value: Any) -> str:
    if isinstance(value, dict | list) or value is None or value is NO_VALUE:
        raise ValidationError(f"Template error: every {name} object must have a String-type value; got {_show(value)}.")
    return text(value)


def _show(value: Any) -> str:
    if value is NO_VALUE:
        return "AWS::NoValue"
    shown = json.dumps(value, default=str)
    return shown if len(shown) <= 120 else shown[:117] + "..."


def _list(name: str, value: Any, length: int | None = None) -> list[Any]:
    if not isinstance(value, list) or (length is not None and len(value) != length):
        want = f"a list of {length} elements" if length is not None else "a list"
        raise ValidationError(f"Template error: {name} object requires {want}; got {_show(value)}.")
    return value


def _ref(argument: Any, scope: Scope) -> Any:
    if not isinstance(argument, str):
        raise ValidationError("Template format error: All Ref objects must have a String-type value.")
    return _named(argument, scope)


def _named(name: str, scope: Scope) -> Any:
    if name == "AWS::NoValue":
        return NO_VALUE
    if name in scope.values:
        return scope.values[name]
    if name.startswith("AWS::"):
        raise ValidationError(f"Template format error: Unrecognized pseudo parameter {name}.")
    return scope.resource(name)


def _get_att(argument: Any, scope: Scope) -> Any:
    parts = argument.split(".", 1) if isinstance(argument, str) else argument
    if not isinstance(parts, list) or len(parts) != 2 or not isinstance(parts[0], str):
        raise ValidationError(
            "Template error: Fn::GetAtt object requires two non-empty parameters, the resource name and the "
            f"resource attribute; got {_show(argument)}."
        )
    return scope.attribute(parts[0], _scalar("Fn::GetAtt", evaluate(parts[1], scope)))


def _sub(argument: Any, scope: Scope) -> str:
    names: dict[str, Any] = {}
    if isinstance(argument, list):
        if len(argument) != 2 or not isinstance(argument[0], str) or not isinstance(argument[1], dict):
            raise ValidationError(
                "Template error: One or more Fn::Sub intrinsic functions don't specify expected arguments. Specify a "
                "string as first argument, and an optional second argument to specify a mapping of values to replace "
                "in the string"
            )
        argument, given = argument
        names = {key: evaluate(item, scope) for key, item in given.items()}
    if not isinstance(argument, str):
        raise ValidationError("Template error: Fn::Sub needs a string as first argument.")

    def replace(match: re.Match[str]) -> str:
        literal, name = match.group(1), match.group(2)
        if literal:
            return "${" + name + "}"
        name = name.strip()
        if name in names:
            found = names[name]
        elif "." in name and name not in scope.values:
            found = scope.attribute(*name.split(".", 1))
        else:
            found = _named(name, scope)
        return _scalar("Fn::Sub", found)

    return _SUB.sub(replace, argument)


def sub_references(argument: Any) -> Iterator[str]:
    """The names (with `.attribute`) that a Fn::Sub argument refers to outside its own mapping."""
    body, own = (argument[0], argument[1]) if isinstance(argument, list) and len(argument) == 2 else (argument, {})
    if isinstance(body, str):
        for literal, name in _SUB.findall(body):
            if not literal and name.strip() not in own:
                yield name.strip()


def _join(argument: Any, scope: Scope) -> str:
    parts = _list("Fn::Join", argument, 2)
    separator, items = parts[0], evaluate(parts[1], scope)
    if not isinstance(separator, str):
        raise ValidationError("Template error: Fn::Join needs a string as delimiter.")
    return separator.join(_scalar("Fn::Join", item) for item in _list("Fn::Join", items))


def _select(argument: Any, scope: Scope) -> Any:
    parts = _list("Fn::Select", argument, 2)
    index, items = text(evaluate(parts[0], scope)), _list("Fn::Select", evaluate(parts[1], scope))
    if not index.isdigit():
        raise ValidationError(f"Template error: Fn::Select requires an integer index; got {index!r}.")
    if int(index) >= len(items):
        raise ValidationError(f"Template error: Fn::Select  cannot select nonexistent value at index {index}")
    return items[int(index)]


def _split(argument: Any, scope: Scope) -> list[str]:
    parts = _list("Fn::Split", argument, 2)
    delimiter = evaluate(parts[0], scope)
    if not isinstance(delimiter, str) or not delimiter:
        raise ValidationError(
            "Template error: every Fn::Split object requires two parameters, a delimiter and a string."
        )
    return _scalar("Fn::Split", evaluate(parts[1], scope)).split(delimiter)


def _find_in_map(argument: Any, scope: Scope) -> Any:
    if not isinstance(argument, list) or len(argument) not in (3, 4):
        raise ValidationError(
            "Template error: every Fn::FindInMap object requires three parameters, the map name, map key and the "
            f"attribute for return value; got {_show(argument)}."
        )
    name, first, second = (_scalar("Fn::FindInMap", evaluate(item, scope)) for item in argument[:3])
    try:
        return scope.mappings[name][first][second]
    except (KeyError, TypeError):
        if len(argument) == 4 and isinstance(argument[3], dict) and "DefaultValue" in argument[3]:
            return evaluate(argument[3]["DefaultValue"], scope)
    if name not in scope.mappings:
        raise ValidationError(
            f"Template error: Mapping named '{name}' is not present in the 'Mappings' section of template."
        )
    raise ValidationError(f"Template error: Unable to get mapping for {name}::{first}::{second}")


def _get_azs(argument: Any, scope: Scope) -> list[str]:
    region = evaluate(argument, scope)
    return scope.zones(text(scope.values.get("AWS::Region", "")) if region in ("", None) else text(region))


def _import_value(argument: Any, scope: Scope) -> str:
    return scope.export(_scalar("Fn::ImportValue", evaluate(argument, scope)))


def _base64(argument: Any, scope: Scope) -> str:
    return base64.b64encode(_scalar("Fn::Base64", evaluate(argument, scope)).encode()).decode()


def _cidr(argument: Any, scope: Scope) -> list[str]:
    parts = evaluate(argument, scope)
    if not isinstance(parts, list) or len(parts) not in (2, 3):
        raise ValidationError("Template error: Fn::Cidr needs an address block, a count and optionally cidrBits.")
    try:
        block = ipaddress.ip_network(text(parts[0]), strict=False)
        count = int(text(parts[1]))
        bits = int(text(parts[2])) if len(parts) == 3 else (8 if block.version == 4 else 64)
    except ValueError as error:
        raise ValidationError(f"Template error: Fn::Cidr: {error}.") from None
    prefix = block.max_prefixlen - bits
    if not 1 <= count <= 256 or prefix < block.prefixlen or bits < 1:
        raise ValidationError(
            f"Template error: Fn::Cidr: {parts[0]} does not hold blocks of {bits} bits (count 1 to 256, got {count})."
        )
    size, first = 1 << bits, int(block.network_address)
    if count * size > block.num_addresses:
        raise ValidationError(f"Template error: Fn::Cidr: {parts[0]} holds fewer than {count} blocks of /{prefix}.")
    make = ipaddress.ip_address if block.version == 4 else ipaddress.IPv6Address
    return [f"{make(first + number * size)}/{prefix}" for number in range(count)]


def _if(argument: Any, scope: Scope) -> Any:
    parts = _list("Fn::If", argument, 3)
    name = parts[0]
    if not isinstance(name, str) or name not in scope.conditions:
        raise ValidationError(f"Template error: unresolved condition dependency {name} in Fn::If")
    return evaluate(parts[1] if scope.conditions[name] else parts[2], scope)


def _length(argument: Any, scope: Scope) -> int:
    value = evaluate(argument, scope)
    return len(_list("Fn::Length", value))


def _to_json_string(argument: Any, scope: Scope) -> str:
    value = evaluate(argument, scope)
    if not isinstance(value, dict | list):
        raise ValidationError("Template error: Fn::ToJsonString needs an object or a list.")
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _transform(argument: Any, scope: Scope) -> Any:
    name = argument.get("Name") if isinstance(argument, dict) else argument
    raise ValidationError(f"ecsnet does not run the macro {name} (Fn::Transform). Remove it or expand it beforehand.")


def _equals(argument: Any, scope: Scope) -> bool:
    parts = _list("Fn::Equals", argument, 2)
    left, right = (evaluate(item, scope) for item in parts)
    if isinstance(left, dict | list) or isinstance(right, dict | list):
        return bool(left == right)
    return text(left) == text(right)


def truth(value: Any, scope: Scope) -> bool:
    """Evaluate something that stands where a condition must stand."""
    if isinstance(value, dict) and len(value) == 1 and "Condition" in value:
        return _condition(value["Condition"], scope)
    result = evaluate(value, scope)
    if isinstance(result, bool):
        return result
    if isinstance(result, str) and result.lower() in ("true", "false"):
        return result.lower() == "true"
    raise ValidationError(f"Template format error: expected a condition; got {_show(value)}.")


def _condition(name: Any, scope: Scope) -> bool:
    if not isinstance(name, str) or name not in scope.conditions:
        raise ValidationError(f"Template format error: Unresolved condition dependency {name}.")
    return scope.conditions[name]


def _and(argument: Any, scope: Scope) -> bool:
    return all(truth(item, scope) for item in _operands("Fn::And", argument))


def _or(argument: Any, scope: Scope) -> bool:
    return any(truth(item, scope) for item in _operands("Fn::Or", argument))


def _operands(name: str, argument: Any) -> list[Any]:
    if not isinstance(argument, list) or not 2 <= len(argument) <= 10:
        raise ValidationError(f"Template error: every {name} object requires a list of 2 to 10 boolean parameters.")
    return argument


def _not(argument: Any, scope: Scope) -> bool:
    return not truth(_list("Fn::Not", argument, 1)[0], scope)


FUNCTIONS: dict[str, Callable[[Any, Scope], Any]] = {
    "Ref": _ref,
    "Fn::GetAtt": _get_att,
    "Fn::Sub": _sub,
    "Fn::Join": _join,
    "Fn::Select": _select,
    "Fn::Split": _split,
    "Fn::FindInMap": _find_in_map,
    "Fn::GetAZs": _get_azs,
    "Fn::ImportValue": _import_value,
    "Fn::Base64": _base64,
    "Fn::Cidr": _cidr,
    "Fn::If": _if,
    "Fn::Length": _length,
    "Fn::ToJsonString": _to_json_string,
    "Fn::Transform": _transform,
    "Fn::Equals": _equals,
    "Fn::And": _and,
    "Fn::Or": _or,
    "Fn::Not": _not,
}
"""What may stand in any value. The functions of `Rules` are in rules.py."""
