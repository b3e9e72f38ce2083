"""A template's Parameters: which are given, what they must look like, and what Ref to them gives."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ecsnet.model.cloudformation import Parameter
from ecsnet.services.cloudformation.errors import ValidationError
from ecsnet.services.cloudformation.intrinsics import text

SSM_VALUE = re.compile(r"AWS::SSM::Parameter::Value<(.+)>")
_LIST = re.compile(r"List<(.+)>")
_SIMPLE = frozenset({"String", "Number", "CommaDelimitedList", "List<Number>", "List<String>"})
_ATTRIBUTES = frozenset(
    [
        *("Type", "Default", "AllowedValues", "AllowedPattern", "ConstraintDescription", "Description"),
        *("MaxLength", "MinLength", "MaxValue", "MinValue", "NoEcho"),
    ]
)


def declarations(section: Any) -> dict[str, dict[str, Any]]:
    """The Parameters section, checked for form."""
    if section is None:
        return {}
    if not isinstance(section, dict):
        raise ValidationError("Template format error: Parameters must be an object.")
    for name, body in section.items():
        if not isinstance(body, dict) or "Type" not in body:
            raise ValidationError(
                f"Template format error: Every Parameters object must contain a Type member ({name})."
            )
        unknown = [key for key in body if key not in _ATTRIBUTES]
        if unknown:
            raise ValidationError(f"Invalid template parameter property '{unknown[0]}' of parameter {name}")
        if not _known_type(str(body["Type"])):
            raise ValidationError(f"Template format error: Unrecognized parameter type: {body['Type']}")
        if isinstance(body.get("Default"), dict):
            raise ValidationError(f"Template format error: the Default of parameter {name} must be a string.")
    return section


def _known_type(kind: str) -> bool:
    wrapped = SSM_VALUE.fullmatch(kind)
    if wrapped:
        return _known_type(wrapped.group(1))
    inner = _LIST.fullmatch(kind)
    return kind in _SIMPLE or (inner.group(1) if inner else kind).startswith("AWS::")


def ssm_names(section: Mapping[str, Mapping[str, Any]], given: Mapping[str, str]) -> dict[str, str]:
    """Parameter → name of the SSM parameter whose value it takes, for the SSM-typed ones that have a value."""
    names = {}
    for name, body in section.items():
        if SSM_VALUE.fullmatch(str(body["Type"])):
            key = given.get(name, body.get("Default"))
            if key is not None:
                names[name] = text(key)
    return names


def resolve(
    section: Mapping[str, Mapping[str, Any]], given: Mapping[str, str], ssm: Mapping[str, str]
) -> tuple[Parameter, ...]:
    """Give every declared parameter its value.

    `given` are the caller's values, `ssm` the values behind the SSM-typed ones. Raises ValidationError for an
    undeclared or missing parameter and for a value that breaks a constraint.
    """
    extra = [name for name in given if name not in section]
    if extra:
        raise ValidationError(f"Parameters: [{', '.join(extra)}] do not exist in the template")
    missing = [name for name, body in section.items() if name not in given and body.get("Default") is None]
    if missing:
        raise ValidationError(f"Parameters: [{', '.join(missing)}] must have values")
    result = []
    for name, body in section.items():
        value = given[name] if name in given else _default(body["Default"])
        kind = str(body["Type"])
        resolved = None
        if SSM_VALUE.fullmatch(kind):
            if name not in ssm:
                raise ValidationError(
                    f"Parameters: [{value}] of parameter {name} cannot be resolved: SSM has no such parameter"
                )
            resolved = ssm[name]
        _check(name, body, kind, value)
        result.append(
            Parameter(key=name, value=value, resolved=resolved, no_echo=text(body.get("NoEcho", "false")) == "true")
        )
    return tuple(result)


def _default(value: Any) -> str:
    return ",".join(text(item) for item in value) if isinstance(value, list) else text(value)


def value_of(kind: str, parameter: Parameter) -> Any:
    """What Ref to a parameter gives: a string, or a list of strings for the list types."""
    wrapped = SSM_VALUE.fullmatch(kind)
    inner = wrapped.group(1) if wrapped else kind
    value = parameter.resolved if parameter.resolved is not None else parameter.value
    if inner == "CommaDelimitedList" or _LIST.fullmatch(inner):
        return [item.strip() for item in value.split(",")] if value else []
    return value


def _check(name: str, body: Mapping[str, Any], kind: str, value: str) -> None:
    values = [item.strip() for item in value.split(",")] if "List" in kind and value else [value]
    explained = body.get("ConstraintDescription")

    def broken(rule: str) -> ValidationError:
        if explained:
            return ValidationError(f"Parameter '{name}' failed to satisfy constraint: {explained}")
        return ValidationError(f"Parameter '{name}' {rule}")

    for item in values:
        if kind in ("Number", "List<Number>"):
            number = _number(item)
            if number is None:
                raise ValidationError(f"Parameter '{name}' must be a number.")
            if "MinValue" in body and number < float(body["MinValue"]):
                raise broken(f"must be a number not less than {text(body['MinValue'])}")
            if "MaxValue" in body and number > float(body["MaxValue"]):
                raise broken(f"must be a number not greater than {text(body['MaxValue'])}")
        allowed = body.get("AllowedValues")
        if isinstance(allowed, list) and item not in [text(each) for each in allowed]:
            raise broken("must be one of AllowedValues")
        if "MinLength" in body and len(item) < int(body["MinLength"]):
            raise broken(f"must contain at least {text(body['MinLength'])} characters")
        if "MaxLength" in body and len(item) > int(body["MaxLength"]):
            raise broken(f"must contain at most {text(body['MaxLength'])} characters")
        pattern = body.get("AllowedPattern")
        if pattern is not None and not _matches(name, text(pattern), item):
            raise broken(f"must match pattern {pattern}")


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


_JAVA_CLASSES = {
    r"\p{Alnum}": "[a-zA-Z0-9]",
    r"\p{Alpha}": "[a-zA-Z]",
    r"\p{Digit}": "[0-9]",
    r"\p{Punct}": r"[!-/:-@\[-`{-~]",
}


def _matches(name: str, pattern: str, value: str) -> bool:
    """Full match, in Java's dialect as far as Python's differs (POSIX classes)."""
    for java, python in _JAVA_CLASSES.items():
        pattern = pattern.replace(java, python)
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error as error:
        raise ValidationError(
            f"Template format error: AllowedPattern of parameter {name} is not a regular expression: {error}"
        ) from None
