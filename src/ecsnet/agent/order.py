"""The order of things: the only place that knows which kind of host object goes first.

A tick walks `STAGES` from top to bottom. A stage gives each driver the objects of its kinds that are to be made (those
whose needs are in force) and the keys that are to be removed. Two rules decide the order: what carries packets is
published after everything that filters them, and withdrawn before anything that it needs goes away.
"""

from __future__ import annotations

from dataclasses import dataclass

from ecsnet.hostplan.balancer import EnvoyResource, ServerCertificate
from ecsnet.hostplan.kernel import (
    Address,
    HostObject,
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

_NFT = (NftTable, NftSet, NftChain, NftElement)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    kinds: tuple[type[HostObject], ...]
    put: bool = False
    remove: bool = False


STAGES: tuple[Stage, ...] = (
    Stage(kinds=(Namespace,), put=True),
    Stage(kinds=(Link,), put=True),
    Stage(kinds=(Address,), put=True),
    Stage(kinds=(Neighbour,), put=True),
    Stage(kinds=(Route,), put=True),
    Stage(kinds=(PolicyRule,), put=True),
    # One transaction per namespace: it publishes and withdraws interfaces atomically with their rules.
    Stage(kinds=_NFT, put=True, remove=True),
    Stage(kinds=(EnvoyResource, ServerCertificate), put=True, remove=True),
    Stage(kinds=(DnsView, DnsRecords), put=True, remove=True),
    Stage(kinds=(MetadataPages, InstancePages, InstanceReader), put=True, remove=True),
    # Publications that waited for a proxy, a resolver or a document.
    Stage(kinds=_NFT, put=True),
    # A process ends when nobody is sent to it any more: at a deregistration delay of 0 one change withdraws an endpoint
    # and ends what listened there, and requests in between were answered 502 and 503.
    Stage(kinds=(Workload,), put=True, remove=True),
    Stage(kinds=(PolicyRule,), remove=True),
    Stage(kinds=(Route,), remove=True),
    Stage(kinds=(Neighbour,), remove=True),
    Stage(kinds=(Address,), remove=True),
    Stage(kinds=(Link,), remove=True),
    Stage(kinds=(Namespace,), remove=True),
)

REMADE: tuple[type[HostObject], ...] = (Namespace, Link, NftTable, NftSet)
"""Kinds that the kernel cannot change in place: a new version takes everything that needs it along."""

IN_KERNEL: tuple[type[HostObject], ...] = (Namespace, Link, Address, Neighbour, Route, PolicyRule, *_NFT)
"""Kinds that vanish with their namespace, so that removing the namespace removes them."""


KIND_OF_KEY: dict[str, type[HostObject]] = {
    "netns": Namespace,
    "link": Link,
    "address": Address,
    "neighbour": Neighbour,
    "route": Route,
    "rule": PolicyRule,
    "nft-table": NftTable,
    "nft-set": NftSet,
    "nft-chain": NftChain,
    "nft-element": NftElement,
    "envoy": EnvoyResource,
    "certificate": ServerCertificate,
    "dns-view": DnsView,
    "dns": DnsRecords,
    "workload": Workload,
    "metadata": MetadataPages,
    "imds": InstancePages,
    "imds-reader": InstanceReader,
}
"""The kind by what stands before the first colon of a key, for things found that are not as any object says."""
