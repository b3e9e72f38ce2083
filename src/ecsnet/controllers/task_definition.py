"""Deletes task definitions that DeleteTaskDefinitions marked, once no task and no service uses them."""

from __future__ import annotations

from ecsnet.model.tables import SERVICES_BY_DEFINITION, TASK_DEFINITIONS, TASKS_BY_DEFINITION
from ecsnet.services.call import Call


def step(call: Call, arn: str) -> float | None:
    """Remove one definition if nothing refers to it."""
    definition = call.tx.get(TASK_DEFINITIONS, arn)
    if definition is not None and definition.status == "DELETE_IN_PROGRESS":
        used = call.tx.keys(TASKS_BY_DEFINITION, arn) or call.tx.keys(SERVICES_BY_DEFINITION, arn)
        if not used:
            call.tx.delete(TASK_DEFINITIONS, arn)
    return None
