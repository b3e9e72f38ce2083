"""The container agents of EC2 instances: they register when their instance runs and go when it ends.

Whether an instance runs an agent, and for which cluster, its user data says, or what cfn-init in it would fetch. The
instance itself is RUNNING only when its network stack was seen, so an agent never counts as connected before that.
"""

from __future__ import annotations

from ecsnet.model.ec2 import Instance
from ecsnet.model.tables import CLUSTERS, INSTANCES
from ecsnet.services.call import Call
from ecsnet.services.cloudformation import ops as cloudformation_ops
from ecsnet.services.ec2 import ops as ec2_ops
from ecsnet.services.ecs import ops as ecs_ops

_RETRY = 10.0
"""Seconds until an agent tries again to register with a cluster that does not exist."""


def step(call: Call, key: str) -> float | None:
    """Let the agent of one instance register, or take it away."""
    instance = call.tx.get(INSTANCES, key)
    if instance is None:
        return None
    match instance.state:
        case "running":
            return _register(call, instance)
        case "stopping" | "stopped":
            ecs_ops.instance_stopped(call, key)
        case "shutting-down" | "terminated":
            ecs_ops.instance_terminated(call, key)
        case "pending":
            pass
    return None


def _register(call: Call, instance: Instance) -> float | None:
    present = ecs_ops.find_by_instance(call, instance.id)
    if present is not None and present.status == "REGISTERING":
        present = ecs_ops.trunk_seen(call, present)
    settings = ecs_ops.agent_settings(instance.user_data)
    if settings is None:
        settings = ecs_ops.agent_settings_in(cloudformation_ops.init_text(call, instance.user_data))
    if settings is None:
        return None
    if present is not None:
        ecs_ops.set_agent_connected(call, present, True)
        return None
    if ecs_ops.deregistered_since(call, instance.id, instance.launched):
        return None
    cluster = call.tx.get(CLUSTERS, ecs_ops.cluster_arn(call, settings.cluster))
    if cluster is None or cluster.status != "ACTIVE":
        return call.now + _RETRY / call.settings.speed
    kind = ec2_ops.instance_type(instance.type)
    machine = ecs_ops.Machine(
        instance=instance.id,
        cpu=kind.vcpus * 1024,
        memory=max(0, kind.memory - settings.reserved_memory),
        architecture=kind.architecture,
        type=instance.type,
        image=instance.image,
        az=instance.az,
        vpc=instance.vpc,
        subnet=instance.subnet,
        interfaces=kind.interfaces,
        group=dict(instance.tags).get(ecs_ops.GROUP_TAG),
    )
    ecs_ops.register_instance(
        call,
        cluster,
        machine,
        connected=True,
        attributes=settings.attributes,
        reserved_ports=settings.reserved_ports,
        reserved_ports_udp=settings.reserved_ports_udp,
        dynamic_ports=settings.dynamic_ports,
        blocks_imds=settings.blocks_imds,
    )
    return None
