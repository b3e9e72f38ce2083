"""What an operation is: a pure function from a call and its parameters to a reply."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Network
from typing import Any, Protocol

import msgspec

from ecsnet.store.snapshot import Reader
from ecsnet.store.store import Transaction

Request = Mapping[str, Any]
"""Parameters by botocore member name; timestamps are epoch seconds (float), blobs bytes. Absent means not given."""

Reply = Mapping[str, Any]
"""Members by botocore member name; timestamps are epoch seconds; a list member may hold `Cached` items."""


class AwsError(Exception):
    """An error that the service itself defines; the gateway writes it in the wire protocol of the request."""

    def __init__(self, code: str, message: str, *, status: int = 400, detail: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.detail = detail or {}
        """Further members of the error's own shape (for example cancellation reasons)."""


def not_implemented(operation: str, what: str) -> AwsError:
    """The honest answer for something that ecsnet does not do (yet); never an invented value."""
    return AwsError("NotImplemented", f"ecsnet does not implement {what} of {operation}.", status=501)


_DOCUMENTATION = IPv6Network("2001:db8:8000::/33")


class Ids(Protocol):
    """The source of identifiers; injected, so that tests are deterministic."""

    def resource(self, prefix: str) -> str:
        """An EC2-style id, `<prefix>-` and 17 lower-case hex digits."""
        ...

    def uuid(self) -> str:
        """A random UUID with hyphens."""
        ...

    def hex(self, digits: int) -> str:
        """Random lower-case hex digits."""
        ...


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an operation may use besides its parameters."""

    tx: Transaction
    account: str
    region: str
    now: float
    """Epoch seconds."""
    ids: Ids
    settings: Settings
    access_key: str = ""
    """The access key that signed the request; empty for unsigned requests and for calls that ecsnet makes itself."""
    host: str = ""
    """The name and port under which the caller reached ecsnet; empty for calls that ecsnet makes itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Quotas and unconfirmed AWS behaviours that a user may change; the defaults are AWS's."""

    speed: float = 1.0
    """Divides every control-plane timer (health intervals, deregistration delay, cool-downs)."""
    quotas: Mapping[str, int] = field(default_factory=dict)
    """Overrides by quota name; see each service's `quotas.py`."""
    ipv6_pool: IPv6Network = _DOCUMENTATION
    """Where Amazon-provided /56 blocks of VPCs come from: documentation addresses (RFC 3849), so they are nobody's."""


class Kind(enum.Enum):
    READ = "read"
    WRITE = "write"
    """Runs in a transaction; the gateway answers after the data plane has the revision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What an operation may use before its transaction opens: the last snapshot and the services that are not ours."""

    account: str
    region: str
    snapshot: Reader
    call: Callable[[str, str, Request], Awaitable[Reply]]
    """(botocore service name, operation, parameters) → the backing service's reply; raises AwsError."""


Prepare = Callable[[Outside, Request], Awaitable[Request]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One API operation: its botocore name and the function that carries it out."""

    name: str
    run: Callable[[Call, Request], Reply]
    kind: Kind
    prepare: Prepare | None = None
    """Awaited before the transaction opens; its result is the request that `run` gets.

    For what has to be fetched first (a template in S3, a parameter in SSM), so that `run` stays pure. Such a request
    may carry members that botocore does not know; their names start with "ecsnet:".
    """


def read(name: str, run: Callable[[Call, Request], Reply], *, prepare: Prepare | None = None) -> Operation:
    return Operation(name=name, run=run, kind=Kind.READ, prepare=prepare)


def write(name: str, run: Callable[[Call, Request], Reply], *, prepare: Prepare | None = None) -> Operation:
    return Operation(name=name, run=run, kind=Kind.WRITE, prepare=prepare)


class Cached:
    """A list item whose wire form may be reused while every object in `sources` is the very same object.

    `key` tells it from the other items of the same operation; an option that changes the item's form (ECS `include`)
    belongs into it. `sources` must hold every record that `build` looks at (records are immutable, so identity means
    equality).
    """

    # Not a dataclass: msgspec would write one out as a JSON object instead of asking for its fragment, and a list of
    # a thousand would take three times as long to make.
    __slots__ = ("build", "key", "sources")

    def __init__(self, *, key: Hashable, sources: tuple[object, ...], build: Callable[[], Mapping[str, Any]]) -> None:
        self.key = key
        self.sources = sources
        self.build = build
