"""Replies of the json 1.0 and 1.1 protocols.

Replies carry the wire's own names, so a reply is encoded as it stands. Only shapes that rename members or write a
timestamp as text are walked first.
"""

from __future__ import annotations

import enum
import ipaddress
import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ecsnet.aws.models import ServiceModel, Shape
from ecsnet.aws.serialize.fragments import Fragments
from ecsnet.aws.serialize.scalar import TIMESTAMPS, ReplyError, text, timestamp_format
from ecsnet.services.call import Cached

_ADDRESSES = (ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Network, ipaddress.IPv6Network)


def compile_json(
    service: str, model: ServiceModel, operation: str, fragments: Fragments[bytes]
) -> Callable[[Mapping[str, Any]], bytes]:
    """A writer of a reply. The lists of one operation share its fragments, so keys must differ between them."""
    shape = model.output(operation)
    if shape is None:
        return lambda reply: b"{}"
    place = f"{service}/{operation}"
    encode = encoder(place, fragments).encode
    if not _renames(shape):
        return encode
    walk = JsonCompiler().compile(shape)
    return lambda reply: encode(walk(reply))


def encoder(place: str, fragments: Fragments[bytes]) -> msgspec.json.Encoder:
    """An encoder that knows cached items (under `place`) and addresses."""

    def render(value: Mapping[str, Any]) -> bytes:
        return made.encode(value)

    def unknown(value: Any) -> Any:
        if type(value) is Cached:
            return msgspec.Raw(fragments.get(place, value, render))
        if isinstance(value, _ADDRESSES):
            return str(value)
        raise ReplyError(f"{place}: cannot write {value!r}")

    made = msgspec.json.Encoder(enc_hook=unknown)
    return made


def _renames(shape: Shape) -> bool:
    """Whether some member is written otherwise than msgspec would write it by itself."""
    seen: set[str] = set()

    def visit(shape: Shape) -> bool:
        match shape.type:
            case "structure":
                if shape.name in seen or shape.own.document:
                    return False
                seen.add(shape.name)
                return any(
                    member.location_name not in (None, name) or visit(member) for name, member in shape.members()
                )
            case "list":
                return visit(shape.inner("member"))
            case "map":
                return visit(shape.inner("value"))
            case "timestamp":
                return timestamp_format(shape, "unixtimestamp") != "unixtimestamp"
            case _:
                return False

    return visit(shape)


class JsonCompiler:
    """Compiles shapes into functions from a reply value to the value that is encoded."""

    def __init__(self) -> None:
        self._structures: dict[str, Callable[[Any], Any]] = {}

    def compile(self, shape: Shape) -> Callable[[Any], Any]:
        match shape.type:
            case "structure":
                return self._structure(shape)
            case "list":
                item = self.compile(shape.inner("member"))
                return lambda values: [_item(item, value) for value in values]
            case "map":
                value = self.compile(shape.inner("value"))
                return lambda entries: {text(key): value(member) for key, member in entries.items()}
            case "timestamp":
                form = timestamp_format(shape, "unixtimestamp")
                return float if form == "unixtimestamp" else TIMESTAMPS[form]
            case "float" | "double":
                return _real
            case _:
                return _plain

    def _structure(self, shape: Shape) -> Callable[[Any], Any]:
        if shape.own.document:
            return lambda value: value
        if shape.name in self._structures:
            return self._structures[shape.name]
        members: dict[str, tuple[str, Callable[[Any], Any]]] = {}
        name_of_shape = shape.name

        def write(value: Mapping[str, Any]) -> dict[str, Any]:
            found = {}
            for name, member in value.items():
                if member is None:
                    continue
                entry = members.get(name)
                if entry is None:
                    raise ReplyError(f"{name_of_shape} has no member {name}")
                found[entry[0]] = entry[1](member)
            return found

        self._structures[shape.name] = write
        for name, member in shape.members():
            if member.location is None:
                members[name] = (member.location_name or name, self.compile(member))
        return write


def _item(item: Callable[[Any], Any], value: Any) -> Any:
    """A list element; a cached one is walked when its fragment is made."""
    if type(value) is Cached:
        build = value.build
        return Cached(key=value.key, sources=value.sources, build=lambda: item(build()))
    return item(value)


def _real(value: Any) -> Any:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, enum.Enum) else value
