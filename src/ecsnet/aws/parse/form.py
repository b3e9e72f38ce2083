"""`application/x-www-form-urlencoded` bodies as a tree, shared by the query and ec2 protocols.

`Filter.1.Value.2=x` becomes `{"Filter": {"1": {"Value": {"2": "x"}}}}`: a walk over what was sent then costs no
string matching. Strings at the leaves, dicts elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_plus

from ecsnet.aws.models import Shape
from ecsnet.aws.parse.problem import Fault, ParameterError, malformed
from ecsnet.aws.parse.scalar import limited, reader

Node = Any
"""A `str` leaf or a `dict[str, Node]`."""
Tree = dict[str, Node]
NodeReader = Callable[[Node], Any]

MAX_PARAMETERS = 20_000
"""Form parameters in one request; AuthorizeSecurityGroupIngress with full lists has about 4,000."""
_MAX_DEPTH = 40


def tree(*encoded: bytes) -> Tree:
    """The parameters of a query string and of a body, merged in this order.

    Raises ParameterError(MALFORMED) for bytes that are not UTF-8, for too many parameters and for absurdly deep names.
    """
    root: Tree = {}
    count = 0
    for part in encoded:
        if not part:
            continue
        try:
            text = part.decode()
            for pair in text.split("&"):
                if not pair:
                    continue
                count += 1
                if count > MAX_PARAMETERS:
                    raise malformed(f"The request has more than {MAX_PARAMETERS} parameters.")
                key, _, value = pair.partition("=")
                if "%" in key or "+" in key:
                    key = unquote_plus(key, errors="strict")
                if "%" in value or "+" in value:
                    value = unquote_plus(value, errors="strict")
                _place(root, key, value)
        except UnicodeDecodeError as error:
            raise malformed(f"The request parameters are not UTF-8: {error.reason}.") from None
    return root


def _place(root: Tree, key: str, value: str) -> None:
    if "." not in key:
        if type(root.get(key)) is not dict:
            root[key] = value
        return
    parts = key.split(".")
    if len(parts) > _MAX_DEPTH:
        raise malformed(f"The parameter name {key[:60]!r}... is nested too deeply.")
    node = root
    for part in parts[:-1]:
        child = node.get(part)
        if type(child) is not dict:
            child = node[part] = {}
        node = child
    # `Tags=` next to `Tags.member.1...`: the members say more than the empty marker, in either order.
    if type(node.get(parts[-1])) is not dict:
        node[parts[-1]] = value


class FormCompiler:
    """Compiles shapes into readers of tree nodes; the two protocols differ in names and in how lists are nested."""

    def __init__(self, *, name: Callable[[str, Shape], str], ec2: bool) -> None:
        self._name = name
        self._ec2 = ec2
        self._structures: dict[str, NodeReader] = {}

    def compile(self, shape: Shape) -> NodeReader:
        match shape.type:
            case "structure":
                return self._structure(shape)
            case "list":
                return self._list(shape)
            case "map":
                return self._map(shape)
            case _:
                return self._scalar(shape)

    def _structure(self, shape: Shape) -> NodeReader:
        if shape.name in self._structures:
            return self._structures[shape.name]
        members: dict[str, tuple[str, NodeReader]] = {}
        wire_names: dict[str, str] = {}

        def read(node: Node) -> dict[str, Any]:
            if type(node) is not dict:
                if node == "":
                    node = {}
                else:
                    raise ParameterError(Fault.TYPE, value=node, expected="structure")
            found: dict[str, Any] = {}
            for wire, child in node.items():
                member = members.get(wire)
                if member is None:
                    continue
                try:
                    found[member[0]] = member[1](child)
                except ParameterError as problem:
                    raise problem.within(wire) from None
            for name in required:
                if name not in found:
                    raise ParameterError(Fault.MISSING).within(wire_names[name])
            return found

        self._structures[shape.name] = read
        for name, member in shape.members():
            wire = wire_names[name] = self._name(name, member)
            members[wire] = (name, self.compile(member))
        required = shape.own.required
        return read

    def _list(self, shape: Shape) -> NodeReader:
        inner = shape.inner("member")
        item = self.compile(inner)
        flat = self._ec2 or shape.flattened
        wrapper = "" if flat else inner.location_name or "member"

        def read(node: Node) -> list[Any]:
            if wrapper and type(node) is dict:
                node = node.get(wrapper, "")
            if node == "":
                return []
            if type(node) is not dict:
                raise ParameterError(Fault.TYPE, value=node, expected="list")
            return [_element(item, wrapper, number, node) for number in _numbers(node)]

        return limited(shape, read, lengths=not self._ec2)

    def _map(self, shape: Shape) -> NodeReader:
        key_name = shape.inner("key").location_name or "key"
        value_name = shape.inner("value").location_name or "value"
        key, value = self.compile(shape.inner("key")), self.compile(shape.inner("value"))
        wrapper = "" if shape.flattened else "entry"

        def read(node: Node) -> dict[str, Any]:
            if wrapper and type(node) is dict:
                node = node.get(wrapper, "")
            if node == "":
                return {}
            if type(node) is not dict:
                raise ParameterError(Fault.TYPE, value=node, expected="map")
            found = {}
            for number in _numbers(node):
                entry = node[number]
                if type(entry) is not dict or key_name not in entry or value_name not in entry:
                    raise ParameterError(Fault.TYPE, value=entry, expected="map").within(
                        f"{wrapper}.{number}".strip(".")
                    )
                found[key(entry[key_name])] = value(entry[value_name])
            return found

        return limited(shape, read, lengths=not self._ec2)

    def _scalar(self, shape: Shape) -> NodeReader:
        read_text = reader(shape, lengths=not self._ec2)
        expected = shape.type

        def read(node: Node) -> Any:
            if type(node) is not str:
                raise ParameterError(Fault.TYPE, value="a structure", expected=expected)
            return read_text(node)

        return read


def _numbers(node: Tree) -> list[str]:
    """The indexes of a list in order; gaps are allowed, as AWS allows them."""
    for number in node:
        if not (number.isascii() and number.isdigit() and len(number) < 10):
            raise ParameterError(Fault.TYPE, value=number[:60], expected="list index")
    return sorted(node, key=int) if len(node) > 1 else list(node)


def _element(item: NodeReader, wrapper: str, number: str, node: Tree) -> Any:
    try:
        return item(node[number])
    except ParameterError as problem:
        raise problem.within(f"{wrapper}.{number}" if wrapper else number) from None
