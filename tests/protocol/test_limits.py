"""What is refused before any service is asked: foreign hosts and pages, oversized, malformed and slow requests."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
from collections.abc import Mapping
from typing import Any

import pytest
from gatewayharness import Gateway

from ecsnet.aws.guard import Guard
from ecsnet.aws.http import FORWARDED_BODY_LIMIT, OWN_BODY_LIMIT, BodyError, DisconnectedError, Head, Message, read_body

SIGNED = "AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=0"
FORM = {"content-type": "application/x-www-form-urlencoded"}


def ask(gateway: Gateway, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    connection.request(method, path, body, dict(headers or {}))
    reply = connection.getresponse()
    return reply.status, reply.read().decode(), reply


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1:4566", True),
        ("localhost:4566", True),
        ("[::1]:4566", True),
        ("LOCALHOST", True),
        ("data-127.0.0.1:4566", True),
        ("data-localhost", True),
        ("bucket.localhost:4566", True),
        ("bucket.127.0.0.1:4566", True),
        ("s3.localhost.localstack.cloud:4566", True),
        ("ec2.eu-west-1.amazonaws.com", True),
        ("my.bucket.s3.us-east-1.amazonaws.com", True),
        ("evil.example", False),
        ("evil.example:4566", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("evilamazonaws.com", False),
        ("data-evil.example", False),
        ("10.0.0.1", False),
        ("", False),
    ],
)
def test_hosts(host: str, allowed: bool) -> None:
    head = Head("GET", "/", b"", {b"host": host.encode()}, ())
    assert (Guard().refusal(head) is None) is allowed


def test_hosts_that_the_user_allows() -> None:
    guard = Guard.allowing(["build.internal", ".corp.example"])
    for host, allowed in (
        ("build.internal:4566", True),
        ("a.corp.example", True),
        ("corp.example", False),
        ("notcorp.example", False),
        ("other.internal", False),
    ):
        head = Head("GET", "/", b"", {b"host": host.encode()}, ())
        assert (guard.refusal(head) is None) is allowed, host


def test_a_rebound_name_reaches_nothing(gateway: Gateway) -> None:
    for method, path in (("POST", "/_ecsnet/reset"), ("POST", "/"), ("GET", "/bucket/key")):
        status, text, _ = ask(gateway, method, path, headers={"host": "evil.example"})
        assert (status, "DNS rebinding" in text) == (403, True)
    assert gateway.elsewhere.asked == []


def test_a_web_page_reaches_nothing_but_a_local_one_does(gateway: Gateway) -> None:
    for origin in ("https://evil.example", "null"):
        status, text, _ = ask(gateway, "POST", "/_ecsnet/reset", headers={"origin": origin})
        assert (status, "web pages" in text) == (403, True)
    status, _, _ = ask(gateway, "POST", "/_ecsnet/reset", headers={"origin": f"http://localhost:{gateway.port}"})
    assert status == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_request_that_is_too_large(gateway: Gateway, chunked: bool) -> None:
    body = b"Action=CreateSecurityGroup&Version=2016-11-15&Description=" + b"x" * OWN_BODY_LIMIT
    content = iter([body]) if chunked else body
    status, text, reply = ask(gateway, "POST", "/", content, FORM | {"authorization": SIGNED.format("ec2")})
    assert status == 413
    assert "<Code>RequestTooLarge</Code>" in text
    assert str(OWN_BODY_LIMIT) in text
    assert reply.getheader("connection") == "close"
    headers = {"x-amz-target": "AmazonEC2ContainerServiceV20141113.ListClusters"}
    status, text, _ = ask(gateway, "POST", "/", b" " * (OWN_BODY_LIMIT + 1), headers)
    assert (status, '"__type":"RequestTooLarge"' in text) == (413, True)


def test_an_absurd_length_is_refused_at_once(gateway: Gateway) -> None:
    for authorization in (SIGNED.format("ec2"), SIGNED.format("s3")):
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as sock:
            sock.sendall(
                f"POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}\r\n"
                f"Content-Length: {FORWARDED_BODY_LIMIT + 1}\r\n\r\n".encode()
            )
            assert sock.recv(4096).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "raw",
    [b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x00" * 100, b"G" * 200_000],
)
def test_what_is_not_http(gateway: Gateway, raw: bytes) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as sock:
        reply = b""
        # The server may refuse at the first bytes and close while the rest is still being sent.
        with contextlib.suppress(OSError):
            sock.sendall(raw)
            sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            reply = sock.recv(4096)
    assert reply == b"" or reply.startswith(b"HTTP/1.1 4")
    assert ask(gateway, "POST", "/_ecsnet/reset")[0] == 200, "the next client is served"


@pytest.mark.parametrize(
    ("service", "headers", "body", "code"),
    [
        ("ec2", FORM, b"Action=CreateVpc&Name=%ff", "MalformedQueryString"),
        ("ec2", FORM, b"", "MissingAction"),
        ("ec2", FORM, b"Action.1=CreateVpc", "MissingAction"),
        ("elbv2", FORM, b"Action=DescribeLoadBalancers&Names=x", "ValidationError"),
        ("ecs", {"x-amz-target": "AmazonEC2ContainerServiceV20141113.ListClusters"}, b"{", "SerializationException"),
        ("ecs", {"x-amz-target": "AmazonEC2ContainerServiceV20141113."}, b"{}", "UnknownOperationException"),
    ],
)
def test_malformed_requests(gateway: Gateway, service: str, headers: dict[str, str], body: bytes, code: str) -> None:
    signing = {"elbv2": "elasticloadbalancing"}.get(service, service)
    status, text, _ = ask(gateway, "POST", "/", body, headers | {"authorization": SIGNED.format(signing)})
    assert (status, code in text) == (400, True), text


class Slow:
    """A client that sends what it is told, then nothing more."""

    def __init__(self, *messages: Message) -> None:
        self._messages = list(messages)

    async def receive(self) -> Message:
        if self._messages:
            return self._messages.pop(0)
        return await asyncio.get_running_loop().create_future()


def test_a_body_that_never_ends() -> None:
    head = Head("POST", "/", b"", {}, ())
    slow = Slow({"type": "http.request", "body": b"half", "more_body": True})
    with pytest.raises(BodyError) as error:
        asyncio.run(read_body(head, slow.receive, seconds=0.01))
    assert (error.value.status, "not complete" in error.value.message) == (408, True)


def test_a_client_that_goes_away() -> None:
    head = Head("POST", "/", b"", {}, ())
    gone = Slow({"type": "http.request", "body": b"half", "more_body": True}, {"type": "http.disconnect"})
    with pytest.raises(DisconnectedError):
        asyncio.run(read_body(head, gone.receive))


def test_expect_continue_is_answered(gateway: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as sock:
        sock.sendall(
            f"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nAuthorization: {SIGNED.format('s3')}\r\n"
            "Content-Length: 4\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        assert sock.recv(4096).startswith(b"HTTP/1.1 100")
        sock.sendall(b"body")
        assert sock.recv(4096).startswith(b"HTTP/1.1 200")
    assert gateway.elsewhere.asked[-1][3] == b"body"


def test_pipelined_requests_are_answered_in_order(gateway: Gateway) -> None:
    one = "GET /_ecsnet/view/{} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as sock:
        sock.sendall((one.format("a") + one.format("b") + one.format("c")).encode())
        received = b""
        while received.count(b"/_ecsnet/view/") < 3:
            chunk = sock.recv(4096)
            assert chunk
            received += chunk
    assert received.index(b"view/a") < received.index(b"view/b") < received.index(b"view/c")
