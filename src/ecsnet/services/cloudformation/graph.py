"""Which resource refers to which, the order that follows from it, and cycles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ecsnet.services.cloudformation.errors import ValidationError
from ecsnet.services.cloudformation.intrinsics import sub_references


def references(value: Any) -> Iterator[tuple[str, str | None]]:
    """(name, attribute or None) of everything that Ref, Fn::GetAtt and Fn::Sub in `value` refer to."""
    if isinstance(value, dict):
        if len(value) == 1:
            ((function, argument),) = value.items()
            if function == "Ref" and isinstance(argument, str):
                yield argument, None
                return
            if function == "Fn::GetAtt":
                parts = argument.split(".", 1) if isinstance(argument, str) else argument
                if isinstance(parts, list) and parts and isinstance(parts[0], str):
                    yield parts[0], parts[1] if len(parts) > 1 and isinstance(parts[1], str) else ""
                    yield from references(parts[1:])
                    return
            if function == "Fn::Sub":
                for name in sub_references(argument):
                    head, dot, attribute = name.partition(".")
                    yield (name, None) if name.startswith("AWS::") or not dot else (head, attribute)
                if isinstance(argument, list):
                    yield from references(argument[1:])
                return
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def ordered(dependencies: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """The names so that each comes after everything it depends on, otherwise in the order given.

    Raises ValidationError naming the members of every cycle.
    """
    waiting = {name: set(needs) for name, needs in dependencies.items()}
    result: list[str] = []
    while waiting:
        free = [name for name, needs in waiting.items() if not needs]
        if not free:
            members = sorted(_cyclic(waiting))
            raise ValidationError(f"Circular dependency between resources: [{', '.join(members)}]")
        for name in free:
            del waiting[name]
        done = set(free)
        for needs in waiting.values():
            needs -= done
        result.extend(free)
    return tuple(result)


def _cyclic(waiting: Mapping[str, set[str]]) -> set[str]:
    """Those of the remaining names that can reach themselves."""
    members = set()
    for start in waiting:
        seen: set[str] = set()
        front = list(waiting[start])
        while front:
            name = front.pop()
            if name not in seen:
                seen.add(name)
                front.extend(waiting.get(name, ()))
        if start in seen:
            members.add(start)
    return members
