"""What a stack needs next. Pure: reads a snapshot, changes nothing, so that it can be asked again at any time.

A stack's operation is not a running program but a state: its own status and each resource's stage. After every commit
(and after a crash) the same question is asked again, and the answer is a few moves, each of which is one transaction,
or work outside the store.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ecsnet.model import tables
from ecsnet.model.cloudformation import MOVING, Physical, Stack, StackResource, StackStatus
from ecsnet.services.cloudformation.journal import resources_of, stack_of
from ecsnet.services.cloudformation.resolve import plan_of
from ecsnet.services.cloudformation.resources.base import Backed, Broken, Observed, Ready, Tools, Waiting
from ecsnet.services.cloudformation.signals import signalled, signals_until
from ecsnet.store.snapshot import Reader

STABILISE_SECONDS = 3 * 3600.0
"""How long one resource may take to become ready; the longest that CloudFormation grants an ECS service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """Create, change, put back or delete one resource."""

    logical: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Go on outside the store with a resource that was begun."""

    logical: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Observe:
    """A resource that was waited for is ready, gone or broken."""

    logical: str
    seen: Ready | Broken


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """The stack itself moves on. A turn that completes first waits until the data plane has what was made."""

    completes: bool


Move = Begin | Work | Observe | Turn

_APPLYING = (StackStatus.CREATE_IN_PROGRESS, StackStatus.UPDATE_IN_PROGRESS)
_DELETING = (StackStatus.DELETE_IN_PROGRESS, StackStatus.ROLLBACK_IN_PROGRESS)
_CLEANING = (
    StackStatus.UPDATE_COMPLETE_CLEANUP_IN_PROGRESS,
    StackStatus.UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS,
)
_OUTSIDE = ("fetching", "working")


def moves(reader: Reader, tools: Tools, stack_id: str, now: float, speed: float) -> tuple[Move, ...]:
    """The moves that are possible now, in the order in which to make them; none means wait."""
    stack = stack_of(reader, stack_id)
    rows = resources_of(reader, stack_id)
    if stack.status in _APPLYING:
        return tuple(_apply(reader, tools, stack, rows, now, speed))
    if stack.status in _DELETING:
        return tuple(_delete(reader, tools, stack, rows, now, speed))
    if stack.status is StackStatus.UPDATE_ROLLBACK_IN_PROGRESS:
        return tuple(_restore(reader, tools, rows, now, speed))
    if stack.status in _CLEANING:
        return tuple(_clean(reader, tools, stack, rows, now, speed))
    return ()


def timed_out(stack: Stack, now: float, speed: float) -> bool:
    limit = stack.timeout_minutes
    return (
        limit is not None and stack.status is StackStatus.CREATE_IN_PROGRESS and now - stack.began >= limit * 60 / speed
    )


def due(reader: Reader, stack_id: str, speed: float) -> float | None:
    """When to ask again even if nothing is committed: the next time limit, in epoch seconds."""
    stack = stack_of(reader, stack_id)
    settling = [row for row in resources_of(reader, stack_id).values() if row.stage == "settling"]
    times = [row.began + STABILISE_SECONDS / speed for row in settling]
    times += [until for row in settling if (until := signals_until(reader, row, speed)) is not None]
    if stack.timeout_minutes is not None and stack.status is StackStatus.CREATE_IN_PROGRESS:
        times.append(stack.began + stack.timeout_minutes * 60 / speed)
    return min(times, default=None)


def observed(reader: Reader, tools: Tools, row: StackResource, now: float, speed: float) -> Observed:
    """What is seen of a resource that settles; one with a creation policy waits for its signals as well."""
    provisioner = tools.provisioners[row.type if row.doing != "delete" else removal(row).type]
    if isinstance(provisioner, Backed):
        return Ready()
    target = removal(row) if row.doing == "delete" else row.physical
    if target is None:
        return Broken(reason="it was never made")
    key = target.id
    if provisioner.seen_by is not None:
        key = json.loads(target.attributes)[provisioner.seen_by]
    if row.doing == "delete":
        return provisioner.gone(reader, key, json.loads(target.properties))
    seen = provisioner.ready(reader, key, json.loads(target.properties))
    if isinstance(seen, Ready) and row.doing in ("create", "replace"):
        return signalled(reader, row, target, seen, now, speed)
    return seen


def removal(row: StackResource) -> Physical:
    """What is being deleted of a row: what it replaced first, then itself."""
    target = row.leftovers[0] if row.leftovers else row.physical
    if target is None:
        raise ValueError(f"{row.logical} has nothing to delete")
    return target


def _settle(reader: Reader, tools: Tools, row: StackResource, now: float, speed: float) -> Iterator[Move]:
    seen = observed(reader, tools, row, now, speed)
    if isinstance(seen, Waiting):
        if now - row.began < STABILISE_SECONDS / speed:
            return
        seen = Broken(reason=f"Exceeded attempts to wait: {row.logical} did not stabilize.")
    yield Observe(logical=row.logical, seen=seen)


def _apply(
    reader: Reader, tools: Tools, stack: Stack, rows: Mapping[str, StackResource], now: float, speed: float
) -> Iterator[Move]:
    plan = plan_of(stack)
    outside = [row for row in rows.values() if row.stage in _OUTSIDE]
    yield from (Work(logical=row.logical) for row in outside)
    if timed_out(stack, now, speed) or any(row.stage == "failed" for row in rows.values()):
        # What runs outside the store is waited for: only its end tells what there is to roll back.
        if not outside:
            yield Turn(completes=False)
        return
    done = {row.logical for row in rows.values() if row.stage == "done"}
    for logical, resource in plan.resources.items():
        row = rows.get(logical)
        if row is None or row.stage == "waiting":
            if done.issuperset(resource.depends_on):
                yield Begin(logical=logical)
        elif row.stage == "settling":
            yield from _settle(reader, tools, row, now, speed)
    if done.issuperset(plan.resources):
        yield Turn(completes=True)


def _delete(
    reader: Reader, tools: Tools, stack: Stack, rows: Mapping[str, StackResource], now: float, speed: float
) -> Iterator[Move]:
    outside = [row for row in rows.values() if row.stage in _OUTSIDE]
    yield from (Work(logical=row.logical) for row in outside)
    victims = {row.logical: _targets(row) for row in rows.values() if row.stage != "done"}
    yield from _remove(reader, tools, rows, victims, now, speed)
    if all(row.stage in ("done", "failed") for row in rows.values()):
        yield Turn(completes=True)
    elif _stuck(rows, victims):
        yield Turn(completes=False)


def _held_back(reader: Reader, stack: Stack) -> bool:
    """Whether a stack above it may still want the old version of a nested stack, or still uses what it replaced."""
    while stack.parent is not None:
        above = reader.get(tables.STACKS, stack.parent)
        if above is None:
            return False
        if above.status in (StackStatus.UPDATE_IN_PROGRESS, StackStatus.UPDATE_ROLLBACK_IN_PROGRESS):
            return True
        stack = above
    return False


def _clean(
    reader: Reader, tools: Tools, stack: Stack, rows: Mapping[str, StackResource], now: float, speed: float
) -> Iterator[Move]:
    if _held_back(reader, stack):
        return
    yield from (Work(logical=row.logical) for row in rows.values() if row.stage in _OUTSIDE)
    victims = {
        row.logical: _targets(row) if goes(stack, row) else row.leftovers
        for row in rows.values()
        if row.stage not in ("done", "failed")
    }
    yield from _remove(reader, tools, rows, victims, now, speed)
    if any(child.status in MOVING for child in reader.find(tables.STACKS_BY_PARENT, stack.id)):
        return
    if all(row.stage in ("done", "failed") for row in rows.values()) or _stuck(rows, victims):
        yield Turn(completes=True)


def goes(stack: Stack, row: StackResource) -> bool:
    """Whether the clean-up of an update removes a resource altogether."""
    if stack.status is StackStatus.UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS:
        return row.change == "created"
    return row.logical not in plan_of(stack).resources


def _targets(row: StackResource) -> tuple[Physical, ...]:
    return (*row.leftovers, row.physical) if row.physical is not None else row.leftovers


def _dependants(logical: str, victims: Mapping[str, tuple[Physical, ...]]) -> list[str]:
    """The other victims that need this one, and so go first."""
    return [
        other
        for other, targets in victims.items()
        if other != logical and any(logical in target.depends_on for target in targets)
    ]


def _remove(
    reader: Reader,
    tools: Tools,
    rows: Mapping[str, StackResource],
    victims: Mapping[str, tuple[Physical, ...]],
    now: float,
    speed: float,
) -> Iterator[Move]:
    for logical in victims:
        row = rows[logical]
        if row.stage in ("waiting", "blocked"):
            if not _dependants(logical, victims):
                yield Begin(logical=logical)
        elif row.stage == "settling":
            seen = observed(reader, tools, row, now, speed)
            if not isinstance(seen, Waiting):
                yield Observe(logical=logical, seen=seen)


def _stuck(rows: Mapping[str, StackResource], victims: Mapping[str, tuple[Physical, ...]]) -> bool:
    """Whether nothing can move any more, because what failed to be deleted needs the rest."""
    moving = [logical for logical in victims if rows[logical].stage not in ("failed", "done")]
    return all(rows[logical].stage == "waiting" and _dependants(logical, victims) for logical in moving) and any(
        rows[logical].stage == "failed" for logical in victims
    )


def _restore(
    reader: Reader, tools: Tools, rows: Mapping[str, StackResource], now: float, speed: float
) -> Iterator[Move]:
    open_rows = {row.logical: row for row in rows.values() if row.stage not in ("done", "failed")}
    for row in open_rows.values():
        if row.stage in _OUTSIDE:
            yield Work(logical=row.logical)
        elif row.stage == "settling":
            seen = observed(reader, tools, row, now, speed)
            if not isinstance(seen, Waiting):
                yield Observe(logical=row.logical, seen=seen)
        elif row.stage == "waiting":
            needs = row.before.depends_on if row.before else ()
            if not any(name in open_rows for name in needs):
                yield Begin(logical=row.logical)
    if not any(row.stage in (*_OUTSIDE, "settling") for row in rows.values()) and (
        not open_rows or any(row.stage == "failed" for row in rows.values())
    ):
        yield Turn(completes=not open_rows and all(row.stage != "failed" for row in rows.values()))
