"""Every resource type that ecsnet makes."""

from __future__ import annotations

from collections.abc import Mapping

from ecsnet.services.cloudformation.resources import (
    autoscaling,
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
    files,
    iam,
    kept,
    messaging,
    nested,
    recorded,
    route53,
    storage,
)
from ecsnet.services.cloudformation.resources.base import Provisioner


class _Provisioners(dict[str, Provisioner]):
    """By type. Custom resources that are not known by name are recorded, whatever they are called."""

    def __contains__(self, kind: object) -> bool:
        return super().__contains__(kind) or (isinstance(kind, str) and custom.is_custom(kind))

    def __missing__(self, kind: str) -> Provisioner:
        if not custom.is_custom(kind):
            raise KeyError(kind)
        return custom.recorded(kind)


PROVISIONERS: Mapping[str, Provisioner] = _Provisioners(
    (provisioner.type, provisioner)
    for module in (
        autoscaling,
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
        files,
        iam,
        kept,
        messaging,
        nested,
        recorded,
        route53,
        storage,
    )
    for provisioner in module.PROVISIONERS
)
