"""AWS::CloudFormation::Stack: a stack inside a stack. SAM's nested applications become these too."""

from __future__ import annotations

from typing import Any

from ecsnet.model import tables
from ecsnet.model.cloudformation import MOVING, StackStatus
from ecsnet.services.call import AwsError, Outside, Request
from ecsnet.services.cloudformation.intake import intake
from ecsnet.services.cloudformation.intrinsics import text
from ecsnet.services.cloudformation.resources.base import (
    READY,
    WAITING,
    Broken,
    Env,
    Made,
    Native,
    Observed,
    Properties,
    Ready,
)
from ecsnet.services.cloudformation.stacks import NO_UPDATES, create_stack, delete_stack, update_stack
from ecsnet.services.cloudformation.turn import roll_back
from ecsnet.store.snapshot import Reader


async def _fetch(outside: Outside, p: Properties) -> Request:
    """The nested template from S3, its transforms run and its SSM parameters read."""
    parameters = [
        {
            "ParameterKey": key,
            "ParameterValue": ",".join(text(item) for item in value) if isinstance(value, list) else text(value),
        }
        for key, value in (p.get("Parameters") or {}).items()
    ]
    return await intake(outside, {"TemplateURL": p["TemplateURL"], "Parameters": parameters})


def _request(env: Env, p: Properties, name: str) -> dict[str, Any]:
    parent = env.naming.stack
    return {
        **env.fetched,
        "StackName": name,
        "Capabilities": list(parent.current.capabilities),
        "NotificationARNs": list(p.get("NotificationARNs") or ()),
        "Tags": env.naming.tags(p),
        "DisableRollback": parent.disable_rollback,
        "TimeoutInMinutes": p.get("TimeoutInMinutes"),
    }


def _create(env: Env, p: Properties) -> Made:
    request = {key: value for key, value in _request(env, p, env.naming.name(128)).items() if value is not None}
    stack = create_stack(env.call, request, env.types, parent=env.naming.stack)
    return Made(id=stack.id)


def _update(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    if env.naming.stack.status is StackStatus.UPDATE_ROLLBACK_IN_PROGRESS:
        roll_back(env.call, id_)
        return Made(id=id_)
    try:
        update_stack(env.call, _request(env, after, id_), env.types)
    except AwsError as error:
        if error.message != NO_UPDATES:
            raise
    return Made(id=id_)


_READY = (
    StackStatus.CREATE_COMPLETE,
    StackStatus.UPDATE_COMPLETE,
    # Its clean-up waits for that of its parent, so its parent must not wait for it.
    StackStatus.UPDATE_COMPLETE_CLEANUP_IN_PROGRESS,
)
_ROLLED_BACK = (
    StackStatus.UPDATE_ROLLBACK_COMPLETE,
    StackStatus.UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS,
)


def _ready(reader: Reader, id_: str, p: Properties) -> Observed:
    stack = reader.get(tables.STACKS, id_)
    if stack is None:
        return Broken(reason=f"Embedded stack {id_} does not exist any more")
    parent = reader.get(tables.STACKS, stack.parent or "")
    back = parent is not None and parent.status is StackStatus.UPDATE_ROLLBACK_IN_PROGRESS
    if stack.status in _READY or (back and stack.status in _ROLLED_BACK):
        return Ready(attributes={f"Outputs.{output.key}": output.value for output in stack.current.outputs})
    if stack.status in _ROLLED_BACK:
        return Broken(reason=f"Embedded stack {id_} was not successfully updated: {_why(reader, id_)}")
    if stack.status in MOVING:
        return WAITING
    return Broken(reason=f"Embedded stack {id_} was not successfully created: {_why(reader, id_)}")


def _why(reader: Reader, id_: str) -> str:
    """The first failures inside the nested stack, in CloudFormation's words."""
    failed = [
        event
        for event in reader.find(tables.STACK_EVENTS_BY_STACK, id_)
        if event.status in ("CREATE_FAILED", "UPDATE_FAILED") and event.physical != id_
    ]
    own = [event for event in reader.find(tables.STACK_EVENTS_BY_STACK, id_) if event.physical == id_ and event.reason]
    if failed:
        first = min(failed, key=lambda event: event.number)
        return f"The following resource(s) failed to create: [{first.logical}]: {first.reason}."
    return max(own, key=lambda event: event.number).reason or "" if own else ""


def _delete(env: Env, id_: str, p: Properties) -> None:
    delete_stack(env.call, {"StackName": id_})


def _gone(reader: Reader, id_: str, p: Properties) -> Observed:
    stack = reader.get(tables.STACKS, id_)
    if stack is None or stack.deleted is not None:
        return READY
    if stack.status in MOVING:
        return WAITING
    return Broken(reason=f"Embedded stack {id_} was not successfully deleted: {stack.reason}")


PROVISIONERS = (
    Native(
        type="AWS::CloudFormation::Stack",
        create=_create,
        update=_update,
        delete=_delete,
        ready=_ready,
        gone=_gone,
        fetch=_fetch,
        always_update=True,
    ),
)
