"""What a provisioner is: how one resource type is made, changed, deleted and observed.

`Native` types are ecsnet's own. Their operations are the same pure functions that the API calls, run inside a store
transaction together with the stack's own record of them, so a crash can never part the two. `Backed` types live in
the backing server; their calls happen outside the store and must find their own traces when they are run again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ecsnet.model.cloudformation import Stack
from ecsnet.services.call import AwsError, Call, Outside, Reply, Request
from ecsnet.store.snapshot import Reader

Properties = Mapping[str, Any]
Operations = Mapping[str, Mapping[str, Callable[[Call, Request], Reply]]]
"""botocore service name → operation name → function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A resource as its creation or change left it."""

    id: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """What Fn::GetAtt gives, by (dotted) name; "Ref" when Ref is not the id."""
    note: str | None = None
    """Shown as the reason of its CREATE_COMPLETE: what ecsnet does not do with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Attributes that are known only now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """It will never be ready."""

    reason: str


Observed = Ready | Waiting | Broken
READY = Ready()
WAITING = Waiting()


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """Names for resources that the template does not name: `<stack>-<logical id>-<12 characters>`."""

    stack: Stack
    logical: str
    generation: float
    """Differs between a resource and its replacement and is the same when work is resumed."""

    def token(self, digits: int = 12) -> str:
        """Upper-case characters that are the same every time for this generation of this resource."""
        seed = f"{self.stack.id}/{self.logical}/{self.generation!r}".encode()
        number = int.from_bytes(hashlib.sha256(seed).digest(), "big")
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
        result = []
        for _ in range(digits):
            number, index = divmod(number, len(alphabet))
            result.append(alphabet[index])
        return "".join(result)

    def uuid(self) -> str:
        """A UUID that is the same every time, for client tokens."""
        seed = f"{self.stack.id}/{self.logical}/{self.generation!r}/uuid".encode()
        digits = hashlib.sha256(seed).hexdigest()
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:32]}"

    def name(self, limit: int, *, lower: bool = False) -> str:
        """A physical name of at most `limit` characters; stack name and logical id are cut, never the token."""
        token = self.token(12 if limit >= 40 else 8)
        room = limit - len(token) - 2
        stack = self.stack.name[: max(room // 2, room - len(self.logical))]
        name = f"{stack}-{self.logical[: room - len(stack)]}-{token}"
        return name.lower() if lower else name

    def tags(self, properties: Properties, key: str = "Tags") -> list[dict[str, str]]:
        """The resource's own tags and those of the stack; the resource's win."""
        merged = dict(self.stack.current.tags)
        for tag in properties.get(key) or ():
            merged[str(tag["Key"])] = str(tag["Value"])
        return [{"Key": name, "Value": value} for name, value in merged.items()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Env:
    """What a native provisioner works with."""

    call: Call
    operations: Operations
    types: Collection[str]
    """Every type that can be made; nested stacks are checked against it."""
    naming: Naming
    fetched: Any = None
    """What its `fetch` brought."""

    def run(self, service: str, operation: str, members: Mapping[str, Any]) -> Reply:
        """Run one of ecsnet's own operations in the present transaction; members that are None count as absent."""
        function = self.operations.get(service, {}).get(operation)
        if function is None:
            raise AwsError("NotImplemented", f"ecsnet does not implement {operation} of {service}.", status=501)
        return function(self.call, {key: value for key, value in members.items() if value is not None})


@dataclass(frozen=True, slots=True, kw_only=True)
class BackedEnv:
    """What a backed provisioner works with."""

    outside: Outside
    naming: Naming
    resumed: bool
    """It was begun before, so what it is about to make may be there already."""

    async def run(self, service: str, operation: str, members: Mapping[str, Any]) -> Reply:
        return await self.outside.call(
            service, operation, {key: value for key, value in members.items() if value is not None}
        )


def _always_ready(reader: Reader, id_: str, properties: Properties) -> Observed:
    return READY


@dataclass(frozen=True, slots=True, kw_only=True)
class Native:
    """A type whose operations are ecsnet's own."""

    type: str
    create: Callable[[Env, Properties], Made]
    delete: Callable[[Env, str, Properties], None]
    """(env, id, properties); a resource that is gone already counts as deleted."""
    update: Callable[[Env, str, Properties, Properties], Made] | None = None
    """(env, id, before, after). None: every change replaces."""
    ready: Callable[[Reader, str, Properties], Observed] = _always_ready
    gone: Callable[[Reader, str, Properties], Observed] = _always_ready
    seen_by: str | None = None
    """The attribute by which `ready` and `gone` know the resource, when its id says too little (a name that other
    accounts may use too)."""
    fetch: Callable[[Outside, Properties], Awaitable[Any]] | None = None
    """Brings what `create` and `update` need from outside the store; not run when an update is rolled back."""
    always_update: bool = False
    """Run `update` even when no property changed (nested stacks: the text behind the URL may have)."""
    replace_on: tuple[str, ...] | None = None
    """Properties whose change replaces; None leaves it to the schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backed:
    """A type that the backing server holds."""

    type: str
    create: Callable[[BackedEnv, Properties], Awaitable[Made]]
    delete: Callable[[BackedEnv, str, Properties], Awaitable[None]]
    update: Callable[[BackedEnv, str, Properties, Properties], Awaitable[Made]] | None = None
    replace_on: tuple[str, ...] | None = None


Provisioner = Native | Backed


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What the engine works with besides a call."""

    operations: Operations
    provisioners: Mapping[str, Provisioner]


def is_missing(error: AwsError) -> bool:
    """Whether an error says that the thing asked about is not there (any more)."""
    return (
        "NotFound" in error.code
        or "NoSuch" in error.code
        or error.code in ("Gateway.NotAttached", "NonExistentQueue", "AWS.SimpleQueueService.NonExistentQueue")
    )


def delete_if_there(env: Env, service: str, operation: str, members: Mapping[str, Any]) -> None:
    """Run a deletion; that there is nothing to delete is fine."""
    try:
        env.run(service, operation, members)
    except AwsError as error:
        if not is_missing(error):
            raise
