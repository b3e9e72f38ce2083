"""The task metadata endpoint: HTTP at 169.254.170.2 in each router's or machine's namespace that holds documents.

The listeners are made inside the namespaces, so the peer
address is the task's own (anti-spoofing has checked it) and decides together with the path what is served. The
documents live in the agent: while no agent runs, connections are refused and SDKs use what they have.

Sources: Amazon ECS Developer Guide, "Task metadata endpoint version 4"; the error texts are those of the ECS agent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from ecsnet.agent.driver import AgentContext, Namespaces, Part
from ecsnet.agent.drivers.link_local import LinkLocalServers
from ecsnet.agent.http import Ends, Handler, Request, Response
from ecsnet.hostplan.kernel import HostObject
from ecsnet.hostplan.workload import MetadataPages

ADDRESS = "169.254.170.2"


class MetadataDriver:
    """Keeps one listener per namespace that has documents."""

    kinds: tuple[type[HostObject], ...] = (MetadataPages,)

    def __init__(self, namespaces: Namespaces) -> None:
        self._pages: dict[str, MetadataPages] = {}
        self._served: dict[tuple[str, str, str], bytes] = {}
        """(namespace, peer address, path) → body. Written by the converge thread, read by the serving one."""
        self._servers = LinkLocalServers(namespaces, "metadata")

    def observe(self, desired: Mapping[str, HostObject]) -> Mapping[str, HostObject | None]:
        return {key: desired[key] if desired.get(key) == pages else pages for key, pages in self._pages.items()}

    def apply(self, put: Sequence[HostObject], remove: Sequence[str]) -> Mapping[str, str]:
        failures: dict[str, str] = {}
        for pages in put:
            assert isinstance(pages, MetadataPages)
            try:
                self._servers.listen(pages.netns, ADDRESS, pages.port, self._handler(pages.netns))
            except OSError as error:
                failures[pages.key] = f"cannot serve task metadata at {ADDRESS}: {error.strerror or error}"
                continue
            self._forget(pages.key)
            self._pages[pages.key] = pages
            self._served.update(
                ((pages.netns, pages.peer, path), page.body) for page in pages.pages for path in page.paths
            )
        for key in remove:
            self._forget(key)
        self._servers.keep({pages.netns for pages in self._pages.values()})
        return failures

    def close(self) -> None:
        self._servers.close()

    def _forget(self, key: str) -> None:
        old = self._pages.pop(key, None)
        if old is not None:
            for page in old.pages:
                for path in page.paths:
                    self._served.pop((old.netns, old.peer, path), None)

    def _handler(self, netns: str) -> Handler:
        return lambda request, ends: self._answer(netns, request, ends)

    def _answer(self, netns: str, request: Request, ends: Ends) -> Response:
        if request.method not in ("GET", "HEAD"):
            return _text(405, "method not allowed")
        path = request.path.rstrip("/")
        body = self._served.get((netns, ends.peer_address, path))
        if body is not None:
            return Response(status=200, content_type="application/json", body=body)
        return self._missing(netns, ends.peer_address, path)

    def _missing(self, netns: str, peer: str, path: str) -> Response:
        parts = path.split("/")
        match parts[1:]:
            case ["v2", "credentials"]:
                return _credential_error(400, "NoIdInRequest", "No Credential ID in the request")
            case ["v2", "credentials", _]:
                return _credential_error(400, "InvalidIdInRequest", "Credentials not found")
            case [("v3" | "v4") as version, token, *rest]:
                name = version.upper()
                if rest[-1:] == ["stats"] and (netns, peer, f"/{version}/{token}") in self._served:
                    what = "task" if rest[0] == "task" else "container"
                    return _text(501, f"{name} {what} stats handler: ecsnet does not measure container statistics")
                what = "task" if rest else "container"
                return _text(404, f"{name} {what} metadata handler: unable to get container ID from request: {token}")
            case _:
                return _text(404, "404 page not found")


def _text(status: int, text: str) -> Response:
    return Response(status=status, content_type="text/plain; charset=utf-8", body=text.encode())


def _credential_error(status: int, code: str, message: str) -> Response:
    body = {"code": code, "message": f"CredentialsV2Request: {message}", "HTTPErrorCode": status}
    return Response(status=status, content_type="application/json", body=json.dumps(body).encode())


def metadata(context: AgentContext) -> Part:
    """The metadata endpoint of this host's tasks."""
    return Part(driver=MetadataDriver(context.namespaces), asks={})
