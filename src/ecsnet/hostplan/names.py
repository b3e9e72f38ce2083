"""What one Linux host must contain, resolver part: views (one per VPC, one for the internet) and record sets."""

from __future__ import annotations

from ecsnet.hostplan.kernel import HostObject, namespace_key


def view_key(name: str) -> str:
    return f"dns-view:{name}"


class DnsView(HostObject, frozen=True, kw_only=True, gc=False, tag=True):
    """A resolver listening on `addresses` (UDP and TCP, port 53) inside a namespace, answering from its zones.

    `generated` are (suffix, CIDR text…) zones whose names `ip-10-0-1-25.<suffix>` are computed, not stored.
    `public` names another view whose records are consulted for names that this view does not hold.
    """

    name: str
    netns: str
    addresses: tuple[str, ...]
    generated: tuple[tuple[str, tuple[str, ...]], ...] = ()
    public: str | None = None

    @property
    def key(self) -> str:
        return view_key(self.name)

    @property
    def needs(self) -> tuple[str, ...]:
        return (namespace_key(self.netns),)


class DnsRecords(HostObject, frozen=True, kw_only=True, gc=False, tag=True):
    """One record set in one view. An answer holds `count` of the values, starting at a random one (None: all)."""

    view: str
    zone: str
    """Zone apex, lower case, without a trailing dot."""
    name: str
    """Owner name, lower case, without a trailing dot."""
    type: str
    ttl: int
    values: tuple[str, ...]
    """Record data in master-file form."""
    count: int | None = None
    owner: str

    @property
    def key(self) -> str:
        return f"dns:{self.view}/{self.name}/{self.type}"

    @property
    def needs(self) -> tuple[str, ...]:
        return (view_key(self.view),)
