"""WebSockets on the port of the API: for programs, not for web pages under another name."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from gatewayharness import Gateway
from websockets.exceptions import ConnectionClosedOK, InvalidStatus
from websockets.sync.client import connect


def refusal(url: str, **options: Any) -> tuple[int, str]:
    """The status and text with which a WebSocket is refused."""
    with pytest.raises(InvalidStatus) as caught, connect(url, **options):
        pass
    return caught.value.response.status_code, caught.value.response.body.decode()


def test_bytes_and_text_go_both_ways_until_one_side_ends(gateway: Gateway) -> None:
    with connect(f"ws://127.0.0.1:{gateway.port}/v1/echo/x?role=y") as client:
        assert client.recv() == b"/v1/echo/x"
        client.send(b"\0\xff")
        assert client.recv() == b"\0\xff"
        client.send("text")
        assert client.recv() == b"text"
        client.send("enough")
        with pytest.raises(ConnectionClosedOK):
            client.recv()
    with connect(f"ws://localhost:{gateway.port}/v1/echo/", origin=f"http://localhost:{gateway.port}") as client:  # type: ignore[arg-type]
        assert client.recv() == b"/v1/echo/"


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_web_pages_are_refused(gateway: Gateway, origin: str) -> None:
    status, text = refusal(f"ws://127.0.0.1:{gateway.port}/v1/echo/", origin=origin)
    assert (status, "web pages" in text) == (403, True)


def test_another_name_for_this_machine_is_refused(gateway: Gateway) -> None:
    url = f"ws://evil.example:{gateway.port}/v1/echo/"
    status, text = refusal(url, sock=socket.create_connection(("127.0.0.1", gateway.port)))
    assert (status, "DNS rebinding" in text) == (403, True)


@pytest.mark.parametrize("path", ["", "v1/echo", "_ecsnet/status", "v1/data-channel/x"])
def test_elsewhere_is_no_socket(gateway: Gateway, path: str) -> None:
    assert refusal(f"ws://127.0.0.1:{gateway.port}/{path}")[0] == 404
