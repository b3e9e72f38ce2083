"""Writes a stack's rows and its events; every change of a state goes through here."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from ecsnet.model import tables
from ecsnet.model.cloudformation import ResourceStatus, Stack, StackEvent, StackResource, StackStatus
from ecsnet.services.call import Call
from ecsnet.store.snapshot import Reader

STACK_TYPE = "AWS::CloudFormation::Stack"


def stack_of(reader: Reader, stack_id: str) -> Stack:
    stack = reader.get(tables.STACKS, stack_id)
    if stack is None:
        raise KeyError(stack_id)
    return stack


def resource_of(reader: Reader, stack: str, logical: str) -> StackResource | None:
    return reader.get(tables.STACK_RESOURCES, tables.stack_resource_key(stack, logical))


def resources_of(reader: Reader, stack: str) -> dict[str, StackResource]:
    return {row.logical: row for row in reader.find(tables.STACK_RESOURCES_BY_STACK, stack)}


def set_status(call: Call, stack: Stack, status: StackStatus, reason: str | None = None) -> Stack:
    """Give the stack a state and write the event about it; returns the stored stack."""
    stack = replace(stack, status=status, reason=reason)
    return _write_event(
        call, stack, logical=stack.name, physical=stack.id, kind=STACK_TYPE, status=status.value, reason=reason
    )


def set_resource(
    call: Call,
    row: StackResource,
    status: ResourceStatus,
    reason: str | None = None,
    *,
    physical: str | None = None,
    properties: str | None = None,
) -> StackResource:
    """Give a resource a state and write the event about it; returns the stored row."""
    row = replace(row, status=status, reason=reason, updated=call.now)
    call.tx.put(tables.STACK_RESOURCES, row)
    note(call, row, status, reason, physical=physical, properties=properties)
    return row


def note(
    call: Call,
    row: StackResource,
    status: ResourceStatus,
    reason: str | None = None,
    *,
    physical: str | None = None,
    properties: str | None = None,
) -> None:
    """Write an event about a resource without changing its state (the deletion of what it replaced)."""
    if physical is None:
        physical = row.physical.id if row.physical else ""
    _write_event(
        call,
        stack_of(call.tx, row.stack),
        logical=row.logical,
        physical=physical,
        kind=row.type,
        status=status.value,
        reason=reason,
        properties=properties,
    )


def _write_event(
    call: Call,
    stack: Stack,
    *,
    logical: str,
    physical: str,
    kind: str,
    status: str,
    reason: str | None,
    properties: str | None = None,
) -> Stack:
    at = max(call.now, stack.last_event + 0.001)
    stack = replace(stack, events=stack.events + 1, last_event=at)
    call.tx.put(tables.STACKS, stack)
    call.tx.put(
        tables.STACK_EVENTS,
        StackEvent(
            stack=stack.id,
            number=stack.events,
            id=f"{logical}-{status}-{call.ids.uuid()}",
            logical=logical,
            physical=physical,
            type=kind,
            status=status,
            reason=reason,
            properties=properties,
            at=at,
            token=stack.token,
        ),
    )
    return stack


def events_of(reader: Reader, stack: str) -> Iterator[StackEvent]:
    """The newest first."""
    return iter(sorted(reader.find(tables.STACK_EVENTS_BY_STACK, stack), key=lambda event: -event.number))
