"""Takes in what came of an operation on a resource: made, ready, gone, or failed."""

from __future__ import annotations

import json
from typing import Any

from msgspec.structs import replace

from ecsnet.model import tables
from ecsnet.model.cloudformation import ResourceStatus, StackResource
from ecsnet.services.call import AwsError, Call
from ecsnet.services.cloudformation.decide import observed, removal
from ecsnet.services.cloudformation.errors import ValidationError
from ecsnet.services.cloudformation.journal import note, set_resource, stack_of
from ecsnet.services.cloudformation.resolve import plan_of
from ecsnet.services.cloudformation.resources.base import Broken, Made, Ready, Tools

BEGUN = {
    "create": ResourceStatus.CREATE_IN_PROGRESS,
    "update": ResourceStatus.UPDATE_IN_PROGRESS,
    "replace": ResourceStatus.UPDATE_IN_PROGRESS,
    "restore": ResourceStatus.UPDATE_IN_PROGRESS,
    "delete": ResourceStatus.DELETE_IN_PROGRESS,
}
_DONE = {
    "create": ResourceStatus.CREATE_COMPLETE,
    "update": ResourceStatus.UPDATE_COMPLETE,
    "replace": ResourceStatus.UPDATE_COMPLETE,
    "restore": ResourceStatus.UPDATE_COMPLETE,
    "delete": ResourceStatus.DELETE_COMPLETE,
}
_FAILED = {
    "create": ResourceStatus.CREATE_FAILED,
    "update": ResourceStatus.UPDATE_FAILED,
    "replace": ResourceStatus.UPDATE_FAILED,
    "restore": ResourceStatus.UPDATE_FAILED,
    "delete": ResourceStatus.DELETE_FAILED,
}


def dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, default=str)


def take(call: Call, tools: Tools, row: StackResource, made: Made) -> None:
    """Record what creation or change made; it completes at once when it is seen ready."""
    assert row.wanted is not None
    leftovers = row.leftovers
    if row.physical is not None and row.physical.id != made.id:
        old = row.physical
        if row.doing == "replace":
            resource = plan_of(stack_of(call.tx, row.stack)).resources.get(row.logical)
            old = replace(old, retain="always" if resource is not None and resource.retain_on_replace else "no")
        leftovers = (*leftovers, old)
    row = replace(
        row,
        physical=replace(row.wanted, id=made.id, attributes=dump(made.attributes)),
        wanted=None,
        leftovers=leftovers,
        stage="settling",
    )
    if row.doing in ("create", "replace"):
        row = set_resource(call, row, BEGUN[row.doing], "Resource creation Initiated")
    else:
        call.tx.put(tables.STACK_RESOURCES, row)
    seen = observed(call.tx, tools, row, call.now, call.settings.speed)
    if isinstance(seen, Ready | Broken):
        settle(call, row, seen, note=made.note)


def settle(call: Call, row: StackResource, seen: Ready | Broken, *, note: str | None = None) -> None:
    """Complete a resource that was seen ready (or gone), or fail it."""
    if isinstance(seen, Broken):
        fail(call, row, seen.reason)
        return
    if row.doing == "delete":
        _deleted(call, row)
        return
    assert row.physical is not None
    if seen.attributes:
        attributes = {**json.loads(row.physical.attributes), **seen.attributes}
        row = replace(row, physical=replace(row.physical, attributes=dump(attributes)))
    row = replace(row, stage="done")
    set_resource(call, row, _DONE[row.doing or "create"], note)


def fail(call: Call, row: StackResource, reason: str) -> None:
    """Mark a resource's present operation as failed."""
    status = _FAILED[row.doing or "create"]
    row = replace(row, stage="failed")
    if row.doing == "delete" and row.leftovers:
        call.tx.put(tables.STACK_RESOURCES, row)
        note(call, row, status, reason, physical=removal(row).id)
    else:
        set_resource(call, row, status, reason)


def removal_event(call: Call, row: StackResource, status: ResourceStatus) -> StackResource:
    """A deletion's event; deleting what was replaced does not change the state of the resource itself."""
    if row.leftovers:
        call.tx.put(tables.STACK_RESOURCES, row)
        note(call, row, status, physical=removal(row).id)
        return row
    return set_resource(call, row, status)


def _deleted(call: Call, row: StackResource) -> None:
    if row.leftovers:
        note(call, row, ResourceStatus.DELETE_COMPLETE, physical=row.leftovers[0].id)
        next_removal(call, replace(row, leftovers=row.leftovers[1:]))
    else:
        set_resource(call, replace(row, stage="done"), ResourceStatus.DELETE_COMPLETE)


def next_removal(call: Call, row: StackResource) -> None:
    """After one leftover comes the next, or the resource itself if it goes too."""
    call.tx.put(tables.STACK_RESOURCES, replace(row, stage="waiting", doing=None))


def explain(error: AwsError | ValidationError) -> str:
    """An operation's error as the reason of an event."""
    if isinstance(error, ValidationError):
        return error.message
    return f"{error.message} (Error Code: {error.code})"
