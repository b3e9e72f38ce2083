"""The moves of a stack as a whole: to complete, to roll back, to clean up, to be gone."""

from __future__ import annotations

from msgspec.structs import replace

from ecsnet.model import tables
from ecsnet.model.cloudformation import (
    Export,
    Output,
    ResourceStatus,
    Stack,
    StackResource,
    StackStatus,
)
from ecsnet.services.call import Call
from ecsnet.services.cloudformation.decide import goes, timed_out
from ecsnet.services.cloudformation.errors import ValidationError
from ecsnet.services.cloudformation.journal import resources_of, set_resource, set_status, stack_of
from ecsnet.services.cloudformation.resolve import UnknownValueError, outputs_of, plan_of


def turn(call: Call, stack_id: str, *, completes: bool) -> None:
    """Take the stack to its next state; `completes` tells whether what it did went well."""
    stack = stack_of(call.tx, stack_id)
    match stack.status:
        case StackStatus.CREATE_IN_PROGRESS | StackStatus.UPDATE_IN_PROGRESS:
            if completes:
                _complete(call, stack)
            else:
                _give_up(call, stack, _why(call, stack))
        case StackStatus.ROLLBACK_IN_PROGRESS:
            _rolled_back(call, stack)
        case StackStatus.DELETE_IN_PROGRESS:
            _deleted(call, stack)
        case StackStatus.UPDATE_ROLLBACK_IN_PROGRESS:
            _restored(call, stack, completes=completes)
        case StackStatus.UPDATE_COMPLETE_CLEANUP_IN_PROGRESS:
            _cleaned(call, stack, StackStatus.UPDATE_COMPLETE)
        case StackStatus.UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS:
            _cleaned(call, stack, StackStatus.UPDATE_ROLLBACK_COMPLETE)
        case _:
            pass


def refuse(call: Call, stack_id: str, reason: str) -> None:
    """Give up an operation before any resource is touched."""
    _give_up(call, stack_of(call.tx, stack_id), reason)


def roll_back(call: Call, stack_id: str) -> None:
    """Take a nested stack back to what it was before the update of its parent, which is being rolled back.

    A nested stack keeps what it replaced until its parent's clean-up, so this is possible even after its own update.
    """
    stack = stack_of(call.tx, stack_id)
    if stack.before is None:
        return
    if stack.status is StackStatus.UPDATE_IN_PROGRESS:
        _give_up(call, stack, "The update of its parent is rolled back.")
    elif stack.status is StackStatus.UPDATE_COMPLETE_CLEANUP_IN_PROGRESS:
        _open_rollback(call, stack, "The update of its parent is rolled back.")


# ── create and update ────────────────────────────────────────────────────────────────────────────────────────────────


def _complete(call: Call, stack: Stack) -> None:
    try:
        outputs = outputs_of(call.tx, stack, plan_of(stack))
        _check_exports(call, stack, outputs)
    except ValidationError as error:
        _give_up(call, stack, f"{error.message} Rollback requested by user.")
        return
    except UnknownValueError as error:
        _give_up(call, stack, f"An output refers to {error}, which does not exist. Rollback requested by user.")
        return
    _set_exports(call, stack, outputs)
    stack = replace(stack, current=replace(stack.current, outputs=outputs))
    if stack.status is StackStatus.CREATE_IN_PROGRESS:
        set_status(call, stack, StackStatus.CREATE_COMPLETE)
        return
    stack = set_status(call, stack, StackStatus.UPDATE_COMPLETE_CLEANUP_IN_PROGRESS)
    _open_cleaning(call, stack)


def _check_exports(call: Call, stack: Stack, outputs: tuple[Output, ...]) -> None:
    new = {output.export: output.value for output in outputs if output.export is not None}
    for name in new:
        other = call.tx.get(tables.EXPORTS, tables.export_key(stack.account, stack.region, name))
        if other is not None and other.stack != stack.id:
            owner = call.tx.get(tables.STACKS, other.stack)
            raise ValidationError(
                f"Export with name {name} is already exported by stack {owner.name if owner else other.stack}."
            )
    for export in call.tx.find(tables.EXPORTS_BY_STACK, stack.id):
        users = importers(call, stack, export.name)
        if not users or new.get(export.name) == export.value:
            continue
        verb = "updated" if export.name in new else "deleted"
        raise ValidationError(f"Export {export.name} cannot be {verb} as it is in use by {' and '.join(users)}.")


def importers(call: Call, stack: Stack, export: str) -> list[str]:
    """Names of the other stacks that import an export of this one."""
    key = tables.export_key(stack.account, stack.region, export)
    return sorted(other.name for other in call.tx.find(tables.STACKS_BY_IMPORT, key) if other.id != stack.id)


def _set_exports(call: Call, stack: Stack, outputs: tuple[Output, ...]) -> None:
    new = {output.export: output.value for output in outputs if output.export is not None}
    for export in list(call.tx.find(tables.EXPORTS_BY_STACK, stack.id)):
        if export.name not in new:
            call.tx.delete(tables.EXPORTS, tables.export_key(stack.account, stack.region, export.name))
    for name, value in new.items():
        call.tx.put(
            tables.EXPORTS,
            Export(account=stack.account, region=stack.region, name=name, value=value, stack=stack.id),
        )


def _why(call: Call, stack: Stack) -> str:
    failed = [row.logical for row in resources_of(call.tx, stack.id).values() if row.stage == "failed"]
    verb = "create" if stack.status is StackStatus.CREATE_IN_PROGRESS else "update"
    if failed:
        return f"The following resource(s) failed to {verb}: [{', '.join(failed)}]."
    if timed_out(stack, call.now, call.settings.speed):
        return "Stack creation time exceeded the specified timeout."
    return f"The stack could not be {verb}d."


def _give_up(call: Call, stack: Stack, reason: str) -> None:
    rows = resources_of(call.tx, stack.id).values()
    creating = stack.status is StackStatus.CREATE_IN_PROGRESS
    for row in rows:
        if row.stage == "settling":
            status = ResourceStatus.CREATE_FAILED if row.doing == "create" else ResourceStatus.UPDATE_FAILED
            what = "creation" if row.doing == "create" else "update"
            set_resource(call, replace(row, stage="failed"), status, f"Resource {what} cancelled")
    stack = stack_of(call.tx, stack.id)
    if stack.disable_rollback or (creating and stack.on_failure == "DO_NOTHING"):
        set_status(call, stack, StackStatus.CREATE_FAILED if creating else StackStatus.UPDATE_FAILED, reason)
        return
    if creating:
        if stack.on_failure == "DELETE":
            open_deletion(call, set_status(call, stack, StackStatus.DELETE_IN_PROGRESS, reason))
        else:
            open_deletion(call, set_status(call, stack, StackStatus.ROLLBACK_IN_PROGRESS, reason))
        return
    _open_rollback(call, stack, reason)


def _open_rollback(call: Call, stack: Stack, reason: str) -> None:
    set_status(call, stack, StackStatus.UPDATE_ROLLBACK_IN_PROGRESS, reason)
    for row in list(resources_of(call.tx, stack.id).values()):
        _open_restoring(call, row)


# ── deletion and roll-back of a creation ─────────────────────────────────────────────────────────────────────────────


def open_deletion(call: Call, stack: Stack) -> None:
    """Let every resource wait for its deletion. Work that is going on outside the store is waited for first."""
    for row in list(resources_of(call.tx, stack.id).values()):
        if row.stage == "working" and row.doing != "delete":
            continue
        gone = row.status in (ResourceStatus.DELETE_COMPLETE, ResourceStatus.DELETE_SKIPPED)
        call.tx.put(tables.STACK_RESOURCES, replace(row, stage="done" if gone else "waiting", wanted=None))


def _failures(call: Call, stack: Stack) -> list[str]:
    return [row.logical for row in resources_of(call.tx, stack.id).values() if row.stage == "failed"]


def _rolled_back(call: Call, stack: Stack) -> None:
    failed = _failures(call, stack)
    if failed:
        set_status(
            call,
            stack,
            StackStatus.ROLLBACK_FAILED,
            f"The following resource(s) failed to delete: [{', '.join(failed)}].",
        )
    else:
        set_status(call, stack, StackStatus.ROLLBACK_COMPLETE)


def _deleted(call: Call, stack: Stack) -> None:
    failed = _failures(call, stack)
    if failed:
        set_status(
            call,
            stack,
            StackStatus.DELETE_FAILED,
            f"The following resource(s) failed to delete: [{', '.join(failed)}].",
        )
        return
    for export in list(call.tx.find(tables.EXPORTS_BY_STACK, stack.id)):
        call.tx.delete(tables.EXPORTS, tables.export_key(stack.account, stack.region, export.name))
    for change_set in list(call.tx.find(tables.CHANGE_SETS_BY_STACK, stack.id)):
        call.tx.delete(tables.CHANGE_SETS, change_set.id)
    set_status(call, replace(stack, deleted=call.now), StackStatus.DELETE_COMPLETE)


# ── roll-back and clean-up of an update ──────────────────────────────────────────────────────────────────────────────


def _open_restoring(call: Call, row: StackResource) -> None:
    """Bring back what was replaced; what was changed in place waits to be changed back."""
    match row.change:
        case "replaced" if row.before is not None:
            new = row.physical
            leftovers = tuple(old for old in row.leftovers if old.id != row.before.id)
            if new is not None and new.id != row.before.id:
                leftovers = (*leftovers, replace(new, retain="no"))
            row = replace(
                row, physical=row.before, type=row.before.type, leftovers=leftovers, stage="done", wanted=None
            )
            set_resource(call, row, ResourceStatus.UPDATE_COMPLETE)
        case "updated":
            call.tx.put(tables.STACK_RESOURCES, replace(row, stage="waiting", doing=None, wanted=None))
        case _:
            call.tx.put(tables.STACK_RESOURCES, replace(row, stage="done", doing=None, wanted=None))


def _restored(call: Call, stack: Stack, *, completes: bool) -> None:
    if not completes:
        set_status(
            call,
            stack,
            StackStatus.UPDATE_ROLLBACK_FAILED,
            f"The following resource(s) failed to update: [{', '.join(_failures(call, stack))}].",
        )
        return
    assert stack.before is not None
    stack = replace(stack, current=stack.before)
    stack = set_status(call, stack, StackStatus.UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS)
    _open_cleaning(call, stack)


def _open_cleaning(call: Call, stack: Stack) -> None:
    for row in list(resources_of(call.tx, stack.id).values()):
        cleans = bool(row.leftovers) or goes(stack, row)
        call.tx.put(tables.STACK_RESOURCES, replace(row, stage="waiting" if cleans else "done", doing=None))


def _cleaned(call: Call, stack: Stack, status: StackStatus) -> None:
    """An update ends well even when something could not be cleaned up; such things are left and named in the events."""
    for row in list(resources_of(call.tx, stack.id).values()):
        if goes(stack, row):
            call.tx.delete(tables.STACK_RESOURCES, tables.stack_resource_key(row.stack, row.logical))
        else:
            call.tx.put(
                tables.STACK_RESOURCES,
                replace(row, stage="done", doing=None, change=None, before=None, leftovers=(), wanted=None),
            )
    set_status(call, replace(stack, before=None), status)
