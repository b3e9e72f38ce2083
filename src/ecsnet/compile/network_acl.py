"""Network ACL → Acl."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ecsnet.compile import facts
from ecsnet.compile.view import FragmentSpec, Query, View
from ecsnet.logical.network import Acl, AclRule
from ecsnet.model.ec2 import NetworkAcl, NetworkAclEntry
from ecsnet.model.tables import ACLS

_TYPES_OF: Mapping[int | None, int] = {1: 4, 58: 6}


def acl(view: View, key: str) -> Iterator[Acl]:
    """A network ACL of a VPC that has a router; the final `*` denies are the filter's own."""
    row = view.get(ACLS, key)
    if row is None or not facts.has_router(view, row.vpc):
        return
    entries = sorted(row.entries, key=lambda entry: entry.number)
    yield Acl(
        router=row.vpc,
        id=row.id,
        inbound=tuple(_rule(entry) for entry in entries if not entry.egress),
        outbound=tuple(_rule(entry) for entry in entries if entry.egress),
    )


def _find_open(view: View, acl: str) -> frozenset[int]:
    row = view.get(ACLS, acl)
    return frozenset() if row is None else frozenset(version for version in (4, 6) if _admits_all(row, version))


def _admits_all(row: NetworkAcl, version: int) -> bool:
    for egress in (False, True):
        entries = (entry for entry in row.entries if entry.egress == egress and entry.cidr.version == version)
        first = min(entries, key=lambda entry: entry.number, default=None)
        if first is None or not first.allow or first.protocol != "-1" or first.cidr.prefixlen:
            return False
    return True


OPEN = Query(name="open_acl", run=_find_open)
"""The IP versions of which a network ACL admits everything in both directions, by its first entries. The entry with the
lowest number decides (VPC user guide, "Network ACL rules")."""


def _rule(entry: NetworkAclEntry) -> AclRule:
    """Ports count for TCP and UDP only, type and code for ICMP in its own family (EC2 API, CreateNetworkAclEntry)."""
    protocol = None if entry.protocol == "-1" else int(entry.protocol)
    ports = icmp = None
    if protocol in (6, 17) and entry.from_port is not None and entry.to_port is not None:
        ports = None if (entry.from_port <= 0 and entry.to_port in (-1, 65535)) else (entry.from_port, entry.to_port)
    elif _TYPES_OF.get(protocol) == entry.cidr.version and entry.icmp_type is not None and entry.icmp_type != -1:
        icmp = (entry.icmp_type, None if entry.icmp_code in (None, -1) else entry.icmp_code)
    return AclRule(
        number=entry.number, allow=entry.allow, protocol=protocol, network=entry.cidr, ports=ports, icmp=icmp
    )


FRAGMENTS = (FragmentSpec(name="acl", table=ACLS, run=acl),)
