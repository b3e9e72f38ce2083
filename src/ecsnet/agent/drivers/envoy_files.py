"""Envoy's resource files: one per kind of resource, replaced atomically, each with a hash of its content as version."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import msgspec

from ecsnet.hostplan.balancer import EnvoyResource, ResourceKind

KINDS: tuple[ResourceKind, ...] = get_args(ResourceKind)
FILES: Mapping[ResourceKind, str] = {
    "endpoints": "eds.json",
    "cluster": "cds.json",
    "scoped_route": "srds.json",
    "listener": "lds.json",
}
_SHORTEST_INTERVAL = 0.1
_SHORTEST_TIMEOUT = 1.0
"""Seconds. The network is not sped up with the control plane, so a probe always gets this long (or what it asked)."""

Resources = Mapping[str, bytes]
"""Canonical JSON of resources by name."""

_ENCODER = msgspec.json.Encoder(order="deterministic")


class _Named(msgspec.Struct):
    name: str = ""
    cluster_name: str = ""


class _File(msgspec.Struct):
    version_info: str
    resources: list[msgspec.Raw]


_FILE = msgspec.json.Decoder(_File)
_NAMED = msgspec.json.Decoder(_Named)


def render(resource: EnvoyResource, speed: float) -> bytes:
    """The JSON to write: the body, with the times of health checks divided by `speed`."""
    if resource.kind != "cluster" or speed == 1:
        return resource.body
    body: dict[str, Any] = msgspec.json.decode(resource.body)
    for check in body.get("health_checks", ()):
        for member in ("interval", "no_traffic_interval"):
            check[member] = _duration(max(_seconds(check[member]) / speed, _SHORTEST_INTERVAL))
        timeout = _seconds(check["timeout"])
        check["timeout"] = _duration(max(timeout / speed, min(timeout, _SHORTEST_TIMEOUT)))
    return _ENCODER.encode(body)


def _seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))


def _duration(seconds: float) -> str:
    return f"{seconds:.3f}s"


def read(directory: Path, kind: ResourceKind) -> dict[str, bytes]:
    """What a file holds; nothing when it is absent or not whole."""
    try:
        content = _FILE.decode((directory / FILES[kind]).read_bytes())
    except (FileNotFoundError, msgspec.DecodeError):
        return {}
    result = {}
    for raw in content.resources:
        named = _NAMED.decode(raw)
        result[named.name or named.cluster_name] = bytes(raw)
    return result


def version_of(resources: Resources) -> str:
    """A short hash of the content."""
    digest = hashlib.sha256()
    for name in sorted(resources):
        digest.update(resources[name])
        digest.update(b"\n")
    return digest.hexdigest()[:16]


def write(directory: Path, kind: ResourceKind, resources: Resources) -> str:
    """Replace a file; returns its version. Envoy follows renames, so the file is never seen half written."""
    version = version_of(resources)
    body = b",\n".join(resources[name] for name in sorted(resources))
    new = directory / f"{FILES[kind]}.new"
    new.write_bytes(b'{"version_info":"' + version.encode() + b'","resources":[\n' + body + b"\n]}\n")
    os.replace(new, directory / FILES[kind])
    return version
