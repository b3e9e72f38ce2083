"""Quotas of Application Load Balancers and DescribeAccountLimits.

Defaults: guide page "Quotas for your Application Load Balancers".
"""

from __future__ import annotations

from collections.abc import Mapping

from ecsnet.services.call import Call, Operation, Reply, Request, read
from ecsnet.services.elbv2.paging import page

QUOTAS: Mapping[str, int] = {
    "application-load-balancers": 50,
    "target-groups": 3000,
    "targets-per-application-load-balancer": 1000,
    "listeners-per-application-load-balancer": 50,
    "rules-per-application-load-balancer": 100,
    "target-groups-per-action-on-application-load-balancer": 5,
    "target-groups-per-application-load-balancer": 100,
    "certificates-per-application-load-balancer": 25,
    "condition-values-per-alb-rule": 5,
    "condition-wildcards-per-alb-rule": 5,
    "targets-per-target-group": 1000,
}


def quota(call: Call, name: str) -> int:
    """The value in force of one quota."""
    return call.settings.quotas.get(name, QUOTAS[name])


def describe_account_limits(call: Call, request: Request) -> Reply:
    chosen, more = page(request, tuple(QUOTAS), lambda name: name)
    return {"Limits": [{"Name": name, "Max": str(quota(call, name))} for name in chosen], **more}


OPERATIONS: tuple[Operation, ...] = (read("DescribeAccountLimits", describe_account_limits),)
