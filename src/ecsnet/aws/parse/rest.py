"""What rest-json and rest-xml share: the path decides the operation; path, query string and headers carry members."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from ecsnet.aws.http import Head
from ecsnet.aws.models import ServiceModel, Shape
from ecsnet.aws.parse.problem import Fault, ParameterError, malformed
from ecsnet.aws.parse.scalar import reader


@dataclass(frozen=True, slots=True, kw_only=True)
class RestRequest:
    """A request whose path has been matched; `labels` are the decoded parts of the path by their name in the model."""

    head: Head
    labels: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Path:
    operation: str
    method: str
    pattern: re.Pattern[str]
    labels: tuple[str, ...]
    constants: frozenset[tuple[str, str]]
    """Query parameters that are part of the model's path and tell operations apart."""
    weight: tuple[int, int]


class Routes:
    """The paths of one REST service, most specific first."""

    def __init__(self, model: ServiceModel) -> None:
        self._paths = sorted((_path(model, name) for name in model.operations), key=lambda p: p.weight, reverse=True)

    def match(self, head: Head) -> tuple[str, dict[str, str]] | None:
        """(operation, labels) of a request, or None when no path of the model fits."""
        query = frozenset(parse_qsl(head.query.decode("latin-1"), keep_blank_values=True))
        for path in self._paths:
            if path.method != head.method or not path.constants <= query:
                continue
            found = path.pattern.fullmatch(head.target)
            if found is not None:
                return path.operation, {n: unquote(v) for n, v in zip(path.labels, found.groups(), strict=True)}
        return None


def _path(model: ServiceModel, name: str) -> _Path:
    http = model.operations[name].http
    template, _, constants = http.request_uri.partition("?")
    labels: list[str] = []
    pattern = ""
    literal = 0
    for part in re.split(r"(\{[^}]*\})", template.rstrip("/")):
        if part.startswith("{"):
            labels.append(part[1:-1].removesuffix("+"))
            pattern += "(.+)" if part.endswith("+}") else "([^/]+)"
        else:
            pattern += re.escape(part)
            literal += len(part)
    fixed = frozenset(parse_qsl(constants, keep_blank_values=True))
    return _Path(
        operation=name,
        method=http.method,
        pattern=re.compile(f"{pattern}/?"),
        labels=tuple(labels),
        constants=fixed,
        weight=(len(fixed), literal),
    )


BodyReader = Callable[[RestRequest], dict[str, Any]]


def compile_rest(
    shape: Shape | None,
    *,
    body: Callable[[Shape], Callable[[bytes], dict[str, Any]]],
    payload: Callable[[Shape], Callable[[bytes], Any]],
) -> Callable[[RestRequest], dict[str, Any]]:
    """A reader of an operation's parameters. It raises ParameterError.

    `body` compiles the shape for the members that have no place of their own; `payload` compiles the one member that
    is the whole body.
    """
    if shape is None:
        return lambda request: {}
    members = dict(shape.members())
    readers = [_place(name, member) for name, member in members.items() if member.location]
    required = shape.own.required
    whole = shape.payload
    rest: Callable[[bytes], Any] | None = None
    if whole is not None:
        rest = _stream if members[whole].type == "blob" else _string if members[whole].type == "string" else None
        rest = rest or payload(members[whole])
    elif any(member.location is None for member in members.values()):
        rest = body(shape)

    def parse(request: RestRequest) -> dict[str, Any]:
        query = request.head.query
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True) if query else []
        found: dict[str, Any] = {}
        for read in readers:
            read(request, pairs, found)
        if rest is not None and (whole is None or request.body):
            value = rest(request.body)
            if whole is None:
                found.update(value)
            else:
                found[whole] = value
        for name in required:
            if name not in found:
                raise ParameterError(Fault.MISSING).within(name)
        return found

    return parse


def _stream(body: bytes) -> bytes:
    return body


def _string(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise malformed(f"The request body is not UTF-8: {error.reason}.") from None


Place = Callable[[RestRequest, list[tuple[str, str]], dict[str, Any]], None]


def _place(name: str, member: Shape) -> Place:
    wire = member.location_name or name
    match member.location:
        case "uri":
            read = _value(member)

            def label(request: RestRequest, pairs: list[tuple[str, str]], found: dict[str, Any]) -> None:
                if wire in request.labels:
                    found[name] = _within(name, read, request.labels[wire])

            return label
        case "querystring":
            return _query_place(name, wire, member)
        case "headers":
            prefix = wire.lower()

            def headers(request: RestRequest, pairs: list[tuple[str, str]], found: dict[str, Any]) -> None:
                sent = {k.decode("latin-1"): v.decode("latin-1") for k, v in request.head.headers.items()}
                values = {k[len(prefix) :]: v for k, v in sent.items() if k.startswith(prefix)}
                if values:
                    found[name] = values

            return headers
        case "header":
            header = wire.lower().encode()
            read_header = _header_value(member)

            def one(request: RestRequest, pairs: list[tuple[str, str]], found: dict[str, Any]) -> None:
                raw = request.head.headers.get(header)
                if raw is not None:
                    found[name] = _within(name, read_header, raw.decode("latin-1"))

            return one
    raise ValueError(f"{name}: unknown location {member.location}")


def _query_place(name: str, wire: str, member: Shape) -> Place:
    if member.type == "list":
        read_item = _value(member.inner("member"))

        def many(request: RestRequest, pairs: list[tuple[str, str]], found: dict[str, Any]) -> None:
            values = [_within(name, read_item, value) for key, value in pairs if key == wire]
            if values:
                found[name] = values

        return many
    if member.type == "map":

        def rest(request: RestRequest, pairs: list[tuple[str, str]], found: dict[str, Any]) -> None:
            if pairs:
                found[name] = dict(pairs)

        return rest
    read = _value(member)

    def one(request: RestRequest, pairs: list[tuple[str, str]], found: dict[str, Any]) -> None:
        for key, value in pairs:
            if key == wire:
                found[name] = _within(name, read, value)

    return one


def _within(name: str, read: Callable[[str], Any], raw: str) -> Any:
    try:
        return read(raw)
    except ParameterError as problem:
        raise problem.within(name) from None


def _value(member: Shape) -> Callable[[str], Any]:
    return reader(member)


def _header_value(member: Shape) -> Callable[[str], Any]:
    if member.type == "list":
        item = _value(member.inner("member"))
        timestamps = member.inner("member").type == "timestamp"
        return lambda raw: [item(part) for part in _split(raw, timestamps=timestamps)]
    if member.jsonvalue:
        return _json_value
    return _value(member)


def _json_value(raw: str) -> Any:
    try:
        return msgspec.json.decode(base64.b64decode(raw, validate=True))
    except (binascii.Error, msgspec.DecodeError, ValueError):
        raise ParameterError(Fault.TYPE, value=raw, expected="JSON value in base64") from None


def _split(raw: str, *, timestamps: bool) -> list[str]:
    """A header list: commas part items, double quotes keep commas (RFC 9110 §5.6.1); an HTTP date has one itself."""
    if timestamps:
        parts = [part.strip() for part in raw.split(",")]
        return [f"{day}, {rest}" for day, rest in zip(parts[::2], parts[1::2], strict=False)]
    found = re.findall(r'\s*("(?:[^"\\]|\\.)*"|[^,]*)\s*(?:,|$)', raw)
    return [re.sub(r"\\(.)", r"\1", p[1:-1]) if p.startswith('"') else p.strip() for p in found if p.strip()]
