"""Opens a TCP connection from a place inside the world (the internet side, a task) and speaks HTTP over it."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass

from ecsnet.cli.errors import CliError, Exit
from ecsnet.home import Home

_PORTS = {"http": 80, "https": 443}
_OVER = 5.0
"""Seconds that the agent may take for its own part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a connection starts: a namespace and the resolver that its processes ask."""

    netns: str
    nameserver: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpReply:
    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


def dial(home: Home, place: Place, host: str, port: int, timeout: float) -> socket.socket:
    """A stream connected to `host`:`port` as seen from `place`.

    Raises CliError with exit code TIMED_OUT when nothing answers, else NO_CONNECTION.
    """
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stream.settimeout(2 * timeout + _OVER)  # the agent may wait so long for the name, and again for the connection
    try:
        stream.connect(str(home.path / "dial.sock"))
    except OSError as error:
        raise CliError(
            f"the agent does not answer ({error}).", hint="See: ecsnet status", code=Exit.NOT_RUNNING
        ) from error
    request = {
        "netns": place.netns,
        "host": host,
        "port": port,
        "nameserver": place.nameserver,
        "timeout": timeout,
    }
    stream.sendall(json.dumps(request).encode() + b"\n")
    answer = json.loads(_line(stream))
    if not answer.get("ok"):
        code = Exit.TIMED_OUT if answer.get("kind") == "timeout" else Exit.NO_CONNECTION
        raise CliError(f"{host}:{port}: {answer['error']}", hint=_hint(code), code=code)
    stream.settimeout(timeout)
    return stream


def _line(stream: socket.socket) -> bytes:
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = stream.recv(1)
        if not byte:
            raise CliError("the agent closed the connection without an answer.", hint="See: ecsnet status")
        line += byte
    return bytes(line)


def _hint(code: Exit) -> str:
    if code is Exit.TIMED_OUT:
        return "Silence means dropped: a security group, network ACL, route or missing public address. See: ecsnet map"
    return ""


def _secure(home: Home, stream: socket.socket, host: str) -> ssl.SSLSocket:
    """TLS over a stream, trusting only this ecsnet's own authority."""
    authority = home.authority
    try:
        return ssl.create_default_context(cafile=str(authority)).wrap_socket(stream, server_hostname=host)
    except (ssl.SSLError, OSError) as error:
        stream.close()
        reason = getattr(error, "verify_message", "") or str(error)
        raise CliError(f"{host}: no TLS connection: {reason}", code=Exit.NO_CONNECTION) from error


def request(
    home: Home,
    place: Place,
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    timeout: float = 5.0,
) -> HttpReply:
    """One HTTP request to `url` from `place`.

    Raises CliError for a URL of another scheme, for a certificate that does not fit, and as `dial` does.
    """
    parts = urllib.parse.urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in _PORTS or not parts.hostname:
        raise CliError(
            f"{url} is not an http:// or https:// address.", hint="Example: ecsnet curl http://name/", code=Exit.USAGE
        )
    port = parts.port or _PORTS[parts.scheme]
    stream = dial(home, place, parts.hostname, port, timeout)
    if parts.scheme == "https":
        stream = _secure(home, stream, parts.hostname)
    connection = http.client.HTTPConnection(parts.hostname, port)
    connection.sock = stream
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(method, target, body=body, headers=dict(headers or {}))
        response = connection.getresponse()
        data = response.read()
    except TimeoutError as error:
        raise CliError(f"{url}: no answer in {timeout:g} s.", code=Exit.TIMED_OUT) from error
    except (OSError, http.client.HTTPException) as error:
        raise CliError(f"{url}: {error or type(error).__name__}", code=Exit.NO_CONNECTION) from error
    finally:
        connection.close()
    return HttpReply(status=response.status, reason=response.reason, headers=tuple(response.getheaders()), body=data)
