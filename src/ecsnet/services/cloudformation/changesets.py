"""Change sets: what would change, kept until it is executed, deleted or made obsolete by another update."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from msgspec.structs import replace

from ecsnet.model import tables
from ecsnet.model.cloudformation import ChangeSet, Stack, StackStatus, StackVersion
from ecsnet.services.call import AwsError, Call, Reply, Request
from ecsnet.services.cloudformation.changes import changes_of, differs
from ecsnet.services.cloudformation.errors import (
    ValidationError,
    stack_does_not_exist,
    stack_exists,
)
from ecsnet.services.cloudformation.journal import set_status
from ecsnet.services.cloudformation.listing import page, without_none
from ecsnet.services.cloudformation.lookup import find_change_set, find_stack, lookup_change_set, named_change_set
from ecsnet.services.cloudformation.plan import Identity, Plan
from ecsnet.services.cloudformation.resolve import identity_of
from ecsnet.services.cloudformation.stacks import (
    check_name,
    check_updatable,
    description_of,
    new_identity,
    on_failure_of,
    require,
    start_update,
)
from ecsnet.services.cloudformation.version import version_of

_NOTHING = "The submitted information didn't contain changes. Submit different information to create a change set."
_NAME = re.compile(r"[a-zA-Z][-a-zA-Z0-9]{0,127}")


def create_change_set(call: Call, request: Request, types: Collection[str]) -> Reply:
    """Source: API reference, CreateChangeSet; the request went through `intake`."""
    name, stack_name = str(request["ChangeSetName"]), str(request["StackName"])
    if not _NAME.fullmatch(name):
        raise ValidationError(
            f"1 validation error detected: Value '{name[:200]}' at 'changeSetName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
        )
    kind = request.get("ChangeSetType") or "UPDATE"
    if kind == "IMPORT" or request.get("ResourcesToImport"):
        raise AwsError("NotImplemented", "ecsnet does not implement importing resources into a stack.", status=501)
    stack = find_stack(call.tx, call.account, call.region, stack_name)
    if stack is not None and stack.deleted is not None:
        stack = None
    if kind == "CREATE":
        check_name(stack_name.split("/")[1] if stack_name.startswith("arn:") and "/" in stack_name else stack_name)
        if stack is not None and stack.status is not StackStatus.REVIEW_IN_PROGRESS:
            raise stack_exists(stack.name)
    elif stack is None:
        raise stack_does_not_exist(stack_name)
    elif stack.status is StackStatus.REVIEW_IN_PROGRESS:
        raise ValidationError(f"Stack [{stack.name}] is in REVIEW_IN_PROGRESS; its change sets are of type CREATE")
    else:
        check_updatable(stack)
    if stack is not None and named_change_set(call, stack, name) is not None:
        raise AwsError("AlreadyExistsException", f"ChangeSet {name} already exists for stack {stack.name}")
    identity = identity_of(stack) if stack is not None else new_identity(call, stack_name)
    previous = stack.current if stack is not None and kind == "UPDATE" else None
    version, plan = version_of(call, request, identity, previous, types)
    if stack is None:
        stack = _reviewed(call, identity, version, request)
    change_set = _change_set(call, request, stack, version, plan, kind)
    call.tx.put(tables.CHANGE_SETS, change_set)
    return {"Id": change_set.id, "StackId": stack.id}


def _reviewed(call: Call, identity: Identity, version: StackVersion, request: Request) -> Stack:
    stack = Stack(
        id=identity.id,
        account=call.account,
        region=call.region,
        name=identity.name,
        status=StackStatus.REVIEW_IN_PROGRESS,
        current=StackVersion(template="", processed='{"Resources":{}}', tags=version.tags),
        token=request.get("ClientToken"),
        created=call.now,
        began=call.now,
    )
    return set_status(call, stack, StackStatus.REVIEW_IN_PROGRESS, "User Initiated")


def _change_set(call: Call, request: Request, stack: Stack, version: StackVersion, plan: Plan, kind: Any) -> ChangeSet:
    some = kind == "CREATE" or differs(call.tx, stack, version, plan)
    changes = changes_of(call.tx, stack, plan, version) if some else []
    name = str(request["ChangeSetName"])
    arn = f"{stack.id.split(':stack/')[0]}:changeSet/{name}/{call.ids.uuid()}"
    return ChangeSet(
        id=arn,
        name=name,
        stack=stack.id,
        stack_name=stack.name,
        account=call.account,
        region=call.region,
        type=kind,
        status="CREATE_COMPLETE" if some else "FAILED",
        reason=None if some else _NOTHING,
        execution="AVAILABLE" if some else "UNAVAILABLE",
        description=request.get("Description"),
        version=version,
        changes=json.dumps(changes, separators=(",", ":"), default=str),
        on_failure=on_failure_of({"OnFailure": request.get("OnStackFailure")}),
        include_nested=bool(request.get("IncludeNestedStacks") or False),
        role=request.get("RoleARN"),
        token=request.get("ClientToken"),
        created=call.now,
    )


def describe_change_set(call: Call, request: Request) -> Reply:
    """Source: API reference, DescribeChangeSet."""
    found = find_change_set(call, request)
    reply = page(json.loads(found.changes), request, "Changes", 100)
    return {**_summary(found), **reply, **_details(found)}


def _summary(found: ChangeSet) -> dict[str, Any]:
    return without_none(
        {
            "StackId": found.stack,
            "StackName": found.stack_name,
            "ChangeSetId": found.id,
            "ChangeSetName": found.name,
            "ExecutionStatus": found.execution,
            "Status": found.status,
            "StatusReason": found.reason,
            "CreationTime": found.created,
            "Description": found.description,
            "IncludeNestedStacks": found.include_nested,
        }
    )


def _details(found: ChangeSet) -> dict[str, Any]:
    version = found.version
    return {
        "Parameters": [
            without_none(
                {
                    "ParameterKey": parameter.key,
                    "ParameterValue": "****" if parameter.no_echo else parameter.value,
                    "ResolvedValue": parameter.resolved,
                }
            )
            for parameter in version.parameters
        ],
        "NotificationARNs": list(version.notifications),
        "RollbackConfiguration": {},
        "Capabilities": list(version.capabilities),
        "Tags": [{"Key": key, "Value": value} for key, value in version.tags],
        "OnStackFailure": found.on_failure,
    }


def list_change_sets(call: Call, request: Request) -> Reply:
    stack = require(call, str(request["StackName"]))
    found = sorted(call.tx.find(tables.CHANGE_SETS_BY_STACK, stack.id), key=lambda item: (item.created, item.id))
    return page([_summary(item) for item in found], request, "Summaries", 100)


def delete_change_set(call: Call, request: Request) -> Reply:
    """A change set that is not there counts as deleted; so does one of a stack that is not there."""
    found = lookup_change_set(call, request)
    if found is not None:
        call.tx.delete(tables.CHANGE_SETS, found.id)
    return {}


def execute_change_set(call: Call, request: Request) -> Reply:
    """Source: API reference, ExecuteChangeSet. Raises InvalidChangeSetStatus when it cannot be executed."""
    found = find_change_set(call, request)
    if found.execution != "AVAILABLE":
        raise AwsError(
            "InvalidChangeSetStatus",
            f"ChangeSet [{found.id}] cannot be executed in its current status of [{found.status}]",
        )
    stack = require(call, found.stack)
    stack = replace(
        stack,
        token=request.get("ClientRequestToken"),
        disable_rollback=bool(request.get("DisableRollback") or False),
        on_failure=found.on_failure,
        role=found.role or stack.role,
    )
    for other in list(call.tx.find(tables.CHANGE_SETS_BY_STACK, stack.id)):
        if other.id == found.id:
            call.tx.put(tables.CHANGE_SETS, replace(other, execution="EXECUTE_COMPLETE"))
        else:
            call.tx.delete(tables.CHANGE_SETS, other.id)
    if found.type == "CREATE":
        stack = replace(
            stack,
            current=found.version,
            description=description_of(found.version),
            change_set=found.id,
            began=call.now,
        )
        set_status(call, stack, StackStatus.CREATE_IN_PROGRESS, "User Initiated")
    else:
        check_updatable(stack)
        start_update(call, stack, found.version, found.id)
    return {}
