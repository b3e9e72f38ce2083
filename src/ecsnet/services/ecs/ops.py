"""The verbs of Amazon ECS that controllers and other services use, within their own transaction."""

from __future__ import annotations

from ecsnet.services.ecs.bookkeeping import (
    count_brief_run,
    count_failed_start,
    count_successful_start,
    with_failed_task,
)
from ecsnet.services.ecs.launch import Launch, launch, next_provider, spread
from ecsnet.services.ecs.overrides import no_overrides
from ecsnet.services.ecs.task import managed_tags, request_stop

__all__ = [
    "Launch",
    "count_brief_run",
    "count_failed_start",
    "count_successful_start",
    "launch",
    "managed_tags",
    "next_provider",
    "no_overrides",
    "request_stop",
    "spread",
    "with_failed_task",
]
