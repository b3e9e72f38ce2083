"""What an account has of Auto Scaling, and processes of groups that are suspended."""

from __future__ import annotations

import msgspec

from ecsnet.model.base import scope
from ecsnet.model.tables import (
    AUTO_SCALING_GROUPS,
    AUTO_SCALING_GROUPS_BY_SCOPE,
    LAUNCH_CONFIGURATIONS_BY_SCOPE,
)
from ecsnet.services.autoscaling import errors
from ecsnet.services.autoscaling.lookup import require_group
from ecsnet.services.call import Call, Operation, Reply, Request, read, write

PROCESSES = (
    "AddToLoadBalancer",
    "AlarmNotification",
    "AZRebalance",
    "HealthCheck",
    "InstanceRefresh",
    "Launch",
    "ReplaceUnhealthy",
    "ScheduledActions",
    "Terminate",
)


def describe_account_limits(call: Call, request: Request) -> Reply:
    """Source: Auto Scaling API, DescribeAccountLimits. Nothing is refused for being too many."""
    here = scope(call.account, call.region)
    return {
        "MaxNumberOfAutoScalingGroups": 500,
        "MaxNumberOfLaunchConfigurations": 200,
        "NumberOfAutoScalingGroups": len(call.tx.keys(AUTO_SCALING_GROUPS_BY_SCOPE, here)),
        "NumberOfLaunchConfigurations": len(call.tx.keys(LAUNCH_CONFIGURATIONS_BY_SCOPE, here)),
    }


def describe_scaling_process_types(call: Call, request: Request) -> Reply:
    return {"Processes": [{"ProcessName": name} for name in PROCESSES]}


def suspend_processes(call: Call, request: Request) -> Reply:
    """Launch, Terminate, HealthCheck, ReplaceUnhealthy and AddToLoadBalancer count; the others never run here.

    Source: Auto Scaling API, SuspendProcesses.
    """
    row = require_group(call, request["AutoScalingGroupName"])
    suspended = tuple(sorted({*row.suspended, *_named(request)}))
    call.tx.put(AUTO_SCALING_GROUPS, msgspec.structs.replace(row, suspended=suspended))
    return {}


def resume_processes(call: Call, request: Request) -> Reply:
    """Source: Auto Scaling API, ResumeProcesses."""
    row = require_group(call, request["AutoScalingGroupName"])
    left = tuple(name for name in row.suspended if name not in _named(request))
    call.tx.put(AUTO_SCALING_GROUPS, msgspec.structs.replace(row, suspended=left))
    return {}


def _named(request: Request) -> set[str]:
    names = set(request.get("ScalingProcesses") or PROCESSES)
    unknown = sorted(names.difference(PROCESSES))
    if unknown:
        raise errors.validation(f"The process type '{unknown[0]}' is not valid.")
    return names


OPERATIONS: tuple[Operation, ...] = (
    read("DescribeAccountLimits", describe_account_limits),
    read("DescribeScalingProcessTypes", describe_scaling_process_types),
    write("SuspendProcesses", suspend_processes),
    write("ResumeProcesses", resume_processes),
)
