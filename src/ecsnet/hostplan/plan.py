"""The union of everything a host may contain, for the wire."""

from __future__ import annotations

from ecsnet.hostplan.balancer import EnvoyResource, ServerCertificate
from ecsnet.hostplan.kernel import (
    Address,
    Link,
    Namespace,
    Neighbour,
    NftChain,
    NftElement,
    NftSet,
    NftTable,
    PolicyRule,
    Route,
)
from ecsnet.hostplan.names import DnsRecords, DnsView
from ecsnet.hostplan.workload import InstancePages, InstanceReader, MetadataPages, Workload

HostObjectUnion = (
    Namespace
    | Link
    | Address
    | Neighbour
    | Route
    | PolicyRule
    | NftTable
    | NftSet
    | NftChain
    | NftElement
    | EnvoyResource
    | ServerCertificate
    | DnsView
    | DnsRecords
    | Workload
    | MetadataPages
    | InstancePages
    | InstanceReader
)
