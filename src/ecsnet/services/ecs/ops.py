"""The verbs of Amazon ECS that controllers and other services use, within their own transaction."""

from __future__ import annotations

from ecsnet.services.ecs.bookkeeping import count_brief_run, count_failed_start, count_successful_start
from ecsnet.services.ecs.launch import Launch, launch, spread
from ecsnet.services.ecs.task import request_stop

__all__ = [
    "Launch",
    "count_brief_run",
    "count_failed_start",
    "count_successful_start",
    "launch",
    "request_stop",
    "spread",
]
