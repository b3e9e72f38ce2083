"""Writes host objects as nft syntax: a pure function that tests compare with committed text and load into a kernel."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from ecsnet.hostplan.kernel import (
    Address,
    HostObject,
    Link,
    Namespace,
    Neighbour,
    NftChain,
    NftElement,
    NftSet,
    NftTable,
    PolicyRule,
    Route,
)

T = TypeVar("T", bound=HostObject)


def nft_text(objects: Iterable[HostObject], netns: str) -> str:
    """The packet filter of one namespace as a file for `nft -f`."""
    objects = list(objects)
    lines: list[str] = []
    for table in _of(NftTable, objects, netns):
        inside = [
            *(_set(item) for item in _of(NftSet, objects, netns) if item.table == table.name),
            *(_chain(item) for item in _of(NftChain, objects, netns) if item.table == table.name),
        ]
        lines.append(f'table {table.family} {table.name} {{\n comment "{table.owner}"\n' + "".join(inside) + "}\n")
    for element in _of(NftElement, objects, netns):
        value = "" if element.value is None else f" : {element.value}"
        lines.append(
            f"add element {element.family} {element.table} {element.set} {{ {element.element}{value} }}"
            + ("  # publish\n" if element.publish else "\n")
        )
    return "".join(lines)


def plan_text(objects: Iterable[HostObject]) -> str:
    """Namespaces, links, addresses, neighbours, routes and rules, one line each, in the words of `ip`."""
    return "".join(f"{line}\n" for line in sorted(filter(None, map(_line, objects))))


def _line(item: HostObject) -> str | None:
    match item:
        case Namespace():
            return f"{item.name} # {item.owner}"
        case Link():
            a, b = item.a, item.b
            return f"{a.netns} link {a.name} {a.mac} mtu {item.mtu} peer {b.netns} {b.name} {b.mac}"
        case Address():
            return f"{item.netns} address {item.address} dev {item.link}"
        case Neighbour():
            return f"{item.netns} neighbour {item.address} lladdr {item.mac} dev {item.link}"
        case Route():
            way = "" if item.gateway is None else f" via {item.gateway}"
            way += "" if item.link is None else f" dev {item.link}"
            way += "" if item.source is None else f" src {item.source}"
            way += " onlink" if item.onlink else ""
            return f"{item.netns} route table {item.table} {item.destination}{way}"
        case PolicyRule():
            chosen = "" if item.mark is None else f" fwmark {item.mark:#x}/{item.mask:#x}"
            chosen += "" if item.source is None else f" from {item.source}"
            action = f"lookup {item.table}"
            return f"{item.netns} rule {item.family} pref {item.priority}{chosen} {action}"
        case _:
            return None


def _of(kind: type[T], objects: list[HostObject], netns: str) -> list[T]:
    found = [item for item in objects if isinstance(item, kind) and item.netns == netns]  # type: ignore[attr-defined]
    return sorted(found, key=lambda item: (getattr(item, "publish", False), item.key))


def _set(item: NftSet) -> str:
    kind = "set" if item.value is None else "map"
    lines = [f"type {item.type}" + ("" if item.value is None else f" : {item.value}")]
    lines += [f"size {item.size}"] if item.size else []
    lines += [f"flags {','.join(item.flags)}"] if item.flags else []
    return f" {kind} {item.name} {{\n" + "".join(f"  {line}\n" for line in lines) + " }\n"


def _chain(item: NftChain) -> str:
    hook = ""
    if item.hook is not None:
        hook = (
            f"  type {item.hook.type} hook {item.hook.hook} priority {item.hook.priority}; policy {item.hook.policy};\n"
        )
    rules = (f"  {rule.text}" + (f' comment "{rule.comment}"' if rule.comment else "") for rule in item.rules)
    return f" chain {item.name} {{\n{hook}" + "".join(f"{rule}\n" for rule in rules) + " }\n"
