"""What ECS remembers of a service's deployments: the deployment itself, and the revision that it rolled out."""

from __future__ import annotations

from typing import Literal

from ecsnet.model.base import Record
from ecsnet.model.ecs import Deployment

RolloutStatus = Literal[
    "IN_PROGRESS", "SUCCESSFUL", "STOPPED", "ROLLBACK_IN_PROGRESS", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"
]


class ServiceRevision(Record, frozen=True, kw_only=True, gc=False):
    """The configuration that one deployment rolls out; it never changes."""

    arn: str
    service: str
    cluster: str
    deployment: Deployment
    """As it was asked for."""
    created: float


class ServiceDeployment(Record, frozen=True, kw_only=True, gc=False):
    arn: str
    account: str
    region: str
    service: str
    cluster: str
    deployment: str
    """Id of the deployment ("ecs-svc/…") that it shows as in DescribeServices."""
    revision: str
    """ARN of the service revision that it brings."""
    sources: tuple[str, ...] = ()
    """ARNs of the revisions that were in place."""
    status: RolloutStatus = "IN_PROGRESS"
    reason: str | None = None
    created: float
    updated: float
    finished: float | None = None
    rolled_back_to: str | None = None
    """ARN of the service revision that the circuit breaker went back to."""
