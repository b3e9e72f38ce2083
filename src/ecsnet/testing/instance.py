"""A whole ecsnet of one's own for a test: own state directory, own port, own world; nothing is left afterwards."""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ecsnet.agent.world import World
from ecsnet.cli.dial import HttpReply, Place, request
from ecsnet.cli.traffic import INTERNET
from ecsnet.home import Home

ACCOUNT = "123456789012"
HEARS_CTRL_C = ("env", "--default-signal=INT")
"""Before a command that a test interrupts: a suite that a shell runs in the background inherits SIGINT as ignored."""
_CLONE_NEWNET = 0x40000000


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True, kw_only=True)
class Instance:
    """One running ecsnet, driven as a user would: by its command line and by AWS clients."""

    home: Home
    port: int
    region: str = "us-east-1"
    speed: float = 1.0
    clients: dict[tuple[str, str], Any] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a command that talks to this instance."""
        return {
            **os.environ,
            "ECSNET_HOME": str(self.home.path),
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
            "AWS_EC2_METADATA_DISABLED": "true",
            "COLUMNS": "200",
        }

    def run(self, *arguments: str, timeout: float = 300, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `ecsnet <arguments>`; with `check`, fail with everything it printed when it does not succeed."""
        result = subprocess.run(
            [sys.executable, "-m", "ecsnet.cli.main", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check and result.returncode != 0:
            log = self.home.control_log.read_text(errors="replace")[-4000:] if self.home.control_log.exists() else ""
            raise AssertionError(
                f"ecsnet {' '.join(arguments)} ended with {result.returncode}\n{result.stdout}{result.stderr}\n{log}"
            )
        return result

    def up(self) -> None:
        self.run("up", "--port", str(self.port), "--speed", str(self.speed))

    def down(self) -> None:
        self.run("down")

    def reset(self) -> None:
        """Take away everything that was made by the APIs; what runs goes on running, empty."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("POST", "/_ecsnet/reset")
            reply = connection.getresponse()
            assert reply.status == 200, reply.read()
        finally:
            connection.close()

    def client(self, service: str, *, account: str = ACCOUNT, region: str | None = None) -> Any:
        """A boto3 client of this instance."""
        import boto3
        from botocore.config import Config

        where = region or self.region
        key = (f"{service}/{where}", account)
        if key not in self.clients:
            self.clients[key] = boto3.client(
                service,
                region_name=where,
                endpoint_url=f"http://127.0.0.1:{self.port}",
                aws_access_key_id=account,
                aws_secret_access_key="test",
                config=Config(retries={"max_attempts": 0}, inject_host_prefix=False, s3={"addressing_style": "path"}),
            )
        return self.clients[key]

    def deploy(self, template: Path, stack: str, parameters: Mapping[str, str] | None = None) -> dict[str, str]:
        """`ecsnet deploy`; returns the stack's outputs."""
        arguments = ["deploy", str(template), "--stack-name", stack, "--quiet"]
        for key, value in (parameters or {}).items():
            arguments += ["--param", f"{key}={value}"]
        self.run(*arguments)
        description = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in description.get("Outputs", [])}

    def status(self) -> dict[str, Any]:
        """What `ecsnet status --json` shows, without starting a process."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", "/_ecsnet/status")
            decoded: dict[str, Any] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return decoded

    def task(self, name: str) -> dict[str, Any]:
        """What the command line knows of a task: its containers with their namespaces and metadata."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", f"/_ecsnet/task?name={quote(name)}")
            decoded: dict[str, Any] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return decoded

    def metadata(self, task: str) -> dict[str, str]:
        """ECS_CONTAINER_METADATA_URI_V4 of a task's containers by name."""
        return {one["name"]: one["metadata"] for one in self.task(task)["containers"]}

    @property
    def _pins(self) -> Path:
        holder = World(self.home.path).holder()
        return Path(f"/proc/{holder}/root/run/netns")

    def namespaces(self) -> set[str]:
        """The names of the network namespaces that the world holds."""
        return {entry.name for entry in self._pins.iterdir()}

    def kind_of_pin(self, name: str) -> str:
        """What a name of `namespaces` is: a namespace, or the file for one in which none is pinned."""
        try:
            return "namespace" if (self._pins / name).stat().st_dev == os.stat("/proc/self/ns/net").st_dev else "file"
        except FileNotFoundError:
            return "gone meanwhile"

    @contextmanager
    def inside(self, namespace: str) -> Iterator[None]:
        """Run the calling thread inside a namespace of the world (as root); sockets made there stay there."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/thread-self/ns/net") as home, open(self._pins / namespace) as there:
            if libc.setns(there.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"setns into {namespace}")
            try:
                yield
            finally:
                libc.setns(home.fileno(), _CLONE_NEWNET)

    def curl(
        self,
        url: str,
        *,
        place: Place = INTERNET,
        headers: Mapping[str, str] | None = None,
        timeout: float = 20.0,
    ) -> HttpReply:
        """One HTTP request from a place inside the world. Raises CliError when nothing answers or it is refused.

        Who expects silence gives a short `timeout`; an answer has time, also on a busy machine.
        """
        return request(self.home, place, url, headers=headers, timeout=timeout)
