"""Endpoint discovery: a small process beside Envoy that hands it the members of every cluster.

    python -m ecsnet.agent.endpoint_discovery DIRECTORY

It serves Envoy's aggregated discovery service on `ads.sock` in the directory, from the one file `eds.json`. On
`discovery.sock` it takes JSON lines and answers `{"error": null}` once Envoy has acknowledged:

- `{"version": …, "for": [cluster, …]}` has the file read again, and Envoy have the members of these clusters;
- `{"again": [[cluster, address, port], …]}` takes members out and puts them back, which is the one way to have Envoy
  treat them as new (a member that failed its first probe needs several good ones otherwise).

It is a process of its own so that endpoints survive the agent, and a gRPC server because Envoy opens an inotify
instance per endpoint *file* and aborts at the 129th.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2
from google.protobuf import any_pb2, json_format

TYPE = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
PATIENCE = 2.0
"""Seconds to wait for an acknowledgement."""


@dataclass(slots=True)
class _Stream:
    """One connected Envoy: what it asked for, what it was sent and what it acknowledged."""

    wanted: set[str] = field(default_factory=set)
    sent: dict[str, bytes] = field(default_factory=dict)
    pending: str | None = None
    """The nonce that is not yet acknowledged."""
    error: str | None = None
    over: bool = False


class Endpoints:
    """The assignments by cluster and the streams that follow them. All methods are thread-safe."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._changed = threading.Condition()
        self._streams: list[_Stream] = []
        self._assignments: dict[str, bytes] = {}
        self._version = ""
        self._nonce = 0

    def load(self) -> None:
        """Read the file; an absent one is empty. Raises ValueError for a file that is not what it should be."""
        try:
            content: dict[str, Any] = json.loads(self._file.read_bytes())
        except FileNotFoundError:
            content = {"version_info": "", "resources": []}
        assignments = {}
        for resource in content["resources"]:
            resource.pop("@type", None)
            message = json_format.ParseDict(resource, endpoint_pb2.ClusterLoadAssignment())
            assignments[message.cluster_name] = message.SerializeToString(deterministic=True)
        with self._changed:
            self._assignments = assignments
            self._version = content["version_info"]
            self._changed.notify_all()

    def reload(self, version: str, clusters: Iterable[str]) -> str | None:
        """Read the file again and wait until Envoy has it, above all the members of `clusters`.

        The answer is what went wrong, or None.
        """
        self.load()
        if self._version != version:
            return f"eds.json holds version {self._version!r}, not {version!r}"
        return self._settle(frozenset(clusters))

    def again(self, places: list[tuple[str, str, int]]) -> str | None:
        """Take members out and put them back; the answer is what went wrong, or None."""
        with self._changed:
            for cluster in {place[0] for place in places}:
                body = self._assignments.get(cluster)
                if body is not None:
                    self._assignments[cluster] = _without(body, {place[1:] for place in places if place[0] == cluster})
            self._changed.notify_all()
        error = self._settle()
        self.load()
        return error or self._settle()

    def _settle(self, clusters: frozenset[str] = frozenset()) -> str | None:
        """Wait until every stream has acknowledged; the answer is why not, or None."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._is_settled(clusters), PATIENCE):
                return "Envoy does not acknowledge its endpoints"
            return next((stream.error for stream in self._streams if stream.error is not None), None)

    def _is_settled(self, clusters: frozenset[str]) -> bool:
        """Envoy asks for the clusters and lacks nothing. Its stream begins with the first cluster that it asks for."""
        return (bool(self._streams) or not clusters) and all(
            clusters <= stream.wanted and stream.pending is None and not self._due(stream) for stream in self._streams
        )

    def _due(self, stream: _Stream) -> dict[str, bytes]:
        """What a stream wants and does not have in its newest form."""
        wanted = ((name, self._assignments.get(name)) for name in stream.wanted)
        return {name: body for name, body in wanted if body is not None and stream.sent.get(name) != body}

    def follow(self, requests: Iterator[Any]) -> Iterator[Any]:
        """One Envoy's stream: answers its requests and sends what changed."""
        stream = _Stream()
        with self._changed:
            self._streams.append(stream)
        threading.Thread(target=self._listen, args=(stream, requests), daemon=True).start()
        try:
            while (response := self._next(stream)) is not None:
                yield response
        finally:
            with self._changed:
                self._streams.remove(stream)
                self._changed.notify_all()

    def _next(self, stream: _Stream) -> Any:
        with self._changed:
            self._changed.wait_for(lambda: stream.over or (stream.pending is None and self._due(stream)))
            if stream.over:
                return None
            due = self._due(stream)
            stream.sent.update(due)
            self._nonce += 1
            stream.pending = str(self._nonce)
            resources = [any_pb2.Any(type_url=TYPE, value=body) for _name, body in sorted(due.items())]
            return discovery_pb2.DiscoveryResponse(
                version_info=self._version, resources=resources, type_url=TYPE, nonce=stream.pending
            )

    def _listen(self, stream: _Stream, requests: Iterator[Any]) -> None:
        try:
            for request in requests:
                if request.type_url == TYPE:
                    self._heard(stream, request)
        except grpc.RpcError:
            pass  # the stream broke: the same as its orderly end
        with self._changed:
            stream.over = True
            self._changed.notify_all()

    def _heard(self, stream: _Stream, request: Any) -> None:
        with self._changed:
            names = set(request.resource_names)
            for name in stream.wanted - names:
                stream.sent.pop(name, None)
            stream.wanted = names
            if request.response_nonce and request.response_nonce == stream.pending:
                stream.pending = None
                stream.error = request.error_detail.message if request.HasField("error_detail") else None
            self._changed.notify_all()


def _without(body: bytes, members: set[tuple[str, int]]) -> bytes:
    """A serialised assignment without some of its members."""
    message = endpoint_pb2.ClusterLoadAssignment.FromString(body)
    for locality in message.endpoints:
        kept = [
            item
            for item in locality.lb_endpoints
            if (item.endpoint.address.socket_address.address, item.endpoint.address.socket_address.port_value)
            not in members
        ]
        del locality.lb_endpoints[:]
        locality.lb_endpoints.extend(kept)
    serialised: bytes = message.SerializeToString(deterministic=True)
    return serialised


class _Service(ads_pb2_grpc.AggregatedDiscoveryServiceServicer):  # type: ignore[misc]
    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints

    def StreamAggregatedResources(self, request_iterator: Iterator[Any], context: Any) -> Iterator[Any]:  # noqa: N802
        return self._endpoints.follow(request_iterator)


def answer(endpoints: Endpoints, connection: socket.socket) -> None:
    """Serve one connection of `discovery.sock`: a JSON line in, a JSON line out, until the other side closes."""
    with connection, connection.makefile("rwb") as stream:
        for line in stream:
            try:
                asked = json.loads(line)
                if "again" in asked:
                    error = endpoints.again([(cluster, address, port) for cluster, address, port in asked["again"]])
                else:
                    error = endpoints.reload(asked["version"], asked["for"])
            except (ValueError, KeyError, TypeError) as problem:
                error = f"not a request, or eds.json is not a list of endpoints: {problem}"
            stream.write(json.dumps({"error": error}).encode() + b"\n")
            stream.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description="Hands Envoy the members of its clusters.")
    parser.add_argument("directory", type=Path, help="where eds.json, ads.sock and discovery.sock are")
    # Relative names from here on: the path of a UNIX socket holds 107 bytes only.
    os.chdir(parser.parse_args().directory)
    endpoints = Endpoints(Path("eds.json"))
    endpoints.load()
    for name in ("ads.sock", "discovery.sock"):
        Path(name).unlink(missing_ok=True)
    server = grpc.server(ThreadPoolExecutor(max_workers=8))
    ads_pb2_grpc.add_AggregatedDiscoveryServiceServicer_to_server(_Service(endpoints), server)
    server.add_insecure_port("unix:ads.sock")
    server.start()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind("discovery.sock")
    os.chmod("discovery.sock", 0o600)
    os.chmod("ads.sock", 0o600)
    listener.listen(8)
    # The end of standard output tells whoever started this that it serves (closing sys.stdout would keep it open).
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    while True:
        connection, _peer = listener.accept()
        threading.Thread(target=answer, args=(endpoints, connection), daemon=True).start()


if __name__ == "__main__":
    main()
