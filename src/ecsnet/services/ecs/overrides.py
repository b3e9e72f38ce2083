"""TaskOverride of RunTask: checked, and completed as DescribeTasks answers it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ecsnet.model.ecs import TaskDefinition
from ecsnet.services.ecs import errors, sizes


def checked(definition: TaskDefinition, given: Mapping[str, Any] | None) -> str:
    """JSON text of the override with an entry for every container. Raises InvalidParameterException."""
    given = given or {}
    by_name = {}
    known = {one.name for one in definition.containers}
    for one in given.get("containerOverrides") or ():
        name = one.get("name")
        if name not in known:
            raise errors.invalid(f"Override for container named {name} is not a container in the TaskDefinition.")
        by_name[name] = one
    body = {key: value for key, value in given.items() if value}
    if "cpu" in body:
        body["cpu"] = str(sizes.cpu_units(body["cpu"]))
    if "memory" in body:
        body["memory"] = str(sizes.memory_mib(body["memory"]))
    body["containerOverrides"] = [by_name.get(one.name, {"name": one.name}) for one in definition.containers]
    body.setdefault("inferenceAcceleratorOverrides", [])
    return msgspec.json.encode(body).decode()


def no_overrides(definition: TaskDefinition) -> str:
    """What DescribeTasks answers for a task that nothing overrides."""
    return checked(definition, None)
