"""Amazon ECS: clusters, task definitions, tasks and services on Fargate with awsvpc networking.

Operations only write what is wished (records with `desired_status`, desired counts); the controllers move states, and
only on what was observed. Must not import `controllers`.
"""

from __future__ import annotations

from ecsnet.services.call import Operation
from ecsnet.services.ecs import capacity_provider, cluster, service, service_read, tags, task, task_definition

OPERATIONS: tuple[Operation, ...] = (
    *capacity_provider.OPERATIONS,
    *cluster.OPERATIONS,
    *service.OPERATIONS,
    *service_read.OPERATIONS,
    *tags.OPERATIONS,
    *task.OPERATIONS,
    *task_definition.OPERATIONS,
)
