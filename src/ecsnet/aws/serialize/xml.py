"""XML elements from shapes, shared by the ec2, query and rest-xml protocols."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ecsnet.aws.models import Shape
from ecsnet.aws.serialize.fragments import Fragments
from ecsnet.aws.serialize.scalar import TIMESTAMPS, WRITERS, ReplyError, escaped, timestamp_format
from ecsnet.services.call import Cached

Writer = Callable[[list[str], Any], None]
"""Appends the pieces of one value."""


class XmlCompiler:
    """Compiles shapes into writers. `ec2`: every list element is called `item` and nothing is ever flattened."""

    def __init__(self, service: str, fragments: Fragments[str], *, ec2: bool = False) -> None:
        self._service = service
        self._fragments = fragments
        self._ec2 = ec2
        self._contents: dict[str, Writer] = {}

    def element(self, shape: Shape, tag: str) -> Writer:
        """A writer of `<tag>value</tag>` (several such elements for a flattened list or map)."""
        match shape.type:
            case "structure":
                return self._structure(shape, tag)
            case "list":
                return self._list(shape, tag)
            case "map":
                return self._map(shape, tag)
            case _:
                return self._scalar(shape, tag)

    def content(self, shape: Shape) -> Writer:
        """A writer of the members of a structure, without an element around them."""
        if shape.name in self._contents:
            return self._contents[shape.name]
        members: dict[str, Writer] = {}
        name_of_shape = shape.name

        def write(out: list[str], value: Mapping[str, Any]) -> None:
            for name, member in value.items():
                if member is None:
                    continue
                writer = members.get(name)
                if writer is None:
                    raise ReplyError(f"{name_of_shape} has no member {name}")
                try:
                    writer(out, member)
                except (ReplyError, AttributeError) as error:
                    raise ReplyError(f"{name_of_shape}.{name}: {error}") from error

        self._contents[shape.name] = write
        for name, member in shape.members():
            if member.location is None and not member.xml_attribute:
                members[name] = self.element(member, self._tag(name, member))
        return write

    def _tag(self, name: str, member: Shape) -> str:
        # SDKs look for a flattened list under its element's name where that has one, else under the list's.
        if member.type == "list" and member.flattened and not self._ec2:
            inner = member.inner("member").location_name
            if inner:
                return inner
        return member.location_name or name

    def _structure(self, shape: Shape, tag: str) -> Writer:
        content = self.content(shape)
        close = f"</{tag}>"
        namespace = shape.namespace
        opening = f'<{tag} {namespace[0]}="{escaped(namespace[1])}"' if namespace else f"<{tag}"
        attributes = {n: m.location_name or n for n, m in shape.members() if m.xml_attribute}
        if not attributes:
            opening += ">"

            def write(out: list[str], value: Any) -> None:
                out.append(opening)
                content(out, value)
                out.append(close)

            return write

        def write_with_attributes(out: list[str], value: Any) -> None:
            out.append(opening)
            for name, attribute in attributes.items():
                if value.get(name) is not None:
                    quoted = escaped(value[name]).replace('"', "&quot;")
                    out.append(f' {attribute}="{quoted}"')
            out.append(">")
            content(out, {name: member for name, member in value.items() if name not in attributes})
            out.append(close)

        return write_with_attributes

    def _list(self, shape: Shape, tag: str) -> Writer:
        inner = shape.inner("member")
        flat = shape.flattened and not self._ec2
        item_tag = tag if flat else "item" if self._ec2 else inner.location_name or "member"
        item = self.element(inner, item_tag)
        opening, close = ("", "") if flat else (f"<{tag}>", f"</{tag}>")
        place = f"{self._service}/{inner.name}/{item_tag}"
        fragments = self._fragments

        def render(value: Mapping[str, Any]) -> str:
            pieces: list[str] = []
            item(pieces, value)
            return "".join(pieces)

        def write(out: list[str], values: Any) -> None:
            out.append(opening)
            for value in values:
                if type(value) is Cached:
                    out.append(fragments.get(place, value, render))
                else:
                    item(out, value)
            out.append(close)

        return write

    def _map(self, shape: Shape, tag: str) -> Writer:
        key = self.element(shape.inner("key"), shape.inner("key").location_name or "key")
        value = self.element(shape.inner("value"), shape.inner("value").location_name or "value")
        flat = shape.flattened
        entry = tag if flat else "entry"
        opening, close = ("", "") if flat else (f"<{tag}>", f"</{tag}>")

        def write(out: list[str], entries: Mapping[str, Any]) -> None:
            out.append(opening)
            for name, member in entries.items():
                out.append(f"<{entry}>")
                key(out, name)
                value(out, member)
                out.append(f"</{entry}>")
            out.append(close)

        return write

    def _scalar(self, shape: Shape, tag: str) -> Writer:
        convert = WRITERS[shape.type]
        if shape.type == "timestamp":
            convert = TIMESTAMPS[timestamp_format(shape, "iso8601")]
        opening, close = f"<{tag}>", f"</{tag}>"

        def write(out: list[str], value: Any) -> None:
            out.append(f"{opening}{convert(value)}{close}")

        return write
