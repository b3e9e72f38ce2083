"""Template text to plain values: YAML with CloudFormation's short forms, or JSON.

The YAML side builds values straight from the parser's events. PyYAML's own composer recurses in C, so a short text of
deeply nested brackets ends the whole process with a stack overflow; events arrive one by one and are counted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from ecsnet.services.cloudformation.errors import ValidationError

MAX_BODY_BYTES = 51_200
"""TemplateBody (API reference, CreateStack)."""
MAX_URL_BYTES = 1_048_576
"""A template read from S3 (user guide, "CloudFormation quotas")."""
MAX_DEPTH = 100

_SHORT_FORMS = frozenset(
    [
        *("And", "Base64", "Cidr", "Contains", "EachMemberEquals", "EachMemberIn", "Equals", "FindInMap", "GetAZs"),
        *("GetAtt", "If", "ImportValue", "Join", "Length", "Not", "Or", "RefAll", "Select", "Split", "Sub"),
        *("ToJsonString", "Transform", "ValueOf", "ValueOfAll"),
    ]
)
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONSTRUCT: Any = yaml.constructor.SafeConstructor()
_DATE_LIKE = "tag:yaml.org,2002:timestamp"
_STRING = "tag:yaml.org,2002:str"
_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")


class Mapping(dict[str, Any]):
    """A mapping that remembers the line (from 1) where it starts, for messages about it."""

    __slots__ = ("line",)

    def __init__(self, line: int = 0) -> None:
        super().__init__()
        self.line = line


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A parsed template: its top-level mapping and what is odd but not wrong about it."""

    body: dict[str, Any]
    warnings: tuple[str, ...] = ()


def parse(text: str, *, max_bytes: int = MAX_URL_BYTES) -> Document:
    """Parse a template.

    Raises ValidationError naming line and column when the text is not well-formed, when it is not a mapping, when it
    is larger than `max_bytes` or nested deeper than `MAX_DEPTH`.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > max_bytes:
        raise ValidationError(f"Template may not exceed {max_bytes} bytes in size; this one has {size}.")
    if not text.strip():
        raise ValidationError("Template format error: the template is empty.")
    document = _parse_json(text) if text.lstrip().startswith("{") else _parse_yaml(text)
    if not isinstance(document.body, dict):
        raise ValidationError("Template format error: unsupported structure.")
    return document


def _parse_json(text: str) -> Document:
    warnings: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(items)
        if len(result) != len(items):
            seen: set[str] = set()
            for key, _ in items:
                if key in seen:
                    warnings.append(f"key {key!r} is given twice; the last one counts")
                seen.add(key)
        return result

    try:
        body = json.loads(text, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        raise ValidationError(
            f"Template format error: JSON not well-formed. (line {error.lineno}, column {error.colno}): {error.msg}"
        ) from None
    except RecursionError:
        raise _too_deep() from None
    if _depth(body) > MAX_DEPTH:
        raise _too_deep()
    return Document(body=body, warnings=tuple(warnings))


def _depth(value: Any) -> int:
    level, deepest = [value], 0
    while level:
        deepest += 1
        if deepest > MAX_DEPTH:
            break
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
    return deepest


def _too_deep() -> ValidationError:
    return ValidationError(f"Template format error: the template is nested deeper than {MAX_DEPTH} levels.")


def _parse_yaml(text: str) -> Document:
    builder = _Builder(yaml.parse(text, Loader=_Loader))
    try:
        body = builder.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
        raise ValidationError(f"Template format error: YAML not well-formed.{where}: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ValidationError(f"Template format error: YAML not well-formed. {error}") from None
    return Document(body=body, warnings=tuple(builder.warnings))


class _Builder:
    """Turns one document's events into values."""

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self.warnings: list[str] = []

    def document(self) -> Any:
        for event in self._events:
            if isinstance(event, yaml.StreamStartEvent | yaml.DocumentStartEvent):
                continue
            if isinstance(event, yaml.StreamEndEvent):
                return None
            body = self._value(event, 1)
            self._end_of_document()
            return body
        return None

    def _end_of_document(self) -> None:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                raise ValidationError("Template format error: the text holds more than one document.")

    def _value(self, event: Any, depth: int) -> Any:
        line = event.start_mark.line + 1
        if depth > MAX_DEPTH:
            raise _too_deep()
        if isinstance(event, yaml.AliasEvent) or event.anchor:
            raise ValidationError(
                f"Template error: YAML aliases are not allowed in CloudFormation templates (line {line})"
            )
        if isinstance(event, yaml.ScalarEvent):
            value = _scalar(event, line)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = []
            while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
                value.append(self._value(item, depth + 1))
        else:
            value = self._mapping(line, depth)
        return _short_form(event.tag, value, line) if event.tag and event.tag.startswith("!") else value

    def _mapping(self, line: int, depth: int) -> Mapping:
        value = Mapping(line)
        while not isinstance(item := next(self._events), yaml.MappingEndEvent):
            at = item.start_mark.line + 1
            if not isinstance(item, yaml.ScalarEvent):
                raise ValidationError(f"Template format error: a key must be a string (line {at}).")
            key = item.value
            if key in value:
                self.warnings.append(f"line {at}: key {key!r} is given twice; the last one counts")
            value[key] = self._value(next(self._events), depth + 1)
        return value


def _scalar(event: Any, line: int) -> Any:
    text: str = event.value
    if event.tag is not None and event.tag.startswith("!") and event.tag != "!":
        return text
    plain = event.tag is None and event.implicit[0]
    tag = event.tag or (_implicit_tag(text) if plain else _STRING)
    if tag in (_STRING, "!", _DATE_LIKE) or _BASE_60.fullmatch(text):
        # Dates such as 2010-09-09 and 2012-10-17 are strings to CloudFormation; `22:22` is a port mapping to its
        # users, while YAML 1.1 would make it the number 1342.
        return text
    try:
        return _CONSTRUCT.construct_object(yaml.ScalarNode(tag, text), deep=True)
    except (yaml.YAMLError, ValueError) as error:
        raise ValidationError(f"Template format error: cannot read {text!r} at line {line}: {error}") from None


def _implicit_tag(text: str) -> str:
    resolvers = yaml.SafeLoader.yaml_implicit_resolvers
    for tag, pattern in resolvers.get(text[0] if text else "", []):
        if pattern.match(text):
            return str(tag)
    return _STRING


def _short_form(tag: str, value: Any, line: int) -> Any:
    name = tag[1:]
    if name == "":
        return value
    result = Mapping(line)
    if name in ("Ref", "Condition"):
        result[name] = value
    elif name == "GetAtt" and isinstance(value, str):
        result["Fn::GetAtt"] = value.split(".", 1)
    elif name in _SHORT_FORMS:
        result[f"Fn::{name}"] = value
    else:
        raise ValidationError(f"Template format error: unknown short form {tag} at line {line}.")
    return result
