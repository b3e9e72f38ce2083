"""One HTTP connection and its requests, as the server in `server.py` makes them for the gateway.

The connection is uvicorn's; WebSockets, pausing and what is no HTTP stay with it. What every request passes through is
ours: it has no event, timer and callback of its own, and its reply leaves with one system call. uvicorn's way costs
0.03 ms more, an eighth of a small call.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Sequence
from http import HTTPStatus

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, service_unavailable
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ecsnet.aws.http import Message, Scope

_STATUS_LINES = {status.value: b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode()) for status in HTTPStatus}
_FAILED = _STATUS_LINES[500] + b"content-length: 0\r\nconnection: close\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_WITHOUT_BODY = frozenset({204, 304})
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class Exchange:
    """A request and its reply, with the two callables of ASGI."""

    def __init__(self, connection: Connection, scope: Scope, *, keep_alive: bool, expects_continue: bool) -> None:
        self.scope = scope
        self.keep_alive = keep_alive
        self.disconnected = False
        self.replying = False
        """Whether some of the reply is sent."""
        self.complete = False
        """Whether all of it is."""
        self._connection = connection
        self._expects_continue = expects_continue
        self._waiter: asyncio.Future[None] | None = None
        # The request's body: what nobody has read yet, whether more will come, whether its end was told.
        self._unread = b""
        self._more = True
        self._told = False
        # The reply: its head until that is sent, how its body goes, the bytes that are still due.
        self._head = b""
        self._bodiless = False
        self._chunked = False
        self._due = 0

    def feed(self, body: bytes) -> int:
        """Take in a part of the request's body; returns the bytes that nobody has read yet."""
        self._unread += body
        self.wake()
        return len(self._unread)

    def end(self) -> None:
        """The request's body is complete."""
        self._more = False
        self.wake()

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def receive(self) -> Message:
        """The next part of the body; after its end, waits until the client is gone or the reply is sent."""
        if self._expects_continue:
            self._expects_continue = False
            self._connection.transport.write(_CONTINUE)
        while not (self.disconnected or self.complete or self._unread or not (self._more or self._told)):
            self._connection.flow.resume_reading()
            self._waiter = self._connection.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self.disconnected or self.complete:
            return {"type": "http.disconnect"}
        body, self._unread = self._unread, b""
        self._told = not self._more
        return {"type": "http.request", "body": body, "more_body": self._more}

    async def send(self, message: Message) -> None:
        """Send the head, which waits for the first part of the body if its length is known, or a part of the body.

        Raises ValueError for a header that would break the head, and for a body of another length than the head says.
        """
        if self._connection.flow.write_paused and not self.disconnected:
            await self._connection.flow.drain()
        if self.disconnected:
            return
        if message["type"] == "http.response.start":
            self._expects_continue = False
            self._head = self._head_of(message["status"], message["headers"])
            if self._chunked:
                self._write(b"")
            return
        body: bytes = message.get("body", b"")
        more: bool = message.get("more_body", False)
        if self._bodiless:
            body = b""
        elif self._chunked:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"" if more else b"0\r\n\r\n")
        else:
            self._due -= len(body)
            if self._due < 0 or (self._due and not more):
                raise ValueError("the body of a reply has another length than its head says")
        self._write(body)
        if not more:
            self.complete = True
            self.wake()
            self._connection.replied(self)

    def _write(self, body: bytes) -> None:
        self._connection.transport.write(self._head + body)
        self._head = b""
        self.replying = True

    def _head_of(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
        self._bodiless = self.scope["method"] == "HEAD" or status in _WITHOUT_BODY
        self._chunked = not self._bodiless
        closes = False
        lines = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status]
        for name, value in (*self._connection.server_state.default_headers, *headers):
            line = b"%b: %b" % (name, value)
            if _CONTROL.search(line):
                raise ValueError(f"a header of a reply holds a control character: {line[:120]!r}")
            lines += (line, b"\r\n")
            if name == b"content-length":
                self._due = int(value)
                self._chunked = False
            elif name == b"connection" and value == b"close":
                closes = True
        if self._chunked:
            lines.append(b"transfer-encoding: chunked\r\n")
        if closes:
            self.keep_alive = False
        elif not self.keep_alive:
            lines.append(b"connection: close\r\n")
        lines.append(b"\r\n")
        return b"".join(lines)


class Connection(HttpToolsProtocol):
    """A client's connection. A request that comes before the reply to the one before it waits for that."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._latest: Exchange | None = None
        """The exchange whose request is being read; None while that becomes a WebSocket."""
        self._running: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        self._idle_since = self.loop.time()
        self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._close_if_idle)

    def _close_if_idle(self) -> None:
        # One timer that looks when it is due; setting one anew for each request would be paid by every call.
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if self._running is not None:
            left = self.timeout_keep_alive
        if left <= 0:
            self.transport.close()
        else:
            self._idle_timer = self.loop.call_later(left, self._close_if_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        self._idle_timer.cancel()
        if self._running is not None:
            self._running.disconnected = True
            self._running.wake()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close after the reply that is under way; uvicorn calls it when the server ends."""
        if self._running is None:
            self.transport.close()
        else:
            self._running.keep_alive = False

    def handle_websocket_upgrade(self) -> None:
        self._idle_timer.cancel()
        super().handle_websocket_upgrade()

    # ── what the parser calls ────────────────────────────────────────────────────────────────────────────────────

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        url = httptools.parse_url(self.url)
        path = url.path or b"/"
        scope: Scope = {
            "type": "http",
            "method": self.parser.get_method().decode("ascii"),
            "path": path.decode("latin-1"),
            "raw_path": path,
            "query_string": url.query or b"",
            "headers": self.headers,
        }
        self.scope = scope  # type: ignore[assignment]
        if self.parser.should_upgrade() and self._should_upgrade():
            self._latest = None
            return
        exchange = self._latest = Exchange(
            self,
            scope,
            keep_alive=self.parser.should_keep_alive() and self.parser.get_http_version() != "1.0",
            expects_continue=self.expect_100_continue,
        )
        if self._running is None:
            self._start(exchange)
        else:
            self.flow.pause_reading()
            self._waiting.append(exchange)

    def on_body(self, body: bytes) -> None:
        exchange = self._latest
        if exchange is not None and not exchange.complete and exchange.feed(body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()

    def on_message_complete(self) -> None:
        if self._latest is not None:
            self._latest.end()

    # ── one request after the other ──────────────────────────────────────────────────────────────────────────────

    def _start(self, exchange: Exchange) -> None:
        self._running = exchange
        self.tasks.add(self.loop.create_task(self._run(exchange)))

    async def _run(self, exchange: Exchange) -> None:
        limit = self.limit_concurrency
        full = limit is not None and (len(self.connections) >= limit or len(self.tasks) > limit)
        app = service_unavailable if full else self.app
        try:
            await app(exchange.scope, exchange.receive, exchange.send)  # type: ignore[arg-type]
        finally:
            # A callback of the task would cost the event loop another turn.
            self.tasks.discard(asyncio.current_task())
            if not exchange.complete:
                self._fail(exchange)

    def _fail(self, exchange: Exchange) -> None:
        """End a connection whose request was not answered to its end; asyncio logs what was raised, if anything."""
        if not exchange.replying and not self.transport.is_closing():
            self.transport.write(_FAILED)
        self.transport.close()

    def replied(self, exchange: Exchange) -> None:
        """The reply of the running exchange is sent."""
        self._running = None
        self._idle_since = self.loop.time()
        if not exchange.keep_alive:
            self.transport.close()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self._waiting:
            self._start(self._waiting.popleft())
