"""Every resource type that ecsnet makes."""

from __future__ import annotations

from collections.abc import Mapping

from ecsnet.services.cloudformation.resources import (
    custom,
    ec2,
    ec2_flow_log,
    ec2_groups,
    ec2_instance,
    ec2_peering,
    ec2_prefix_list,
    ec2_routing,
    ecs,
    ecs_task_set,
    elbv2,
    iam,
    messaging,
    nested,
    recorded,
    route53,
    storage,
)
from ecsnet.services.cloudformation.resources.base import Provisioner

PROVISIONERS: Mapping[str, Provisioner] = {
    provisioner.type: provisioner
    for module in (
        custom,
        ec2,
        ec2_flow_log,
        ec2_groups,
        ec2_instance,
        ec2_peering,
        ec2_prefix_list,
        ec2_routing,
        ecs,
        ecs_task_set,
        elbv2,
        iam,
        messaging,
        nested,
        recorded,
        route53,
        storage,
    )
    for provisioner in module.PROVISIONERS
}
