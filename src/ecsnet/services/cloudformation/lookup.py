"""Finds stacks and change sets by what a request calls them."""

from __future__ import annotations

from ecsnet.model import tables
from ecsnet.model.base import scope
from ecsnet.model.cloudformation import ChangeSet, Stack
from ecsnet.services.call import Call, Request
from ecsnet.services.cloudformation.errors import ValidationError, change_set_not_found
from ecsnet.store.snapshot import Reader


def find_stack(reader: Reader, account: str, region: str, name: str) -> Stack | None:
    """A stack by id, or a stack that is not deleted by name."""
    if name.startswith("arn:"):
        return reader.get(tables.STACKS, name)
    return next(reader.find(tables.STACKS_BY_NAME, f"{scope(account, region)}/{name}"), None)


def named_change_set(call: Call, stack: Stack, name: str) -> ChangeSet | None:
    return next((found for found in call.tx.find(tables.CHANGE_SETS_BY_STACK, stack.id) if found.name == name), None)


def lookup_change_set(call: Call, request: Request) -> ChangeSet | None:
    name = str(request["ChangeSetName"])
    if name.startswith("arn:"):
        return call.tx.get(tables.CHANGE_SETS, name)
    if not request.get("StackName"):
        raise ValidationError("StackName must be specified if ChangeSetName is not specified as an ARN.")
    stack = find_stack(call.tx, call.account, call.region, str(request["StackName"]))
    return named_change_set(call, stack, name) if stack is not None else None


def find_change_set(call: Call, request: Request) -> ChangeSet:
    found = lookup_change_set(call, request)
    if found is not None:
        return found
    stack_name = request.get("StackName")
    if stack_name and find_stack(call.tx, call.account, call.region, str(stack_name)) is None:
        raise ValidationError(f"Stack [{stack_name}] does not exist")
    raise change_set_not_found(str(request["ChangeSetName"]))
