"""Amazon EC2 Auto Scaling (API version 2011-01-01): groups that keep their number of instances, across subnets.

Owns the records of `ecsnet.model.autoscaling`. Operations only write wishes (sizes, hooks, instances to end);
`controllers/auto_scaling.py` launches and terminates, as pure steps. Instances are made by `ecsnet.services.ec2.ops`.
Scaling policies, schedules, warm pools, refreshes and standby are not built and answer NotImplemented. Must not import
`controllers`.
"""

from __future__ import annotations

from ecsnet.services.autoscaling import (
    account,
    activity,
    group,
    group_instance,
    launch_configuration,
    lifecycle_hook,
    tags,
    target_groups,
)
from ecsnet.services.call import Operation

OPERATIONS: tuple[Operation, ...] = (
    *account.OPERATIONS,
    *activity.OPERATIONS,
    *group.OPERATIONS,
    *group_instance.OPERATIONS,
    *launch_configuration.OPERATIONS,
    *lifecycle_hook.OPERATIONS,
    *tags.OPERATIONS,
    *target_groups.OPERATIONS,
)
