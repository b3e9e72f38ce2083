"""Keeps web pages out: a browser may be made to send requests to 127.0.0.1, under a name of the attacker's.

DNS rebinding shows in the Host header, plain cross-site requests in Origin. Both must name a host that is ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from ecsnet.aws.http import Head

_EXACT = frozenset({"127.0.0.1", "localhost", "::1", "0.0.0.0"})
_SUFFIXES = (".localhost", ".localhost.localstack.cloud", ".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
_DOMAINS = frozenset({"localhost.localstack.cloud", "amazonaws.com"})
_PREFIXES = ("data-", "stream-", "sync-", "control-storage-")
"""Host prefixes that SDKs put in front of an endpoint's host (Cloud Map, Logs, Step Functions), without a dot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Decides by host name; `extra` are further names that the user allows (exact, or `.domain` for all below it)."""

    extra: frozenset[str] = frozenset()

    @classmethod
    def allowing(cls, names: Iterable[str]) -> Guard:
        return cls(extra=frozenset(name.lower() for name in names))

    def refusal(self, head: Head) -> str | None:
        """A sentence that says why the request is refused, or None."""
        host = _name(head.header(b"host"))
        if not self.allows(host):
            return (
                f"ecsnet does not answer requests for host {host[:120]!r} (protection against DNS rebinding). "
                "Use 127.0.0.1 or localhost, or start ecsnet with the name in ECSNET_ALLOW_HOSTS."
            )
        origin = head.header(b"origin")
        if origin and not self.allows((urlsplit(origin).hostname or "") if "//" in origin else ""):
            return f"ecsnet does not answer requests made by web pages of {origin[:120]!r}."
        return None

    def allows(self, host: str) -> bool:
        if not host:
            return False
        if host in _EXACT or host in _DOMAINS or host.endswith(_SUFFIXES) or host in self.extra:
            return True
        if any(name.startswith(".") and host.endswith(name) for name in self.extra):
            return True
        return any(host.startswith(prefix) and host.removeprefix(prefix) in _EXACT for prefix in _PREFIXES) or (
            # S3's virtual-host style against an address: `bucket.127.0.0.1`; such a name cannot be registered.
            host.endswith(".127.0.0.1")
        )


def _name(host: str) -> str:
    """The name in a Host header, without port and brackets, lower-case."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".")
