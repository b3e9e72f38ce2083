"""Asking a task to stop."""

from __future__ import annotations

import msgspec

from ecsnet.model.ecs import Task
from ecsnet.model.tables import TASKS
from ecsnet.services.call import Call


def request_stop(call: Call, task: Task, *, code: str, reason: str) -> Task:
    """Ask a task to stop; the controller takes it down. The first request decides code and reason."""
    if task.desired_status == "STOPPED":
        return task
    return call.tx.put(
        TASKS,
        msgspec.structs.replace(
            task,
            desired_status="STOPPED",
            wanted=None,
            stopping=call.now,
            stop_code=code,
            stopped_reason=reason,
            version=task.version + 1,
        ),
    )
