"""The client's side of a measurement: `python -m ecsnet.cli.modes.load WHAT ADDRESS PORT [SECONDS]` prints JSON.

It runs in the network namespace of a task. Nothing but the standard library, so that it starts fast.
"""

from __future__ import annotations

import http.client
import json
import selectors
import socket
import struct
import sys
import time
from typing import Any

PARALLEL = 16
"""Connections that `connect` has open at once."""

PATIENCE = 1.0
"""Seconds after which a connection attempt counts as unanswered."""

_WARM = 100
"""Round trips before the first that counts."""
_CHUNK = 1 << 17


def ask(address: str, port: int) -> dict[str, Any]:
    """Connect and let the other end say what it sees; `outcome` is answered, refused, no answer or no route."""
    try:
        with socket.create_connection((address, port), timeout=PATIENCE) as connection:
            local = connection.getsockname()
            said = b""
            while data := connection.recv(4096):
                said += data
            return {"outcome": "answered", "local": local[:2], "said": json.loads(said)}
    except ConnectionRefusedError:
        return {"outcome": "refused"}
    except TimeoutError:
        return {"outcome": "no answer"}
    except OSError as error:
        return {"outcome": f"failed: {error.strerror}"}


def metadata(address: str, port: int) -> dict[str, Any]:
    """Which instance the metadata service says this is, by a token (IMDSv2); `outcome` says how far that came."""
    connection = http.client.HTTPConnection(address, port, timeout=PATIENCE)
    step = "the token"
    try:
        connection.request("PUT", "/latest/api/token", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"})
        given = connection.getresponse()
        token = given.read().decode()
        if given.status != 200:
            return {"outcome": f"{step}: HTTP {given.status}"}
        step = "the instance id"
        connection.request("GET", "/latest/meta-data/instance-id", headers={"X-aws-ec2-metadata-token": token})
        answer = connection.getresponse()
        said = answer.read().decode()
    except TimeoutError:
        return {"outcome": f"no answer to the request for {step}"}
    except OSError as error:
        return {"outcome": f"{step}: {error.strerror}"}
    finally:
        connection.close()
    return {"outcome": "answered", "instance": said} if answer.status == 200 else {"outcome": f"HTTP {answer.status}"}


def hops(address: str, port: int) -> dict[str, Any]:
    """How many routers a datagram passes on its way (each takes one from its hop count)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.connect((address, port))
        client.send(b"?")
        left = json.loads(client.recv(64))["left"]
        return {"hops": client.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) - left}


def stream(address: str, port: int, seconds: float) -> dict[str, float]:
    """One TCP stream; what the receiver counted, from the first byte until it said so."""
    chunk = memoryview(bytes(_CHUNK))
    with socket.create_connection((address, port), timeout=PATIENCE) as connection:
        connection.settimeout(PATIENCE + seconds)
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            connection.sendall(chunk)
        connection.shutdown(socket.SHUT_WR)
        said = connection.recv(8, socket.MSG_WAITALL)
        passed = time.perf_counter() - began
    return {"gbit_per_second": struct.unpack("!Q", said)[0] * 8 / passed / 1e9}


def echo(address: str, port: int, seconds: float) -> dict[str, float]:
    """Round trips of one byte over one connection, in microseconds."""
    times: list[float] = []
    with socket.create_connection((address, port), timeout=PATIENCE) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(_WARM):
            connection.send(b"x")
            connection.recv(1)
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            connection.send(b"x")
            connection.recv(1)
            times.append(time.perf_counter() - began)
    times.sort()
    return {"p50_us": times[len(times) // 2] * 1e6, "p99_us": times[int(len(times) * 0.99)] * 1e6}


def connect(address: str, port: int, seconds: float) -> dict[str, float]:
    """New connections a second: connect, one byte each way, close; PARALLEL at once."""
    # A reset instead of FIN: with 28,000 client ports and 60 s of TIME_WAIT the search for a free port is measured.
    reset = struct.pack("ii", 1, 0)
    ready = selectors.DefaultSelector()
    done = 0

    def begin() -> None:
        connection = socket.socket()
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        connection.connect_ex((address, port))
        ready.register(connection, selectors.EVENT_WRITE)

    for _ in range(PARALLEL):
        begin()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for key, events in ready.select(PATIENCE):
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            if events & selectors.EVENT_WRITE:
                connection.send(b"x")
                ready.modify(connection, selectors.EVENT_READ)
            else:
                connection.recv(1)
                done += 1
                ready.unregister(connection)
                connection.close()
                begin()
    return {"per_second": done / seconds}


def main(arguments: list[str]) -> None:
    what, address, port = arguments[0], arguments[1], int(arguments[2])
    found: dict[str, Any]
    match what:
        case "ask":
            found = ask(address, port)
        case "metadata":
            found = metadata(address, port)
        case "hops":
            found = hops(address, port)
        case "stream":
            found = dict(stream(address, port, float(arguments[3])))
        case "echo":
            found = dict(echo(address, port, float(arguments[3])))
        case "connect":
            found = dict(connect(address, port, float(arguments[3])))
        case _:
            sys.exit(f"{what!r} is no measurement")
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
