"""Amazon ECS: clusters, task definitions, tasks and services on Fargate with awsvpc networking.

Operations only write what is wished (records with `desired_status`, desired counts); the controllers move states, and
only on what was observed. Operations that ecsnet does not have (ECS Exec, task sets, capacity providers of one's own)
are not listed; the gateway refuses them by name. Must not import `controllers`.
"""

from __future__ import annotations

from ecsnet.services.call import Operation
from ecsnet.services.ecs import (
    account_setting,
    capacity_provider,
    cluster,
    container_instance,
    service,
    service_read,
    tags,
    task,
    task_definition,
)

OPERATIONS: tuple[Operation, ...] = (
    *account_setting.OPERATIONS,
    *capacity_provider.OPERATIONS,
    *cluster.OPERATIONS,
    *container_instance.OPERATIONS,
    *service.OPERATIONS,
    *service_read.OPERATIONS,
    *tags.OPERATIONS,
    *task.OPERATIONS,
    *task_definition.OPERATIONS,
)
