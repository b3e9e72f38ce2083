"""Fn::ForEach of the AWS::LanguageExtensions transform: copies a fragment once per element of a collection."""

from __future__ import annotations

from typing import Any

from ecsnet.services.cloudformation.errors import ValidationError
from ecsnet.services.cloudformation.intrinsics import Scope, evaluate, text

_PREFIX = "Fn::ForEach::"
_MAX_DEPTH = 5


def expand(value: Any, scope: Scope, depth: int = 0) -> Any:
    """Replace every loop in `value`. Raises ValidationError for a malformed loop or nesting deeper than five."""
    if isinstance(value, list):
        return [expand(item, scope, depth) for item in value]
    if not isinstance(value, dict):
        return value
    result: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(key, str) and key.startswith(_PREFIX):
            if depth >= _MAX_DEPTH:
                raise ValidationError(f"Template error: {key} is nested deeper than {_MAX_DEPTH} loops.")
            for name, body in _loop(key, item, scope, depth):
                if name in result or name in value:
                    raise ValidationError(f"Template error: {key} makes {name}, which exists already.")
                result[name] = body
        else:
            result[key] = expand(item, scope, depth)
    return result


def _loop(key: str, item: Any, scope: Scope, depth: int) -> list[tuple[str, Any]]:
    if not isinstance(item, list) or len(item) != 3 or not isinstance(item[0], str) or not isinstance(item[2], dict):
        raise ValidationError(f"Template error: {key} needs an identifier, a collection and a fragment.")
    identifier, collection, fragment = item
    elements = evaluate(collection, scope)
    if not isinstance(elements, list):
        raise ValidationError(f"Template error: the collection of {key} must be a list.")
    made = []
    for element in elements:
        copy = _replaced(fragment, identifier, text(element))
        made.extend(expand(copy, scope, depth + 1).items())
    return made


def _replaced(value: Any, identifier: str, element: str) -> Any:
    if isinstance(value, str):
        alphanumeric = "".join(letter for letter in element if letter.isalnum())
        return value.replace("${" + identifier + "}", element).replace("&{" + identifier + "}", alphanumeric)
    if isinstance(value, list):
        return [_replaced(item, identifier, element) for item in value]
    if isinstance(value, dict):
        if value == {"Ref": identifier}:
            return element
        return {
            _replaced(key, identifier, element): _replaced(item, identifier, element) for key, item in value.items()
        }
    return value
