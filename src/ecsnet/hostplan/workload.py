"""What one Linux host must contain, process part: the containers of tasks and their metadata documents."""

from __future__ import annotations

from typing import Literal

import msgspec

from ecsnet.hostplan.kernel import HostObject, namespace_key


class Port(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    port: int
    protocol: Literal["tcp", "udp"]


class HealthCheck(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A command that is run inside a container; exit code 0 means healthy. Times are seconds."""

    arguments: tuple[str, ...]
    interval: int
    timeout: int
    retries: int
    start_period: int


class RestartRule(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """When a container that has ended is started again: after `period` seconds of running, unless its exit code is
    among `ignored_codes`."""

    period: int
    ignored_codes: tuple[int, ...] = ()


class Workload(HostObject, frozen=True, kw_only=True, gc=False, tag=True):
    """One container of a task, in a namespace, under one of the runtimes.

    `runtime` auto means: podman when the image is present, else the stand-in. `command` and `environment` are user
    text; they are only ever passed as argument lists and environment blocks.
    """

    owner: str
    """Task ARN."""
    container: str
    netns: str
    runtime: Literal["auto", "stand-in", "podman", "process"]
    image: str
    entry_point: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    working_directory: str | None = None
    user: str | None = None
    ports: tuple[Port, ...] = ()
    identity: tuple[tuple[str, str], ...] = ()
    """What the stand-in answers about itself: (task, …), (service, …), (container, …), (mode, …)."""
    nameserver: str | None = None
    search: tuple[str, ...] = ()
    hostname: str | None = None
    hosts: tuple[tuple[str, str], ...] = ()
    log_group: str | None = None
    log_stream: str | None = None
    log_region: str | None = None
    stop_timeout: int = 30
    health: HealthCheck | None = None
    restart: RestartRule | None = None
    after: tuple[str, ...] = ()
    """Keys that must be in force before the process starts (the interface's publication)."""

    @property
    def key(self) -> str:
        return f"workload:{self.owner}/{self.container}"

    @property
    def needs(self) -> tuple[str, ...]:
        return (namespace_key(self.netns), *self.after)


class Page(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One JSON document and the paths under which it is served."""

    paths: tuple[str, ...]
    body: bytes


class MetadataPages(HostObject, frozen=True, kw_only=True, gc=False, tag=True):
    """Documents served at http://169.254.170.2<path> in a router's or machine's namespace, to one peer address only."""

    netns: str
    peer: str
    port: int = 80
    """Where the server listens; all documents of one namespace have the same."""
    pages: tuple[Page, ...]
    owner: str

    @property
    def key(self) -> str:
        return metadata_key(self.netns, self.peer, self.owner)

    @property
    def needs(self) -> tuple[str, ...]:
        return (namespace_key(self.netns),)


class InstancePages(HostObject, frozen=True, kw_only=True, gc=False, tag=True):
    """What an instance may read about itself at http://169.254.169.254/latest/, whoever reads for it."""

    instance: str
    leaves: tuple[tuple[str, str], ...]
    """((path below /latest/, text), …)."""
    blob: bytes | None
    """/latest/user-data."""
    enabled: bool
    token_required: bool
    hop_limit: int

    @property
    def key(self) -> str:
        return f"imds:{self.instance}"


class InstanceReader(HostObject, frozen=True, kw_only=True, gc=False, tag=True):
    """Who connects from an address in a router namespace reads the pages of an instance."""

    netns: str
    peer: str
    instance: str

    @property
    def key(self) -> str:
        return f"imds-reader:{self.netns}/{self.peer}"

    @property
    def needs(self) -> tuple[str, ...]:
        return (namespace_key(self.netns),)


def metadata_key(netns: str, peer: str, owner: str) -> str:
    """`owner` tells apart the tasks that share an address."""
    return f"metadata:{netns}/{peer}/{owner.rpartition('/')[2]}"
