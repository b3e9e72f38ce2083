"""What one Linux host must contain, proxy part: resources of the one Envoy, as canonical JSON."""

from __future__ import annotations

from typing import Literal

from ecsnet.hostplan.kernel import HostObject

ResourceKind = Literal["cluster", "listener", "scoped_route", "endpoints"]


class EnvoyResource(HostObject, frozen=True, kw_only=True, gc=False, tag=True):
    """One Envoy resource.

    `body` is the canonical JSON (sorted keys) of the resource with its "@type". Times of health checks in a cluster
    are those at speed 1; the agent divides them. File names in it are relative to the proxy's working directory.
    """

    kind: ResourceKind
    name: str
    body: bytes
    owner: str
    """ARN of the load balancer or target group for whom it exists."""
    after: tuple[str, ...] = ()
    """Keys that must be in force first (namespace and addresses for a listener, clusters for a route)."""

    @property
    def key(self) -> str:
        return envoy_key(self.kind, self.name)

    @property
    def needs(self) -> tuple[str, ...]:
        return self.after


class ServerCertificate(HostObject, frozen=True, kw_only=True, gc=False, tag=True):
    """A certificate and key for `names`, signed by this host's own authority, in `tls/<name>.crt` and `.key`."""

    name: str
    names: tuple[str, ...]
    owner: str
    """ARN of the certificate for which it stands."""

    @property
    def key(self) -> str:
        return certificate_key(self.name)


def envoy_key(kind: ResourceKind, name: str) -> str:
    return f"envoy:{kind}/{name}"


def certificate_key(name: str) -> str:
    return f"certificate:{name}"
