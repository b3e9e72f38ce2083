"""ExecuteCommand: promises a session; control/sessions carries it out for whoever opens it with its token."""

from __future__ import annotations

import hashlib
import hmac

import msgspec

from ecsnet.model.ecs import Container, ExecuteSession, Task, TaskStatus
from ecsnet.model.tables import EXECUTE_SESSIONS, TASKS
from ecsnet.services.call import AwsError, Call, Operation, Reply, Request, write
from ecsnet.services.ecs import cluster, errors, names

TOKEN_LIFETIME = 60.0
"""Seconds in which a session must be opened; not a control-plane timer, so `--speed` leaves it alone."""
SESSIONS_PER_CONTAINER = 2
"""ECS Developer Guide, "Amazon ECS Exec": two sessions at a time."""

_DISABLED = (
    "The execute command failed because execute command was not enabled when the task was run or the execute command "
    "agent isn’t running. Wait and try again or run a new task with execute command enabled and try again."
)
_NOT_CONNECTED = "The execute command failed due to an internal error. Try again later."
_LIMIT = (
    f"Unable to start new execute sessions because the maximum session limit of {SESSIONS_PER_CONTAINER} has been "
    "reached."
)


def execute_command(call: Call, request: Request) -> Reply:
    where = cluster.find(call, request.get("cluster"))
    task = call.tx.get(TASKS, names.task_arn(call, where.arn, request["task"]))
    if task is None:
        raise errors.task_not_found()
    if not request["interactive"]:
        raise errors.invalid("Interactive is the only mode supported currently.")
    if not task.execute_command or task.last_status is not TaskStatus.RUNNING:
        raise errors.invalid(_DISABLED)
    container = _container(task, request.get("container"))
    if container.last_status != "RUNNING":
        raise AwsError("TargetNotConnectedException", _NOT_CONNECTED)
    _forget_expired(call)
    taken = [row for row in call.tx.rows(EXECUTE_SESSIONS) if (row.task, row.container) == (task.arn, container.name)]
    if len(taken) >= SESSIONS_PER_CONTAINER:
        raise errors.client(_LIMIT)
    token = call.ids.hex(64)
    session = ExecuteSession(
        id=f"ecs-execute-command-{call.ids.hex(17)}",
        account=call.account,
        region=call.region,
        task=task.arn,
        container=container.name,
        command=request["command"],
        token=_digest(token),
        expires=call.now + TOKEN_LIFETIME,
    )
    call.tx.put(EXECUTE_SESSIONS, session)
    return {
        "clusterArn": task.cluster,
        "containerArn": container.arn,
        "containerName": container.name,
        "interactive": True,
        "session": {
            "sessionId": session.id,
            "streamUrl": f"ws://{call.host}/v1/data-channel/{session.id}?role=publish_subscribe",
            "tokenValue": token,
        },
        "taskArn": task.arn,
    }


def _container(task: Task, name: str | None) -> Container:
    """The texts of both refusals are ours; AWS's are not known."""
    if name is None:
        if len(task.containers) > 1:
            raise errors.invalid("A container name must be given because the task has more than one container.")
        return task.containers[0]
    for container in task.containers:
        if container.name == name:
            return container
    raise errors.invalid(f"The task has no container named {name}.")


def _forget_expired(call: Call) -> None:
    for row in list(call.tx.rows(EXECUTE_SESSIONS)):
        if not row.open and row.expires <= call.now:
            call.tx.delete(EXECUTE_SESSIONS, row.id)


def open_session(call: Call, session: str, token: str) -> ExecuteSession | None:
    """The session that a token opens, which it then has done for good; None when it opens none."""
    row = call.tx.get(EXECUTE_SESSIONS, session)
    if row is None or row.open or row.expires <= call.now or not hmac.compare_digest(row.token, _digest(token)):
        return None
    return call.tx.put(EXECUTE_SESSIONS, msgspec.structs.replace(row, open=True))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


OPERATIONS: tuple[Operation, ...] = (write("ExecuteCommand", execute_command),)
