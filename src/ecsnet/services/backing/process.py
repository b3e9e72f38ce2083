"""The child process: started when first needed, started again when it died, ended with control."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import select
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from ecsnet.services.call import AwsError

TOKEN_HEADER = "x-ecsnet-backing"
"""The request header that carries the child's token."""
START_DEADLINE = 30.0
"""Seconds until the child must listen; it takes 0.5 s on an idle machine."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the child listens on loopback, and the word that it wants to hear in every request."""

    port: int
    token: str


class Child:
    """The moto server.

    It ends when its standard input closes, which happens however control ends. A parent-death signal
    (PR_SET_PDEATHSIG) was rejected: it fires when the *thread* that started the child ends, and a worker thread does.
    """

    def __init__(self, log_file: Path) -> None:
        self._log_file = log_file
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._address: Address | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def ready(self) -> Address:
        """The address of the running child, started if need be. Raises AwsError when it does not start."""
        if self._address is not None and self.running:
            return self._address
        return await asyncio.to_thread(self._start)

    def _start(self) -> Address:
        with self._lock:
            if self._address is not None and self.running:
                return self._address
            if self._process is not None:
                log.warning("the backing server ended with status %s; what it held is lost", self._process.returncode)
            token = secrets.token_hex(16)
            environment = {
                **os.environ,
                "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
                "MOTO_ALLOW_NONEXISTENT_REGION": "true",
                # Without them no role can be given an AWS managed policy; 0.3 s at the first IAM call.
                "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
                "ECSNET_BACKING_TOKEN": token,
            }
            with self._log_file.open("ab") as log_file:
                process = subprocess.Popen(
                    [sys.executable, "-P", str(Path(__file__).with_name("child.py"))],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log_file,
                    env=environment,
                )
            self._process = process
            self._address = Address(port=self._listening_port(process), token=token)
            return self._address

    def _listening_port(self, process: subprocess.Popen[bytes]) -> int:
        """The port that the child prints once it listens."""
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], START_DEADLINE)
        line = process.stdout.readline() if readable else b""
        if not line.strip().isdigit():
            process.kill()
            process.wait()
            raise AwsError(
                "ServiceUnavailable",
                f"The backing server (moto) did not start within {START_DEADLINE:g} s; see {self._log_file}.",
                status=503,
            )
        return int(line)

    def stop(self) -> None:
        """End the child, if there is one."""
        with self._lock:
            process, self._process, self._address = self._process, None, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
