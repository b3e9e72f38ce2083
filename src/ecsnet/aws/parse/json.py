"""The json 1.0 and 1.1 protocols: a JSON object in the body, the operation in `X-Amz-Target`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec

from ecsnet.aws.models import Shape
from ecsnet.aws.parse.problem import Fault, ParameterError, malformed
from ecsnet.aws.parse.scalar import blob, limited, timestamp

ValueReader = Callable[[Any], Any]

_BITS = {"byte": 8, "short": 16, "integer": 32, "long": 64, "biginteger": 128}
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def decode(body: bytes) -> Any:
    """The JSON value of a body. Raises ParameterError(MALFORMED); an empty body is an empty object, as AWS takes it."""
    if not body.strip():
        return {}
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(f"The request body is not JSON: {error}") from None


def compile_json(shape: Shape | None) -> Callable[[bytes], dict[str, Any]]:
    """A reader of an operation's parameters from the body. It raises ParameterError."""
    if shape is None:
        return lambda body: {}
    read = JsonCompiler().compile(shape)

    def parse(body: bytes) -> dict[str, Any]:
        found: dict[str, Any] = read(decode(body))
        return found

    return parse


class JsonCompiler:
    """Compiles shapes into readers of decoded JSON values."""

    def __init__(self) -> None:
        self._structures: dict[str, ValueReader] = {}

    def compile(self, shape: Shape) -> ValueReader:
        match shape.type:
            case "structure":
                return self._structure(shape)
            case "list":
                return self._list(shape)
            case "map":
                return self._map(shape)
            case _:
                return limited(shape, _scalar(shape))

    def _structure(self, shape: Shape) -> ValueReader:
        if shape.own.document:
            return lambda value: value
        if shape.name in self._structures:
            return self._structures[shape.name]
        members: dict[str, tuple[str, ValueReader]] = {}

        def read(value: Any) -> dict[str, Any]:
            if type(value) is not dict:
                raise ParameterError(Fault.TYPE, value=value, expected="structure")
            found: dict[str, Any] = {}
            for wire, raw in value.items():
                member = members.get(wire)
                if member is None or raw is None:
                    continue
                try:
                    found[member[0]] = member[1](raw)
                except ParameterError as problem:
                    raise problem.within(wire) from None
            for name in required:
                if name not in found:
                    raise ParameterError(Fault.MISSING).within(name)
            return found

        self._structures[shape.name] = read
        for name, member in shape.members():
            if member.location in (None, "body"):
                members[member.location_name or name] = (name, self.compile(member))
        required = tuple(name for name, member in shape.members() if name in shape.own.required and not member.location)
        return read

    def _list(self, shape: Shape) -> ValueReader:
        item = self.compile(shape.inner("member"))

        def read(value: Any) -> list[Any]:
            if type(value) is not list:
                raise ParameterError(Fault.TYPE, value=value, expected="list")
            found = []
            for number, raw in enumerate(value, 1):
                try:
                    found.append(item(raw))
                except ParameterError as problem:
                    raise problem.within(str(number)) from None
            return found

        return limited(shape, read)

    def _map(self, shape: Shape) -> ValueReader:
        key, item = self.compile(shape.inner("key")), self.compile(shape.inner("value"))

        def read(value: Any) -> dict[str, Any]:
            if type(value) is not dict:
                raise ParameterError(Fault.TYPE, value=value, expected="map")
            found = {}
            for name, raw in value.items():
                try:
                    found[key(name)] = item(raw)
                except ParameterError as problem:
                    raise problem.within(name) from None
            return found

        return limited(shape, read)


def _scalar(shape: Shape) -> ValueReader:
    kind = shape.type
    if kind in _BITS:
        high = 1 << (_BITS[kind] - 1)

        def whole(value: Any) -> int:
            if type(value) is float and value.is_integer():
                value = int(value)
            if type(value) is not int or not -high <= value < high:
                raise ParameterError(Fault.TYPE, value=value, expected=kind)
            return value

        return whole

    def read(value: Any) -> Any:
        match kind, value:
            case ("string" | "character", str()) | ("boolean", bool()):
                return value
            case "float" | "double" | "bigdecimal", int() | float() if type(value) is not bool:
                return float(value)
            case "float" | "double", str() if value in _SPECIAL:
                return _SPECIAL[value]
            case "blob", str():
                return blob(value)
            case "timestamp", int() | float() if type(value) is not bool:
                return float(value)
            case "timestamp", str():
                return timestamp(value)
        raise ParameterError(Fault.TYPE, value=value, expected=kind)

    return read
