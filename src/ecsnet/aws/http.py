"""HTTP as the gateway sees it: the head of a request, its body within limits, and a reply."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import msgspec

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]

OWN_BODY_LIMIT = 2 << 20
"""Bytes in a request to one of our own services; AWS's own limits are below 1 MiB."""
FORWARDED_BODY_LIMIT = 64 << 20
"""Bytes in a request that is passed on, such as an S3 upload (larger objects go in parts)."""
BODY_TIMEOUT = 30.0
"""Seconds that a client may take for the body of a request to one of our own services, or for one forwarded chunk."""


_SLOW = "the body took too long"


# Structs here and wherever else every request makes a value: a frozen dataclass takes ten times as long to make.
class Head(msgspec.Struct, frozen=True):
    """The head of a request; header names are lower-case, `target` is the path as sent (still percent-encoded)."""

    method: str
    target: str
    query: bytes
    headers: dict[bytes, bytes]
    raw_headers: Iterable[tuple[bytes, bytes]]

    def header(self, name: bytes) -> str:
        """The value of a header (the last one if repeated), or the empty string."""
        return self.headers.get(name, b"").decode("latin-1")


def head_of(scope: Scope) -> Head:
    raw = scope.get("raw_path") or scope["path"].encode()
    return Head(
        scope.get("method", "GET"),  # a WebSocket is always asked for with GET
        raw.decode("latin-1").partition("?")[0],
        scope["query_string"],
        dict(scope["headers"]),
        scope["headers"],
    )


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A whole request, as the handlers of `/_ecsnet/...` get it."""

    head: Head
    body: bytes


class HttpReply(msgspec.Struct, frozen=True, kw_only=True):
    """A reply; a body that is an iterator is sent in chunks as it comes (live views)."""

    status: int = 200
    headers: Headers = ()
    body: bytes | AsyncIterator[bytes] = b""


Route = Callable[[HttpRequest], Awaitable[HttpReply]]


class BodyError(Exception):
    """A body that cannot be taken; `status` is the HTTP status that says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class DisconnectedError(Exception):
    """The client went away before its request was complete."""


def content_length(head: Head) -> int | None:
    raw = head.headers.get(b"content-length")
    return int(raw) if raw is not None and raw.isdigit() else None


async def read_body(
    head: Head, receive: Receive, *, limit: int = OWN_BODY_LIMIT, seconds: float = BODY_TIMEOUT
) -> bytes:
    """The whole body. Raises BodyError when it is too large (413) or too slow (408), DisconnectedError when it ends.

    A body that is somewhat too large is read and thrown away first: most clients look at the answer only after they
    have sent everything, and would report a broken connection instead of the reason.
    """
    declared = content_length(head)
    sentence = f"The request body is larger than {limit} bytes, the most that ecsnet reads here."
    if declared is not None and declared > FORWARDED_BODY_LIMIT:
        raise BodyError(413, sentence)
    chunks: list[bytes] = []
    size = 0
    task = asyncio.current_task()
    assert task is not None
    # asyncio.timeout does the same at four times the price, which every request would pay.
    alarm = asyncio.get_running_loop().call_later(seconds, task.cancel, _SLOW)
    try:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise DisconnectedError
            chunk = message.get("body", b"")
            size += len(chunk)
            if size <= limit:
                chunks.append(chunk)
            elif size > FORWARDED_BODY_LIMIT:
                raise BodyError(413, sentence)
            if not message.get("more_body", False):
                break
    except asyncio.CancelledError as error:
        if error.args != (_SLOW,):
            raise
        task.uncancel()
        raise BodyError(408, f"The request body was not complete after {seconds:g} seconds.") from None
    finally:
        alarm.cancel()
    if size > limit:
        raise BodyError(413, sentence)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def send_reply(send: Send, reply: HttpReply, *, receive: Receive | None = None, head_only: bool = False) -> None:
    """Send a reply, with its length where that is known. An iterator is closed when the client goes away."""
    if isinstance(reply.body, bytes):
        headers = [*reply.headers, (b"content-length", b"%d" % len(reply.body))]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if head_only else reply.body})
        return
    await send({"type": "http.response.start", "status": reply.status, "headers": list(reply.headers)})
    gone = asyncio.ensure_future(_disconnected(receive) if receive is not None else asyncio.Event().wait())
    chunks = aiter(reply.body)
    try:
        while True:
            chunk = asyncio.ensure_future(anext(chunks, None))
            await asyncio.wait({chunk, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not chunk.done():
                chunk.cancel()
                await asyncio.wait({chunk})
                return
            if (body := chunk.result()) is None:
                break
            await send({"type": "http.response.body", "body": body, "more_body": True})
    finally:
        gone.cancel()
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()
    await send({"type": "http.response.body", "body": b""})


async def _disconnected(receive: Receive) -> bool:
    while (await receive())["type"] != "http.disconnect":
        pass
    return True


def plain(status: int, sentence: str) -> HttpReply:
    """A sentence for a person, where no protocol is known yet."""
    return HttpReply(
        status=status, headers=((b"content-type", b"text/plain; charset=utf-8"),), body=f"{sentence}\n".encode()
    )
