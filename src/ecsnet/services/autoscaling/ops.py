"""The verbs of Auto Scaling that controllers and other services use, within their own transaction."""

from __future__ import annotations

from ecsnet.services.autoscaling.group import forget as forget_group
from ecsnet.services.autoscaling.lookup import find_group
from ecsnet.services.autoscaling.members import (
    LAUNCHING,
    TERMINATING,
    begin_end,
    complete,
    end_activity,
    forget,
    hooks,
    launch,
    launch_failed,
    move,
    stamp,
    waits_for,
)
from ecsnet.services.autoscaling.source import instance_type_of, settled
from ecsnet.services.autoscaling.target_groups import deregister, register

__all__ = [
    "LAUNCHING",
    "TERMINATING",
    "begin_end",
    "complete",
    "deregister",
    "end_activity",
    "find_group",
    "forget",
    "forget_group",
    "hooks",
    "instance_type_of",
    "launch",
    "launch_failed",
    "move",
    "register",
    "settled",
    "stamp",
    "waits_for",
]
