"""Writes host objects as nft syntax: a pure function that tests compare with committed text and load into a kernel."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from ecsnet.hostplan.kernel import HostObject, NftChain, NftElement, NftSet, NftTable


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
