"""Every fragment, in one place."""

from __future__ import annotations

from ecsnet.compile import (
    balancer,
    containers,
    egress_gateway,
    instance_metadata,
    internet_gateway,
    metadata,
    names,
    nat_gateway,
    network_acl,
    peering,
    port,
    prefix_list,
    route_table,
    router,
    security_group,
    segment,
    workload,
)
from ecsnet.compile.view import FragmentSpec

FRAGMENTS: tuple[FragmentSpec, ...] = (
    *router.FRAGMENTS,
    *segment.FRAGMENTS,
    *port.FRAGMENTS,
    *security_group.FRAGMENTS,
    *prefix_list.FRAGMENTS,
    *network_acl.FRAGMENTS,
    *route_table.FRAGMENTS,
    *internet_gateway.FRAGMENTS,
    *egress_gateway.FRAGMENTS,
    *nat_gateway.FRAGMENTS,
    *peering.FRAGMENTS,
    *containers.FRAGMENTS,
    *workload.FRAGMENTS,
    *instance_metadata.FRAGMENTS,
    *metadata.FRAGMENTS,
    *names.FRAGMENTS,
    *balancer.FRAGMENTS,
)
