"""HTTP on one connection: what is told apart, in which order, how long, and what a fault of the application does."""

from __future__ import annotations

import asyncio
import http.client
import logging
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest
import uvloop
from gatewayharness import serve

from ecsnet.aws.http import AsgiApp, Message, Receive, Scope, Send, send_reply
from ecsnet.aws.http import HttpReply as Answer
from ecsnet.aws.server import make_server

App = Callable[[Scope, Receive, Send], Awaitable[None]]


@contextmanager
def served(app: App) -> Iterator[int]:
    port, stop = serve(app)
    try:
        yield port
    finally:
        stop()


def dialled(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def everything(sock: socket.socket) -> bytes:
    """What comes until the server closes."""
    found = b""
    while part := sock.recv(65536):
        found += part
    return found


def until(sock: socket.socket, end: bytes) -> bytes:
    found = b""
    while not found.endswith(end):
        part = sock.recv(65536)
        assert part, found
        found += part
    return found


async def body_of(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        assert message["type"] == "http.request"
        body += message["body"]
        if not message["more_body"]:
            return body


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the method, the path and the body."""
    body = await body_of(receive)
    text = b"%b %b %b" % (scope["method"].encode(), scope["raw_path"], body)
    await send_reply(send, Answer(body=text))


def test_a_reply_comes_in_one_piece_and_the_connection_goes_on() -> None:
    with served(echo) as port, dialled(port) as sock:
        for number in range(3):
            sock.sendall(b"POST /%d?q HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab" % number)
            reply = sock.recv(65536)
            assert reply.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"\r\ncontent-length: 10\r\n" in reply
            assert reply.endswith(b"\r\n\r\nPOST /%d ab" % number)


def test_requests_ahead_of_their_turn_are_answered_in_order() -> None:
    under_way = threading.Event()
    go_on = asyncio.Event()
    asked: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(scope["raw_path"])
        if scope["raw_path"] == b"/0":
            under_way.set()
            await go_on.wait()
        elif scope["raw_path"] == b"/release":
            go_on.set()
        await echo(scope, receive, send)

    with served(app) as port, dialled(port) as sock:
        requests = [b"POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n%d" % (n, n) for n in range(4)]
        sock.sendall(b"".join(requests))
        assert under_way.wait(60)
        with dialled(port) as other:
            other.sendall(b"GET /release HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            everything(other)
        found = until(sock, b"POST /3 3")
    places = [found.index(b"POST /%d %d" % (n, n)) for n in range(4)]
    assert places == sorted(places)
    assert asked == [b"/0", b"/release", b"/1", b"/2", b"/3"]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_in_many_parts_is_whole(chunked: bool) -> None:
    body = bytes(range(256)) * 8192
    with served(echo) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for _ in range(2):
            parts = (body[at : at + 7000] for at in range(0, len(body), 7000))
            connection.request("PUT", "/x", parts if chunked else body, encode_chunked=chunked,
                               headers={"transfer-encoding": "chunked"} if chunked else {})  # fmt: skip
            assert connection.getresponse().read() == b"PUT /x " + body


def test_a_body_that_nobody_reads_is_not_taken_in() -> None:
    go_on = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.to_thread(go_on.wait, 60)
        await echo(scope, receive, send)

    body = b"x" * (64 << 20)
    with served(app) as port, dialled(port) as sock:
        sock.settimeout(1)
        sock.sendall(b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body))
        with pytest.raises(TimeoutError):
            sock.sendall(body)
        go_on.set()


def test_a_client_that_waits_to_be_asked_for_its_body() -> None:
    with served(echo) as port, dialled(port) as sock:
        sock.sendall(b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert until(sock, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"body")
        assert until(sock, b"PUT /x body").startswith(b"HTTP/1.1 200")


def test_a_client_that_waits_is_not_asked_when_the_answer_is_known() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send_reply(send, Answer(status=413, headers=((b"connection", b"close"),), body=b"no"))

    with served(app) as port, dialled(port) as sock:
        sock.sendall(b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        found = everything(sock)
    assert found.startswith(b"HTTP/1.1 413 ")
    assert found.count(b"connection: close") == 1


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_replies_without_a_body(method: str, status: int) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"5")] if method == "HEAD" else []
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"12345" if method == "HEAD" else b""})

    with served(app) as port, dialled(port) as sock:
        for _ in range(2):
            sock.sendall(f"{method} /x HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            reply = until(sock, b"\r\n\r\n")
            assert reply.startswith(b"HTTP/1.1 %d " % status)
            assert (b"content-length: 5" in reply) is (method == "HEAD")
            assert b"transfer-encoding" not in reply


def test_a_live_view_is_seen_as_it_comes_and_ends_with_its_client() -> None:
    gone = threading.Event()
    more = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await body_of(receive)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await more.wait()
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        assert (await receive())["type"] == "http.disconnect"
        gone.set()
        await send({"type": "http.response.body", "body": b"nobody reads this"})

    async def release(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["raw_path"] != b"/release":
            return await app(scope, receive, send)
        more.set()
        await echo(scope, receive, send)

    with served(release) as port:
        with dialled(port) as sock:
            sock.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"transfer-encoding: chunked" in until(sock, b"\r\n\r\n")
            with dialled(port) as other:
                other.sendall(b"GET /release HTTP/1.1\r\nHost: x\r\n\r\n")
                until(other, b"GET /release ")
            assert until(sock, b"first\r\n") == b"5\r\nfirst\r\n"
        assert gone.wait(60)


def test_the_end_of_a_live_view_leaves_the_connection_usable() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in (b"one", b"", b"two"):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    with served(app) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for _ in range(2):
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"onetwo"


@pytest.mark.parametrize(
    ("request_", "closes"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", True),
        (b"GET / HTTP/1.0\r\nHost: x\r\n\r\n", True),
        (b"GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n", True),
    ],
)
def test_who_ends_the_connection(request_: bytes, closes: bool) -> None:
    with served(echo) as port, dialled(port) as sock:
        sock.sendall(request_)
        reply = until(sock, b"GET / ")
        assert (b"connection: close" in reply) is closes
        if closes:
            assert everything(sock) == b""
        else:
            sock.sendall(request_)
            until(sock, b"GET / ")


def faulty(*messages: Message) -> AsgiApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)
        raise LookupError("what went wrong")

    return app


START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]}


def test_a_fault_before_anything_was_sent(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR), served(faulty()) as port, dialled(port) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        reply = everything(sock)
    assert reply.startswith(b"HTTP/1.1 500 ")
    assert "what went wrong" in caplog.text


@pytest.mark.parametrize(
    ("messages", "fault"),
    [
        ((START | {"headers": [(b"x", b"a\r\nset-cookie: b")]},), "Invalid HTTP header value"),
        ((START, {"type": "http.response.body", "body": b"1234567"}), "longer than Content-Length"),
        ((START, {"type": "http.response.body", "body": b"12345"}), "shorter than Content-Length"),
    ],
    ids=["a header that holds another", "too long", "too short"],
)
def test_a_reply_that_is_not_as_its_head_says_is_never_complete(
    messages: tuple[Message, ...], fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), served(faulty(*messages)) as port, dialled(port) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        reply = everything(sock)
    assert b"set-cookie" not in reply
    assert len(reply.partition(b"\r\n\r\n")[2]) < 6
    assert fault in caplog.text


def test_a_fault_within_a_reply_cuts_it_off() -> None:
    part: Message = {"type": "http.response.body", "body": b"123", "more_body": True}
    with served(faulty(START, part)) as port, dialled(port) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        reply = everything(sock)
    assert reply.startswith(b"HTTP/1.1 200 ")
    assert reply.endswith(b"\r\n\r\n123")


def tuned(monkeypatch: pytest.MonkeyPatch, **options: float) -> None:
    """Let the server have other settings."""

    def made(app: AsgiApp, *, port: int) -> object:
        server = make_server(app, port=port)
        for name, value in options.items():
            setattr(server.config, name, value)
        return server

    monkeypatch.setattr("gatewayharness.make_server", made)


def test_an_idle_connection_ends_and_a_busy_one_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    tuned(monkeypatch, timeout_keep_alive=1.0)  # longer than this test may stand still between two lines
    idle_ended = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["raw_path"] == b"/busy":
            await asyncio.to_thread(idle_ended.wait, 60)
        await echo(scope, receive, send)

    with served(app) as port, dialled(port) as busy:
        busy.sendall(b"GET /busy HTTP/1.1\r\nHost: x\r\n\r\n")
        with dialled(port) as idle:
            idle.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert everything(idle).endswith(b"GET / ")
        idle_ended.set()
        until(busy, b"GET /busy ")


def test_more_than_the_server_takes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tuned(monkeypatch, limit_concurrency=2)
    with served(echo) as port, dialled(port) as first:
        first.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert first.recv(65536).startswith(b"HTTP/1.1 200 ")
        with dialled(port) as second:
            second.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert everything(second).startswith(b"HTTP/1.1 503 ")


def test_the_server_ends_after_the_reply_that_is_under_way() -> None:
    under_way, go_on = threading.Event(), threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        under_way.set()
        await asyncio.to_thread(go_on.wait, 60)
        await echo(scope, receive, send)

    server = make_server(app, port=0)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    thread = threading.Thread(target=lambda: uvloop.run(server.serve(sockets=[listener])), daemon=True)
    thread.start()
    with dialled(port) as busy, dialled(port) as idle:
        busy.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert under_way.wait(60)
        server.should_exit = True
        assert everything(idle) == b""
        go_on.set()
        reply = everything(busy)
    thread.join(60)
    assert not thread.is_alive()
    assert b"connection: close" in reply
    assert reply.endswith(b"GET / ")
