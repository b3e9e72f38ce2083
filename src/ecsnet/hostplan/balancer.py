"""What one Linux host must contain, proxy part: resources of the one Envoy, as canonical JSON."""

from __future__ import annotations

from typing import Literal

from ecsnet.hostplan.kernel import HostObject


class EnvoyResource(HostObject, frozen=True, kw_only=True, gc=False, tag=True):
    """One Envoy resource. `body` is the JSON of the resource (sorted keys), without its name's owner."""

    kind: Literal["cluster", "listener", "scoped_route", "endpoints"]
    name: str
    body: bytes
    owner: str
    """ARN of the load balancer or target group for whom it exists."""
    after: tuple[str, ...] = ()
    """Keys that must be in force first (namespace and addresses for a listener, clusters for a route)."""

    @property
    def key(self) -> str:
        return f"envoy:{self.kind}/{self.name}"

    @property
    def needs(self) -> tuple[str, ...]:
        return self.after
