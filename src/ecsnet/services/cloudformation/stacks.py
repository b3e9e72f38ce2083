"""CreateStack, UpdateStack, DeleteStack and what protects a stack."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from msgspec.structs import replace

from ecsnet.model import tables
from ecsnet.model.cloudformation import Stack, StackStatus, StackVersion
from ecsnet.services.call import Call, Reply, Request
from ecsnet.services.cloudformation.changes import differs
from ecsnet.services.cloudformation.errors import ValidationError, stack_does_not_exist, stack_exists
from ecsnet.services.cloudformation.journal import resources_of, set_status
from ecsnet.services.cloudformation.lookup import find_stack
from ecsnet.services.cloudformation.plan import Identity
from ecsnet.services.cloudformation.resolve import identity_of
from ecsnet.services.cloudformation.turn import importers, open_deletion, refuse
from ecsnet.services.cloudformation.version import version_of

_NAME = re.compile(r"[a-zA-Z][-a-zA-Z0-9]{0,127}")
NO_UPDATES = "No updates are to be performed."
UPDATABLE = frozenset(
    [
        StackStatus.CREATE_COMPLETE,
        StackStatus.CREATE_FAILED,
        StackStatus.UPDATE_COMPLETE,
        StackStatus.UPDATE_FAILED,
        StackStatus.UPDATE_ROLLBACK_COMPLETE,
    ]
)


def check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValidationError(
            f"1 validation error detected: Value '{name[:200]}' at 'stackName' failed to satisfy constraint: Member "
            "must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]* and have at most 128 characters"
        )


def new_identity(call: Call, name: str) -> Identity:
    partition = "aws-cn" if call.region.startswith("cn-") else "aws"
    arn = f"arn:{partition}:cloudformation:{call.region}:{call.account}:stack/{name}/{call.ids.uuid()}"
    return Identity(id=arn, name=name, account=call.account, region=call.region)


def on_failure_of(request: Request) -> Any:
    given = request.get("OnFailure")
    if given is not None and request.get("DisableRollback") is not None:
        raise ValidationError("You can specify either DisableRollback or OnFailure, but not both.")
    if given is not None and given not in ("DO_NOTHING", "ROLLBACK", "DELETE"):
        raise ValidationError(f"OnFailure must be DO_NOTHING, ROLLBACK or DELETE; got {given!r}.")
    return given or "ROLLBACK"


def create_stack(call: Call, request: Request, types: Collection[str], *, parent: Stack | None = None) -> Stack:
    """Begin a stack; the request went through `intake`. Source: API reference, CreateStack."""
    name = str(request["StackName"])
    check_name(name)
    present = find_stack(call.tx, call.account, call.region, name)
    token = request.get("ClientRequestToken")
    if present is not None:
        if token is not None and present.token == token:
            return present
        raise stack_exists(name)
    identity = new_identity(call, name)
    version, _ = version_of(call, request, identity, None, types)
    stack = Stack(
        id=identity.id,
        account=call.account,
        region=call.region,
        name=name,
        status=StackStatus.CREATE_IN_PROGRESS,
        current=version,
        description=description_of(version),
        parent=parent.id if parent else None,
        root=(parent.root or parent.id) if parent else None,
        role=request.get("RoleARN"),
        disable_rollback=bool(request.get("DisableRollback") or False),
        on_failure=on_failure_of(request),
        timeout_minutes=request.get("TimeoutInMinutes"),
        termination_protection=bool(request.get("EnableTerminationProtection") or False),
        policy=request.get("StackPolicyBody"),
        token=token,
        created=call.now,
        began=call.now,
    )
    return set_status(call, stack, StackStatus.CREATE_IN_PROGRESS, "User Initiated")


def description_of(version: StackVersion) -> str | None:
    found = json.loads(version.processed).get("Description")
    return str(found) if found is not None else None


def require(call: Call, name: str) -> Stack:
    stack = find_stack(call.tx, call.account, call.region, name)
    if stack is None or stack.deleted is not None:
        raise stack_does_not_exist(name)
    return stack


def update_stack(call: Call, request: Request, types: Collection[str]) -> Stack:
    """Begin an update; the request went through `intake`. Source: API reference, UpdateStack.

    Raises ValidationError "No updates are to be performed." when nothing differs.
    """
    stack = require(call, str(request["StackName"]))
    token = request.get("ClientRequestToken")
    if token is not None and token == stack.token and stack.updated is not None:
        return stack
    check_updatable(stack)
    version, plan = version_of(call, request, identity_of(stack), stack.current, types)
    if not differs(call.tx, stack, version, plan):
        raise ValidationError(NO_UPDATES)
    stack = replace(
        stack,
        token=token,
        role=request.get("RoleARN") or stack.role,
        disable_rollback=bool(request.get("DisableRollback") or False),
        policy=request.get("StackPolicyBody") or stack.policy,
    )
    return start_update(call, stack, version)


def check_updatable(stack: Stack) -> None:
    if stack.status not in UPDATABLE:
        raise ValidationError(f"Stack:{stack.id} is in {stack.status.value} state and can not be updated.")


def start_update(call: Call, stack: Stack, version: StackVersion, change_set: str | None = None) -> Stack:
    """Set an update going: every resource is looked at again."""
    for row in list(resources_of(call.tx, stack.id).values()):
        call.tx.put(
            tables.STACK_RESOURCES,
            replace(row, stage="waiting", doing=None, change=None, before=row.physical, wanted=None),
        )
    stack = replace(
        stack,
        before=stack.current,
        current=replace(version, outputs=stack.current.outputs),
        description=description_of(version),
        change_set=change_set or stack.change_set,
        updated=call.now,
        began=call.now,
    )
    return set_status(call, stack, StackStatus.UPDATE_IN_PROGRESS, "User Initiated")


def delete_stack(call: Call, request: Request) -> None:
    """Begin a deletion; a stack that is not there counts as deleted. Source: API reference, DeleteStack."""
    stack = find_stack(call.tx, call.account, call.region, str(request["StackName"]))
    if stack is None or stack.deleted is not None or stack.status is StackStatus.DELETE_IN_PROGRESS:
        return
    if stack.termination_protection:
        raise ValidationError(f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled")
    retain = tuple(request.get("RetainResources") or ())
    if retain and stack.status is not StackStatus.DELETE_FAILED:
        raise ValidationError(
            "Invalid operation on stack [" + stack.id + "]. RetainResources can be given only for a stack in "
            "DELETE_FAILED state"
        )
    for export in call.tx.find(tables.EXPORTS_BY_STACK, stack.id):
        users = importers(call, stack, export.name)
        if users:
            reason = f"Delete canceled. Cannot delete export {export.name} as it is in use by {' and '.join(users)}."
            set_status(call, stack, stack.status, reason)
            return
    stack = replace(stack, retain=retain, began=call.now, token=request.get("ClientRequestToken"))
    open_deletion(call, set_status(call, stack, StackStatus.DELETE_IN_PROGRESS, "User Initiated"))


def update_termination_protection(call: Call, request: Request) -> Reply:
    stack = require(call, str(request["StackName"]))
    if stack.parent is not None:
        raise ValidationError(f"Termination protection of nested stack {stack.name} is that of its root stack.")
    call.tx.put(tables.STACKS, replace(stack, termination_protection=bool(request["EnableTerminationProtection"])))
    return {"StackId": stack.id}


def set_stack_policy(call: Call, request: Request) -> Reply:
    stack = require(call, str(request["StackName"]))
    if request.get("StackPolicyURL"):
        raise ValidationError("ecsnet takes a stack policy as StackPolicyBody only.")
    call.tx.put(tables.STACKS, replace(stack, policy=request.get("StackPolicyBody")))
    return {}


def get_stack_policy(call: Call, request: Request) -> Reply:
    policy = require(call, str(request["StackName"])).policy
    return {"StackPolicyBody": policy} if policy is not None else {}


def cancel_update_stack(call: Call, request: Request) -> Reply:
    """Roll an update back that is going on. Source: API reference, CancelUpdateStack."""
    stack = require(call, str(request["StackName"]))
    if stack.status is not StackStatus.UPDATE_IN_PROGRESS:
        raise ValidationError(f"CancelUpdateStack cannot be called from current stack status {stack.status.value}")
    refuse(call, stack.id, "User Initiated")
    return {}
