"""Which function lowers which logical type: the whole kernel fabric at a glance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ecsnet.fabric.kernel import (
    acl,
    balancer,
    containers,
    edge6,
    egress_gateway,
    external,
    group,
    internet,
    internet_gateway,
    names,
    nat_gateway,
    peering,
    port,
    route,
    router,
    segment,
    workload,
)
from ecsnet.hostplan.kernel import HostObject
from ecsnet.logical import network
from ecsnet.logical.base import LogicalObject

Lowering = Callable[[Any], Iterable[HostObject]]

NETWORK_LOWERINGS: Mapping[type[LogicalObject], Lowering] = {
    network.Router: router.lower,
    network.Segment: segment.lower,
    network.Host: port.lower_host,
    network.Port: port.lower,
    network.OpenPort: port.lower_open,
    network.FilterGroup: group.lower,
    network.GroupSet: group.lower_set,
    network.Member: group.lower_member,
    network.MemberPrefix: group.lower_prefix,
    network.PeerGroup: group.lower_peer,
    network.AddressList: group.lower_list,
    network.AddressListEntry: group.lower_list_entry,
    network.Acl: acl.lower,
    network.TableRoute: route.lower,
    network.Peering: peering.lower,
    network.PeeringGuard: peering.lower_guard,
    network.Gateway: internet_gateway.lower,
    network.PublicAddress: internet_gateway.lower_address,
    network.EgressGateway: egress_gateway.lower,
    network.PublicNetwork: edge6.lower_network,
    network.Nat: nat_gateway.lower,
    network.Internet: internet.lower,
    network.ExternalMachine: external.lower,
}

LOWERINGS: Mapping[type[LogicalObject], Lowering] = {
    **NETWORK_LOWERINGS,
    **balancer.LOWERINGS,
    **containers.LOWERINGS,
    **names.LOWERINGS,
    **workload.LOWERINGS,
}


def lower(item: LogicalObject) -> Iterable[HostObject]:
    """The host objects of one logical object. Raises KeyError for a type that no module lowers."""
    return LOWERINGS[type(item)](item)
