"""ExecuteCommand: sessions run over Session Manager, which ecsnet does not have."""

from __future__ import annotations

from ecsnet.model.ecs import TaskStatus
from ecsnet.model.tables import TASKS
from ecsnet.services.call import Call, Operation, Reply, Request, not_implemented, read
from ecsnet.services.ecs import cluster, errors, names

_DISABLED = (
    "The execute command failed because execute command was not enabled when the task was run or the execute command "
    "agent isn’t running. Wait and try again or run a new task with execute command enabled and try again."
)


def execute_command(call: Call, request: Request) -> Reply:
    where = cluster.find(call, request.get("cluster"))
    task = call.tx.get(TASKS, names.task_arn(call, where.arn, request["task"]))
    if task is None:
        raise errors.task_not_found()
    if not task.execute_command or task.last_status is not TaskStatus.RUNNING:
        raise errors.invalid(_DISABLED)
    raise not_implemented("ExecuteCommand", "Session Manager sessions (`ecsnet exec TASK` runs a command in a task)")


OPERATIONS: tuple[Operation, ...] = (read("ExecuteCommand", execute_command),)
