"""What the agent and the stand-in server say to each other (frames of msgpack on the server's UNIX socket).

The socket is the only way to change a stand-in; nothing of this is reachable from the tasks' networks.
"""

from __future__ import annotations

import msgspec

from ecsnet.hostplan.workload import Workload


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True):
    pass


class Start(Message, frozen=True, kw_only=True, gc=False, tag=True):
    """Open the declared ports of a container in its namespace. Starting what runs already changes nothing."""

    id: int
    workload: Workload


class Stop(Message, frozen=True, kw_only=True, gc=False, tag=True):
    """Close everything of a container and forget it; answered by a Listing of what it was (empty: nothing)."""

    id: int
    key: str


class SetHealth(Message, frozen=True, kw_only=True, gc=False, tag=True):
    """Answer 503 from now on (`healthy` False) on `path`, or on every path when it is None."""

    id: int
    key: str
    healthy: bool
    path: str | None = None


class Check(Message, frozen=True, kw_only=True, gc=False, tag=True):
    """Whether a container is healthy: Done, or Refused while it answers 503 on every path or does not run."""

    id: int
    key: str


class Exit(Message, frozen=True, kw_only=True, gc=False, tag=True):
    """Behave as if the container's process had ended with `code`: close everything, remember the code."""

    id: int
    key: str
    code: int


class List(Message, frozen=True, kw_only=True, gc=False, tag=True):
    id: int


class Done(Message, frozen=True, kw_only=True, gc=False, tag=True):
    id: int


class Refused(Message, frozen=True, kw_only=True, gc=False, tag=True):
    id: int
    text: str


class Instance(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    key: str
    exit_code: int | None = None
    """None while it runs."""


class Listing(Message, frozen=True, kw_only=True, gc=False, tag=True):
    id: int
    instances: tuple[Instance, ...]


Request = Start | Stop | SetHealth | Check | Exit | List
Reply = Done | Refused | Listing

ENCODER = msgspec.msgpack.Encoder()
REQUESTS: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
REPLIES: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)
