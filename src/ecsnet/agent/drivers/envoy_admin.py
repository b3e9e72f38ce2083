"""Asks about a running Envoy, by its admin endpoint on a UNIX socket."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PATIENCE = 5.0
_COLLECTIONS = {"listener": "dynamic_listeners", "cluster": "dynamic_active_clusters"}


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, directory: Path, name: str) -> None:
        super().__init__("envoy", timeout=_PATIENCE)
        self._directory = directory
        self._name = name

    def connect(self) -> None:
        self.sock = connect_in(self._directory, self._name)


def connect_in(directory: Path, name: str) -> socket.socket:
    """A connection to the UNIX socket `name` in a directory, however long the directory's path is. Raises OSError."""
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_PATIENCE)
        try:
            connection.connect(f"/proc/self/fd/{folder}/{name}")
        except OSError:
            connection.close()
            raise
        return connection
    finally:
        os.close(folder)


class Admin:
    """The admin endpoint `admin.sock` in Envoy's directory. Every method raises OSError when nobody answers."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def get(self, path: str) -> bytes:
        connection = _UnixConnection(self._directory, "admin.sock")
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        except http.client.HTTPException as error:
            raise OSError(f"Envoy's admin endpoint: {error}") from error
        finally:
            connection.close()

    def json(self, path: str) -> Any:
        try:
            return json.loads(self.get(path))
        except ValueError as error:
            raise OSError(f"Envoy's admin endpoint: {error}") from error

    def is_live(self) -> bool:
        try:
            return self.get("/ready").strip() == b"LIVE"
        except OSError:
            return False

    def counters(self, pattern: str) -> Mapping[str, str]:
        """Statistics whose names match the regular expression; numbers and texts alike as text."""
        lines = self.get(f"/stats?filter={pattern}").decode().splitlines()
        return {name: value.strip('"') for name, _, value in (line.partition(": ") for line in lines)}

    def errors(self, kind: str) -> Mapping[str, str]:
        """Why the newest version of a listener or cluster was rejected, by name."""
        found = self.json(f"/config_dump?resource={_COLLECTIONS[kind]}").get("configs", ())
        return {
            entry["name"]: entry["error_state"].get("details", "rejected")
            for entry in found
            if "name" in entry and "error_state" in entry
        }
