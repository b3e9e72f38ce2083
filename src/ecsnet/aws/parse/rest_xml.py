"""The rest-xml protocol: members in path, query string and headers, the rest as an XML body."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

from ecsnet.aws.models import Shape
from ecsnet.aws.parse.problem import Fault, ParameterError, malformed
from ecsnet.aws.parse.rest import RestRequest, compile_rest
from ecsnet.aws.parse.scalar import limited, reader

ElementReader = Callable[[list[ElementTree.Element]], Any]
"""Reads a member from all elements of its name (one, unless it is flattened)."""


def compile_rest_xml(shape: Shape | None) -> Callable[[RestRequest], dict[str, Any]]:
    """A reader of an operation's parameters. It raises ParameterError."""

    def compiled(part: Shape) -> Callable[[bytes], Any]:
        read = XmlCompiler().compile(part)
        return lambda body: read([_root(body)]) if body.strip() else {}

    return compile_rest(shape, body=compiled, payload=compiled)


def _root(body: bytes) -> ElementTree.Element:
    """The root element. A document type is refused, since entities can blow up or fetch files; no SDK sends one."""
    if b"<!DOCTYPE" in body:
        raise malformed("The request body has a document type, which is not allowed.")
    try:
        return ElementTree.fromstring(body)
    except ElementTree.ParseError as error:
        raise malformed(f"The request body is not XML: {error}") from None


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _children(element: ElementTree.Element) -> dict[str, list[ElementTree.Element]]:
    found: dict[str, list[ElementTree.Element]] = {}
    for child in element:
        found.setdefault(_local(child.tag), []).append(child)
    return found


class XmlCompiler:
    """Compiles shapes into readers of elements."""

    def __init__(self) -> None:
        self._structures: dict[str, ElementReader] = {}

    def compile(self, shape: Shape) -> ElementReader:
        match shape.type:
            case "structure":
                return self._structure(shape)
            case "list":
                return self._list(shape)
            case "map":
                return self._map(shape)
            case _:
                read = reader(shape)
                return lambda elements: read(elements[-1].text or "")

    def _structure(self, shape: Shape) -> ElementReader:
        if shape.name in self._structures:
            return self._structures[shape.name]
        members: dict[str, tuple[str, ElementReader]] = {}
        attributes: dict[str, str] = {}
        required: list[str] = []

        def read(elements: list[ElementTree.Element]) -> dict[str, Any]:
            element = elements[-1]
            found: dict[str, Any] = {}
            for name, attribute in element.attrib.items():
                if _local(name) in attributes:
                    found[attributes[_local(name)]] = attribute
            for tag, children in _children(element).items():
                member = members.get(tag)
                if member is not None:
                    try:
                        found[member[0]] = member[1](children)
                    except ParameterError as problem:
                        raise problem.within(tag) from None
            for name in required:
                if name not in found:
                    raise ParameterError(Fault.MISSING).within(name)
            return found

        self._structures[shape.name] = read
        for name, member in shape.members():
            if member.location is not None:
                continue
            wire = member.location_name or name
            if member.xml_attribute:
                attributes[wire.rpartition(":")[2]] = name
            else:
                members[wire] = (name, self.compile(member))
            if name in shape.own.required:
                required.append(name)
        return read

    def _list(self, shape: Shape) -> ElementReader:
        item = self.compile(shape.inner("member"))
        flat = shape.flattened

        def read(elements: list[ElementTree.Element]) -> list[Any]:
            found = []
            for number, element in enumerate(elements if flat else list(elements[-1]), 1):
                try:
                    found.append(item([element]))
                except ParameterError as problem:
                    raise problem.within(str(number)) from None
            return found

        return limited(shape, read)

    def _map(self, shape: Shape) -> ElementReader:
        key_name = shape.inner("key").location_name or "key"
        value_name = shape.inner("value").location_name or "value"
        key, value = self.compile(shape.inner("key")), self.compile(shape.inner("value"))
        flat = shape.flattened

        def read(elements: list[ElementTree.Element]) -> dict[str, Any]:
            found = {}
            for entry in elements if flat else list(elements[-1]):
                parts = _children(entry)
                if key_name not in parts or value_name not in parts:
                    raise ParameterError(Fault.TYPE, value=_local(entry.tag), expected="map entry")
                found[key(parts[key_name])] = value(parts[value_name])
            return found

        return limited(shape, read)
