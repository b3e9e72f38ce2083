"""Where a DAEMON service wants its tasks: on every instance that may have one, whether or not it has room now."""

from __future__ import annotations

import dataclasses

import msgspec

from ecsnet.controllers import starts
from ecsnet.model.capacity import Reservation
from ecsnet.model.ecs import Service
from ecsnet.services.call import Call
from ecsnet.services.ecs import ops as ecs_ops


def places(call: Call, service: Service) -> tuple[Service, tuple[str, ...]]:
    """The service with its desired count, and the container instances (ARNs) that count towards it.

    An instance whose agent is away keeps its task; it only gets none while it is away.
    """
    what = starts.template(call, service, service.deployments[0])
    if what is None:
        return service, ()
    need = dataclasses.replace(ecs_ops.need_of(call, what), take=Reservation(), dynamic=0)
    found = []
    for candidate in ecs_ops.candidates(call.tx, service.cluster, launch_type=what.launch_type):
        reachable = msgspec.structs.replace(candidate.instance, agent_connected=True)
        if ecs_ops.refusal(need, dataclasses.replace(candidate, instance=reachable), what.constraints) is None:
            found.append(candidate.instance.arn)
    primary, *others = service.deployments
    if service.desired != len(found):
        primary = msgspec.structs.replace(primary, desired=len(found), updated=call.now)
        service = msgspec.structs.replace(service, desired=len(found), deployments=(primary, *others), steady=False)
    return service, tuple(sorted(found))
