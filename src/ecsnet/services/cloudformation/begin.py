"""Begins what has to be done with one resource, and takes in what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from ecsnet.model import tables
from ecsnet.model.cloudformation import Physical, ResourceStatus, Stack, StackResource, StackStatus
from ecsnet.services.call import AwsError, Call
from ecsnet.services.cloudformation import dynamic
from ecsnet.services.cloudformation.decide import goes, observed, removal
from ecsnet.services.cloudformation.errors import ValidationError
from ecsnet.services.cloudformation.journal import note, resource_of, set_resource, stack_of
from ecsnet.services.cloudformation.plan import Resource
from ecsnet.services.cloudformation.resolve import plan_of, properties_of
from ecsnet.services.cloudformation.resources.base import (
    Backed,
    Broken,
    Env,
    Made,
    Naming,
    Native,
    Provisioner,
    Ready,
    Tools,
)
from ecsnet.services.cloudformation.schema import replacing

_BEGUN = {
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
_REPLACES = "Requested update requires the creation of a new physical resource; hence creating one."


def dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, default=str)


def begin(call: Call, tools: Tools, stack_id: str, logical: str) -> None:
    """Begin a resource's next operation; own types are also made in this transaction.

    Raises AwsError when the operation fails; the caller gives the transaction up and calls `fail` in another one.
    """
    stack = stack_of(call.tx, stack_id)
    row = resource_of(call.tx, stack_id, logical)
    match stack.status:
        case StackStatus.CREATE_IN_PROGRESS | StackStatus.UPDATE_IN_PROGRESS:
            _begin_applying(call, tools, stack, row, plan_of(stack).resources[logical])
        case StackStatus.UPDATE_ROLLBACK_IN_PROGRESS:
            if row is not None:
                _begin_restoring(call, tools, row)
        case _:
            if row is not None:
                _begin_deleting(call, tools, stack, row)


def _begin_applying(call: Call, tools: Tools, stack: Stack, row: StackResource | None, resource: Resource) -> None:
    wanted = Physical(
        type=resource.type,
        id="",
        properties=dump(properties_of(call.tx, stack, plan_of(stack), resource)),
        depends_on=resource.depends_on,
        retain=resource.retain,
    )
    provisioner = tools.provisioners[resource.type]
    present = row.physical if row is not None else None
    if row is None:
        row = StackResource(
            stack=stack.id,
            logical=resource.logical,
            type=resource.type,
            status=ResourceStatus.CREATE_IN_PROGRESS,
            updated=call.now,
            stage="waiting",
            change="created" if stack.status is StackStatus.UPDATE_IN_PROGRESS else None,
        )
    reason = None
    if present is None:
        row = replace(row, doing="create", type=resource.type)
    elif present.type == wanted.type and _nothing_to_do(provisioner, present, wanted):
        kept = replace(present, depends_on=wanted.depends_on, retain=wanted.retain)
        call.tx.put(tables.STACK_RESOURCES, replace(row, stage="done", doing=None, physical=kept, before=None))
        return
    elif present.type != wanted.type or _replaces(provisioner, present, wanted):
        row, reason = replace(row, doing="replace", type=resource.type, change="replaced"), _REPLACES
    else:
        row = replace(row, doing="update", change="updated")
    row = replace(row, before=present, wanted=wanted, began=call.now, attempts=0)
    _start(call, tools, row, provisioner, reason)


def _nothing_to_do(provisioner: Provisioner, present: Physical, wanted: Physical) -> bool:
    if isinstance(provisioner, Native) and provisioner.always_update:
        return False
    return present.properties == wanted.properties


def _replaces(provisioner: Provisioner, present: Physical, wanted: Physical) -> bool:
    if provisioner.update is None:
        return True
    before, after = json.loads(present.properties), json.loads(wanted.properties)
    if provisioner.replace_on is not None:
        return any(before.get(name) != after.get(name) for name in provisioner.replace_on)
    return bool(replacing(wanted.type, before, after))


def _begin_restoring(call: Call, tools: Tools, row: StackResource) -> None:
    if row.before is None or row.before == row.physical:
        set_resource(call, replace(row, stage="done", doing=None), ResourceStatus.UPDATE_COMPLETE)
        return
    row = replace(row, doing="restore", wanted=row.before, began=call.now, attempts=0)
    _start(call, tools, row, tools.provisioners[row.type], None)


def _start(call: Call, tools: Tools, row: StackResource, provisioner: Provisioner, reason: str | None) -> None:
    assert row.wanted is not None
    properties = row.wanted.properties
    row = set_resource(call, row, _BEGUN[row.doing or "create"], reason, properties=properties)
    if isinstance(provisioner, Backed):
        call.tx.put(tables.STACK_RESOURCES, replace(row, stage="working"))
    elif (provisioner.fetch is not None and row.doing != "restore") or dynamic.found_in(properties):
        call.tx.put(tables.STACK_RESOURCES, replace(row, stage="fetching"))
    else:
        operate(call, tools, row, json.loads(properties), None)


def naming(stack: Stack, row: StackResource) -> Naming:
    return Naming(stack=stack, logical=row.logical, generation=row.began)


def _env(call: Call, tools: Tools, stack: Stack, row: StackResource, fetched: Any) -> Env:
    return Env(
        call=call,
        operations=tools.operations,
        types=tools.provisioners.keys(),
        naming=naming(stack, row),
        fetched=fetched,
    )


def operate(call: Call, tools: Tools, row: StackResource, properties: Mapping[str, Any], fetched: Any) -> None:
    """Run an own type's operation; `properties` are complete and `fetched` is what its `fetch` brought."""
    provisioner = tools.provisioners[row.type]
    assert isinstance(provisioner, Native)
    stack = stack_of(call.tx, row.stack)
    env = _env(call, tools, stack, row, fetched)
    if row.doing in ("create", "replace") or row.physical is None:
        made = provisioner.create(env, properties)
    else:
        assert provisioner.update is not None
        made = provisioner.update(env, row.physical.id, json.loads(row.physical.properties), properties)
    take(call, tools, row, made)


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
        row = set_resource(call, row, _BEGUN[row.doing], "Resource creation Initiated")
    else:
        call.tx.put(tables.STACK_RESOURCES, row)
    seen = observed(call.tx, tools, row)
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


def fail_to_begin(call: Call, tools: Tools, stack_id: str, logical: str, reason: str) -> None:
    """What `begin` could not do: both events, as CloudFormation shows them."""
    stack = stack_of(call.tx, stack_id)
    row = resource_of(call.tx, stack_id, logical)
    if stack.status in (StackStatus.CREATE_IN_PROGRESS, StackStatus.UPDATE_IN_PROGRESS):
        resource = plan_of(stack).resources[logical]
        updating = row is not None and row.physical is not None
        if row is None:
            row = StackResource(
                stack=stack_id,
                logical=logical,
                type=resource.type,
                status=ResourceStatus.CREATE_IN_PROGRESS,
                updated=call.now,
                stage="waiting",
                change="created" if stack.status is StackStatus.UPDATE_IN_PROGRESS else None,
            )
        row = replace(
            row,
            doing="update" if updating else "create",
            change="updated" if updating else row.change,
            began=call.now,
            before=row.physical,
        )
        row = set_resource(call, row, _BEGUN[row.doing or "create"])
    elif row is None:
        return
    elif stack.status is StackStatus.UPDATE_ROLLBACK_IN_PROGRESS:
        row = set_resource(call, replace(row, doing="restore"), ResourceStatus.UPDATE_IN_PROGRESS)
    else:
        row = replace(row, doing="delete")
    fail(call, row, reason)


# ── deletion ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _begin_deleting(call: Call, tools: Tools, stack: Stack, row: StackResource) -> None:
    if not row.leftovers and row.physical is None:
        call.tx.put(
            tables.STACK_RESOURCES, replace(row, stage="done", doing=None, status=ResourceStatus.DELETE_COMPLETE)
        )
        return
    target = removal(row)
    if not row.leftovers and _cleaning(stack) and not goes(stack, row):
        call.tx.put(tables.STACK_RESOURCES, replace(row, stage="done", doing=None))
        return
    row = replace(row, doing="delete")
    if _kept(stack, row, target):
        _skip(call, row, target)
        return
    first = row.stage != "blocked"
    if first:
        row = replace(row, began=call.now, attempts=0)
        row = _removal_event(call, row, ResourceStatus.DELETE_IN_PROGRESS)
    provisioner = tools.provisioners[target.type]
    if isinstance(provisioner, Backed):
        call.tx.put(tables.STACK_RESOURCES, replace(row, stage="working"))
        return
    env = _env(call, tools, stack, row, None)
    provisioner.delete(env, target.id, json.loads(target.properties))
    row = replace(row, stage="settling")
    call.tx.put(tables.STACK_RESOURCES, row)
    seen = observed(call.tx, tools, row)
    if isinstance(seen, Ready | Broken):
        settle(call, row, seen)


def block(call: Call, stack_id: str, logical: str, reason: str) -> None:
    """Something still uses the resource: its deletion is tried again."""
    row = resource_of(call.tx, stack_id, logical)
    if row is None or row.stage == "blocked":
        return
    row = replace(row, doing="delete", began=call.now, stage="blocked", reason=reason)
    _removal_event(call, row, ResourceStatus.DELETE_IN_PROGRESS)


def _removal_event(call: Call, row: StackResource, status: ResourceStatus) -> StackResource:
    """A deletion's event; deleting what was replaced does not change the state of the resource itself."""
    if row.leftovers:
        call.tx.put(tables.STACK_RESOURCES, row)
        note(call, row, status, physical=removal(row).id)
        return row
    return set_resource(call, row, status)


def _cleaning(stack: Stack) -> bool:
    return stack.status in (
        StackStatus.UPDATE_COMPLETE_CLEANUP_IN_PROGRESS,
        StackStatus.UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS,
    )


def _kept(stack: Stack, row: StackResource, target: Physical) -> bool:
    if not row.leftovers and row.logical in stack.retain:
        return True
    creating = (
        stack.status is StackStatus.ROLLBACK_IN_PROGRESS
        or stack.status is StackStatus.UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS
    )
    return target.retain == "always" or (target.retain == "except-on-create" and not creating)


def _skip(call: Call, row: StackResource, target: Physical) -> None:
    if row.leftovers:
        note(call, row, ResourceStatus.DELETE_SKIPPED, physical=target.id)
        _next(call, replace(row, leftovers=row.leftovers[1:]))
    else:
        row = set_resource(call, row, ResourceStatus.DELETE_SKIPPED)
        call.tx.put(tables.STACK_RESOURCES, replace(row, stage="done", doing=None, physical=None))


def _deleted(call: Call, row: StackResource) -> None:
    if row.leftovers:
        note(call, row, ResourceStatus.DELETE_COMPLETE, physical=row.leftovers[0].id)
        _next(call, replace(row, leftovers=row.leftovers[1:]))
    else:
        set_resource(call, replace(row, stage="done"), ResourceStatus.DELETE_COMPLETE)


def _next(call: Call, row: StackResource) -> None:
    """After one leftover comes the next, or the resource itself if it goes too."""
    call.tx.put(tables.STACK_RESOURCES, replace(row, stage="waiting", doing=None))


def explain(error: AwsError | ValidationError) -> str:
    """An operation's error as the reason of an event."""
    if isinstance(error, ValidationError):
        return error.message
    return f"{error.message} (Error Code: {error.code})"
