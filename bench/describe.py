"""Describe calls with filters over a VPC of 10,000 interfaces: raw HTTP on one connection, without a data plane."""

from __future__ import annotations

import http.client
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from api import Raw, Server, _ec2, start
from ecsnet.model.tables import SCHEMA
from ecsnet.store.store import Store
from harness import resident, summary
from wide import RULES_EACH, Wide, rows

SECONDS = 4.0


def _filters(**values: str) -> dict[str, str]:
    found = {}
    for number, (name, value) in enumerate(values.items(), 1):
        found[f"Filter.{number}.Name"] = name.replace("_", "-")
        found[f"Filter.{number}.Value.1"] = value
    return found


def _calls(wide: Wide) -> dict[str, Raw]:
    group, subnet = rows.identifier("sg", wide.first + 7), rows.identifier("subnet", wide.number * 100 + 3)
    cases = {
        "DescribeNetworkInterfaces by vpc-id and status": _filters(vpc_id=wide.vpc, status="available"),
        "DescribeNetworkInterfaces by group-id": _filters(group_id=group),
        "DescribeNetworkInterfaces by subnet-id": _filters(subnet_id=subnet),
        "DescribeNetworkInterfaces by private address": _filters(private_ip_address=wide.address(77)),
        "DescribeSecurityGroupRules of one group": _filters(group_id=group),
        "DescribeSecurityGroups by vpc-id": _filters(vpc_id=wide.vpc),
    }

    return {name: _ec2(name.partition(" ")[0], **filters) for name, filters in cases.items()}


def describes(interfaces: int) -> dict[str, Any]:
    """Milliseconds per call and bytes of the answer. Every interface is unattached (`available`)."""
    wide = Wide(number=1, first=0, interfaces=interfaces)
    with tempfile.TemporaryDirectory() as directory:
        store = Store(Path(directory) / "store.journal", SCHEMA)
        wide.put_network(store)
        wide.put_interfaces(store, 1, interfaces, owned=False)
        store.close()
        server = start("ecsnet", Path(directory))
        try:
            subprocess.run(["chrt", "-a", "-f", "-p", "1", str(server.process.pid)], check=True)
            return _measure(server, wide)
        finally:
            server.process.kill()
            server.process.wait()


def _measure(server: Server, wide: Wide) -> dict[str, Any]:
    # wrk would leave no pause between two calls.
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.connect()
    assert connection.sock is not None
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    found: dict[str, Any] = {
        "interfaces": wide.interfaces,
        "groups": wide.groups,
        "rules": wide.groups * (RULES_EACH + 1),
        "milliseconds": {},
    }
    for name, call in _calls(wide).items():
        times, size = [], 0
        ends = time.perf_counter() + SECONDS
        while time.perf_counter() < ends:
            began = time.perf_counter()
            connection.request("POST", "/", call.body, call.headers)
            reply = connection.getresponse()
            text = reply.read()
            if reply.status != 200:
                raise SystemExit(f"HTTP {reply.status}: {text[:500]!r}")
            size = len(text)
            times.append((time.perf_counter() - began) * 1000)
            time.sleep((time.perf_counter() - began) / 2)  # see `vpc.PAUSE`
        found["milliseconds"][name] = {**summary(times), "bytes": size}
    found["resident MB"] = round(resident(server.process.pid), 1)
    return found
