"""The few calls of podman's HTTP API (libpod 4.0.0) that the runtime needs, over its UNIX socket."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from ecsnet import unixsocket

_BASE = "/v4.0.0/libpod"


class PodmanError(Exception):
    """Podman refused or did not answer; `status` is the HTTP status, 0 when there was none."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One container of `list`."""

    id: str
    labels: Mapping[str, str]
    state: str
    exit_code: int
    pid: int


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("podman", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        made = unixsocket.connect(self._path)
        made.settimeout(self.timeout if isinstance(self.timeout, float) else None)
        self.sock: socket.socket = made


class PodmanApi:
    """Each call is one connection, so that calls may overlap. All raise PodmanError."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def alive(self) -> bool:
        try:
            self._call("GET", "/_ping", timeout=5.0)
        except PodmanError:
            return False
        return True

    def create(self, specification: Mapping[str, Any]) -> str:
        """The id of the new container."""
        made = json.loads(self._call("POST", "/containers/create", body=specification))
        return str(made["Id"])

    def start(self, container: str) -> None:
        self._call("POST", f"/containers/{quote(container)}/start")

    def stop(self, container: str, timeout: int) -> None:
        """SIGTERM, and SIGKILL `timeout` seconds later; stopping what has stopped is no error."""
        self._call("POST", f"/containers/{quote(container)}/stop?timeout={timeout}", timeout=timeout + 30.0)

    def run(self, container: str, arguments: Sequence[str], timeout: float) -> int:
        """Run a command inside a running container and wait for it; its exit code."""
        body = {"Cmd": list(arguments), "AttachStdout": True, "AttachStderr": True}
        made = json.loads(self._call("POST", f"/containers/{quote(container)}/exec", body=body))
        path = f"/exec/{quote(made['Id'])}"
        self._call("POST", f"{path}/start", body={"Detach": False, "Tty": False}, timeout=timeout)
        return int(json.loads(self._call("GET", f"{path}/json"))["ExitCode"])

    def inspect(self, container: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = json.loads(self._call("GET", f"/containers/{quote(container)}/json"))
        return found

    def wait(self, container: str) -> int:
        """Wait for a container that is ending; its exit code."""
        return int(self._call("POST", f"/containers/{quote(container)}/wait?condition=stopped&condition=exited"))

    def remove(self, container: str) -> None:
        self._call("DELETE", f"/containers/{quote(container)}?force=true&v=true&timeout=0", missing=True)

    def list(self, label: str) -> tuple[Listed, ...]:
        """All containers with a label, ended ones too."""
        query = urlencode({"all": "true", "filters": json.dumps({"label": [label]})})
        return tuple(
            Listed(id=one["Id"], labels=one["Labels"], state=one["State"], exit_code=one["ExitCode"], pid=one["Pid"])
            for one in json.loads(self._call("GET", f"/containers/json?{query}"))
        )

    def _call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        timeout: float = 60.0,
        missing: bool = False,
    ) -> bytes:
        connection = _Connection(self._path, timeout)
        try:
            connection.request(
                method,
                _BASE + path,
                body=None if body is None else json.dumps(body),
                headers={"Content-Type": "application/json"} if body is not None else {},
            )
            reply = connection.getresponse()
            data = reply.read()
        except (OSError, http.client.HTTPException) as error:
            raise PodmanError(f"podman does not answer: {error}") from error
        finally:
            connection.close()
        if reply.status == 404 and missing:
            return b""
        if reply.status >= 400:
            try:
                text = json.loads(data)["message"]
            except (ValueError, KeyError):
                text = data.decode("utf-8", "replace").strip()
            raise PodmanError(f"podman: {text}", reply.status)
        return data
