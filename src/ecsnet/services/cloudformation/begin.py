"""Begins what has to be done with one resource."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from ecsnet.model import tables
from ecsnet.model.cloudformation import Physical, ResourceStatus, Stack, StackResource, StackStatus
from ecsnet.services.call import Call
from ecsnet.services.cloudformation import dynamic
from ecsnet.services.cloudformation.environment import environment
from ecsnet.services.cloudformation.journal import resource_of, set_resource, stack_of
from ecsnet.services.cloudformation.outcome import BEGUN, dump, fail, take
from ecsnet.services.cloudformation.plan import Resource
from ecsnet.services.cloudformation.remove import begin_deleting
from ecsnet.services.cloudformation.resolve import plan_of, properties_of
from ecsnet.services.cloudformation.resources.base import Backed, Native, Provisioner, Tools
from ecsnet.services.cloudformation.schema import replacing
from ecsnet.services.cloudformation.signals import forget_signals

_REPLACES = "Requested update requires the creation of a new physical resource; hence creating one."


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
                begin_deleting(call, tools, stack, row)


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
    forget_signals(call, row)
    properties = row.wanted.properties
    row = set_resource(call, row, BEGUN[row.doing or "create"], reason, properties=properties)
    if isinstance(provisioner, Backed):
        call.tx.put(tables.STACK_RESOURCES, replace(row, stage="working"))
    elif (provisioner.fetch is not None and row.doing != "restore") or dynamic.found_in(properties):
        call.tx.put(tables.STACK_RESOURCES, replace(row, stage="fetching"))
    else:
        operate(call, tools, row, json.loads(properties), None)


def operate(call: Call, tools: Tools, row: StackResource, properties: Mapping[str, Any], fetched: Any) -> None:
    """Run an own type's operation; `properties` are complete and `fetched` is what its `fetch` brought."""
    provisioner = tools.provisioners[row.type]
    assert isinstance(provisioner, Native)
    stack = stack_of(call.tx, row.stack)
    env = environment(call, tools, stack, row, fetched)
    if row.doing in ("create", "replace") or row.physical is None:
        made = provisioner.create(env, properties)
    else:
        assert provisioner.update is not None
        made = provisioner.update(env, row.physical.id, json.loads(row.physical.properties), properties)
    take(call, tools, row, made)


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
        row = set_resource(call, row, BEGUN[row.doing or "create"])
    elif row is None:
        return
    elif stack.status is StackStatus.UPDATE_ROLLBACK_IN_PROGRESS:
        row = set_resource(call, replace(row, doing="restore"), ResourceStatus.UPDATE_IN_PROGRESS)
    else:
        row = replace(row, doing="delete")
    fail(call, row, reason)
