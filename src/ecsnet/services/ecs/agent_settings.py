"""What the user data of an instance tells its container agent (Developer Guide, "Bootstrapping Amazon ECS Linux
container instances", and "Amazon ECS container agent configuration").

The text is read, not run: settings count wherever a line writes `NAME=value`, as `echo ECS_CLUSTER=web >>
/etc/ecs/ecs.config` and a here-document do, or as Bottlerocket's `[settings.ecs]` says it. A later line wins.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from ecsnet.services.ecs.container_instances import RESERVED_PORTS

T = TypeVar("T")

_LINE = re.compile(r"""(?<![A-Za-z0-9_])(ECS_[A-Z_]+)=("[^"\n]*"|'[^'\n]*'|[\[{][^\n]*?[\]}]|[^\s"'>;&|]*)""")
_BOTTLEROCKET = re.compile(r"""^\s*\[settings\.ecs\]\s*$(.*?)(?=^\s*\[|\Z)""", re.MULTILINE | re.DOTALL)
_CLUSTER = re.compile(r"""^\s*cluster\s*=\s*["']([A-Za-z0-9_-]{1,255})["']""", re.MULTILINE)
_RANGE = re.compile(r"(\d{1,5})-(\d{1,5})\Z")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    cluster: str
    reserved_ports: tuple[int, ...] = RESERVED_PORTS
    reserved_ports_udp: tuple[int, ...] = ()
    reserved_memory: int = 0
    """MiB that tasks do not get."""
    attributes: tuple[tuple[str, str | None], ...] = ()
    dynamic_ports: tuple[int, int] | None = None
    """ECS_DYNAMIC_HOST_PORT_RANGE: first and last of the host ports that it gives out; None: the kernel's range."""
    blocks_imds: bool = False
    """ECS_AWSVPC_BLOCK_IMDS."""


def read(user_data: str | None) -> AgentSettings | None:
    """The settings in base64 user data; None when it names no cluster, so that no agent is known to run.

    A value that is not what the agent expects counts as not given.
    """
    return read_text(_decoded(user_data))


def read_text(text: str) -> AgentSettings | None:
    """The settings in plain text; None when it names no cluster."""
    given = {match[1]: match[2].strip("\"'") if match[2][:1] in "\"'" else match[2] for match in _LINE.finditer(text)}
    cluster = given.get("ECS_CLUSTER", "").rpartition("/")[2]
    for section in _BOTTLEROCKET.finditer(text):
        named = _CLUSTER.search(section[1])
        cluster = named[1] if named else cluster or "default"
    if not _NAME.match(cluster):
        return None
    ports = _json(given.get("ECS_RESERVED_PORTS"), list[int])
    memory = given.get("ECS_RESERVED_MEMORY", "")
    attributes = _json(given.get("ECS_INSTANCE_ATTRIBUTES"), dict[str, str]) or {}
    return AgentSettings(
        cluster=cluster,
        reserved_ports=RESERVED_PORTS if ports is None else tuple(ports),
        reserved_ports_udp=tuple(_json(given.get("ECS_RESERVED_PORTS_UDP"), list[int]) or ()),
        reserved_memory=int(memory) if memory.isdecimal() else 0,
        attributes=tuple(sorted((name, value or None) for name, value in attributes.items())),
        dynamic_ports=_ports(given.get("ECS_DYNAMIC_HOST_PORT_RANGE", "")),
        blocks_imds=given.get("ECS_AWSVPC_BLOCK_IMDS", "").lower() == "true",
    )


def _decoded(user_data: str | None) -> str:
    try:
        return base64.b64decode(user_data or "", validate=False).decode(errors="replace")
    except binascii.Error:
        return ""


def _ports(text: str) -> tuple[int, int] | None:
    """`first-last`."""
    found = _RANGE.match(text)
    if found is None:
        return None
    first, last = int(found[1]), int(found[2])
    return (first, last) if 0 < first <= last < 65536 else None


def _json(text: str | None, type: type[T]) -> T | None:
    try:
        return msgspec.json.decode(text, type=type) if text else None
    except msgspec.MsgspecError:
        return None
