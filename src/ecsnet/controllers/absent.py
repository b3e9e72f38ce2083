"""Containers that vanished while nobody told: agent or control was killed while they were being stopped."""

from __future__ import annotations

from collections.abc import Set

import msgspec

from ecsnet.model.ecs import holds_processes
from ecsnet.model.tables import OBSERVED_CONTAINERS, TASKS
from ecsnet.services.call import Call


def forget_absent(call: Call, present: Set[str]) -> None:
    """Record as stopped what an agent does not hold although it was last seen alive.

    Call it when a newly connected agent has told all it holds: `present` are their keys ("<task arn>/<container>").
    A container that is still planned is left alone, because the agent starts it again and reports that; one that is no
    longer planned would otherwise be waited for without end. Its exit code cannot be known any more.
    """
    for row in list(call.tx.rows(OBSERVED_CONTAINERS)):
        if row.state not in ("starting", "running") or OBSERVED_CONTAINERS.key(row) in present:
            continue
        task = call.tx.get(TASKS, row.task)
        if task is None or not holds_processes(task):
            call.tx.put(OBSERVED_CONTAINERS, msgspec.structs.replace(row, state="stopped", at=call.now))
