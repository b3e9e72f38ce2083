"""DescribeScalingActivities: what a group did and why."""

from __future__ import annotations

from typing import Any

from ecsnet.model.autoscaling import Activity, AutoScalingGroup
from ecsnet.model.base import scope
from ecsnet.model.tables import AUTO_SCALING_GROUPS_BY_SCOPE, SCALING_ACTIVITIES_BY_GROUP
from ecsnet.services.autoscaling.lookup import page, require_group
from ecsnet.services.call import Call, Operation, Reply, Request, read


def describe_scaling_activities(call: Call, request: Request) -> Reply:
    """The latest hundred of each group, the newest first. Source: Auto Scaling API, DescribeScalingActivities."""
    if request.get("AutoScalingGroupName"):
        groups = [require_group(call, request["AutoScalingGroupName"])]
    else:
        groups = list(call.tx.find(AUTO_SCALING_GROUPS_BY_SCOPE, scope(call.account, call.region)))
    wanted = request.get("ActivityIds")
    found = {}
    for group in groups:
        for row in call.tx.find(SCALING_ACTIVITIES_BY_GROUP, group.arn):
            if not wanted or row.id in wanted:
                # keys sort by time, the newest first
                found[f"{10**13 - int(row.started * 1000):013d}/{10**6 - row.number:07d}/{row.id}"] = item(group, row)
    keys, token = page(request, sorted(found))
    reply: dict[str, Any] = {"Activities": [found[key] for key in keys]}
    return reply if token is None else {**reply, "NextToken": token}


def item(group: AutoScalingGroup, row: Activity) -> dict[str, Any]:
    """The wire form (Auto Scaling API, shape Activity)."""
    shown = {
        "ActivityId": row.id,
        "AutoScalingGroupName": group.name,
        "AutoScalingGroupARN": group.arn,
        "Description": row.description,
        "Cause": row.cause,
        "StartTime": row.started,
        "EndTime": row.ended,
        "StatusCode": row.status,
        "StatusMessage": row.message,
        "Progress": row.progress,
        "Details": row.details,
    }
    return {name: value for name, value in shown.items() if value is not None}


OPERATIONS: tuple[Operation, ...] = (read("DescribeScalingActivities", describe_scaling_activities),)
