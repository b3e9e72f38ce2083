"""Amazon ECS: clusters, container instances, task definitions, tasks and services.

Operations only write what is wished (records with `desired_status`, desired counts); the controllers move states, and
only on what was observed. Operations that ecsnet does not have are not listed; the gateway refuses them by name. Must
not import `controllers`.
"""

from __future__ import annotations

from ecsnet.services.call import Operation
from ecsnet.services.ecs import (
    account_setting,
    attribute,
    capacity_provider,
    cluster,
    container_instance,
    execute_command,
    protection,
    run_task,
    service,
    service_deployment,
    service_read,
    tags,
    task,
    task_definition,
    task_set,
)

OPERATIONS: tuple[Operation, ...] = (
    *account_setting.OPERATIONS,
    *attribute.OPERATIONS,
    *capacity_provider.OPERATIONS,
    *cluster.OPERATIONS,
    *container_instance.OPERATIONS,
    *execute_command.OPERATIONS,
    *protection.OPERATIONS,
    *run_task.OPERATIONS,
    *service.OPERATIONS,
    *service_deployment.OPERATIONS,
    *service_read.OPERATIONS,
    *tags.OPERATIONS,
    *task.OPERATIONS,
    *task_definition.OPERATIONS,
    *task_set.OPERATIONS,
)
