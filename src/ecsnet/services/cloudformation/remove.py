"""Begins the deletion of a resource, or of what it replaced."""

from __future__ import annotations

import json

from msgspec.structs import replace

from ecsnet.model import tables
from ecsnet.model.cloudformation import Physical, ResourceStatus, Stack, StackResource, StackStatus
from ecsnet.services.call import Call
from ecsnet.services.cloudformation.decide import goes, observed, removal
from ecsnet.services.cloudformation.environment import environment
from ecsnet.services.cloudformation.journal import note, resource_of, set_resource
from ecsnet.services.cloudformation.outcome import next_removal, removal_event, settle
from ecsnet.services.cloudformation.resources.base import Backed, Broken, Ready, Tools

_STILL_USED = frozenset(
    [
        "DependencyViolation",
        "ResourceInUse",
        "ResourceInUseException",
        "InvalidIPAddress.InUse",
        "InvalidNetworkInterface.InUse",
        "InvalidParameterValue.InUse",
        "ClusterContainsServicesException",
        "ClusterContainsTasksException",
        "ClusterContainsContainerInstancesException",
        "DeleteConflict",
        "CannotDelete",
        "OperationNotPermitted",
    ]
)
"""Errors of a deletion that pass when what still uses the resource is gone."""
_GIVE_UP_SECONDS = 60.0
"""How long a blocked deletion is tried again while nothing else of its stack is being deleted."""


def begin_deleting(call: Call, tools: Tools, stack: Stack, row: StackResource) -> None:
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
        row = removal_event(call, row, ResourceStatus.DELETE_IN_PROGRESS)
    provisioner = tools.provisioners[target.type]
    if isinstance(provisioner, Backed):
        call.tx.put(tables.STACK_RESOURCES, replace(row, stage="working"))
        return
    env = environment(call, tools, stack, row, None)
    provisioner.delete(env, target.id, json.loads(target.properties))
    row = replace(row, stage="settling")
    call.tx.put(tables.STACK_RESOURCES, row)
    seen = observed(call.tx, tools, row, call.now, call.settings.speed)
    if isinstance(seen, Ready | Broken):
        settle(call, row, seen)


def block(call: Call, stack_id: str, logical: str, reason: str) -> None:
    """Something still uses the resource: its deletion is tried again."""
    row = resource_of(call.tx, stack_id, logical)
    if row is None or row.stage == "blocked":
        return
    row = replace(row, doing="delete", began=call.now, stage="blocked", reason=reason)
    removal_event(call, row, ResourceStatus.DELETE_IN_PROGRESS)


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
        next_removal(call, replace(row, leftovers=row.leftovers[1:]))
    else:
        row = set_resource(call, row, ResourceStatus.DELETE_SKIPPED)
        call.tx.put(tables.STACK_RESOURCES, replace(row, stage="done", doing=None, physical=None))


def may_retry(call: Call, stack_id: str, logical: str, code: str) -> bool:
    """Whether a deletion that failed with `code` is worth another try: something else still uses the resource."""
    if code not in _STILL_USED:
        return False
    rows = {row.logical: row for row in call.tx.find(tables.STACK_RESOURCES_BY_STACK, stack_id)}
    row = rows[logical]
    others = any(
        other.stage in ("working", "settling") or (other.stage == "waiting" and other.doing == "delete")
        for other in rows.values()
        if other.logical != logical
    )
    return row.stage != "blocked" or others or call.now - row.began < _GIVE_UP_SECONDS
