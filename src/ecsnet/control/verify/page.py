"""POST /_ecsnet/verify: lines of JSON, progress first and the result last."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from urllib.parse import parse_qsl

from ecsnet.agent.client import AgentGoneError, AskFailed
from ecsnet.aws.http import HttpReply, HttpRequest, Route
from ecsnet.control import views
from ecsnet.control.places import NotFoundError
from ecsnet.control.probe import Ask, UnsendableError, parse_port
from ecsnet.control.verify.matrix import Json
from ecsnet.control.verify.questions import Service
from ecsnet.control.verify.run import verify
from ecsnet.model.tables import INTERFACES
from ecsnet.store.snapshot import Snapshot
from ecsnet.store.store import Store

_IN_FORCE = 5.0
"""Seconds that the data plane may take for what was acknowledged before; what it still lacks then is a difference."""


def verify_page(store: Store, in_force: Callable[[int, float], Awaitable[bool]], ask: Ask) -> Route:
    """Query: `vpc` (id or Name tag) any number of times, `ports` (`tcp/80,udp/53`).

    The last line is the result, or an object with `error` and `hint`.
    """

    async def answer(request: HttpRequest) -> HttpReply:
        query = parse_qsl(request.head.query.decode(errors="replace"))
        try:
            vpcs = _vpcs(store.snapshot, [value for key, value in query if key == "vpc"])
            services = [service for key, value in query if key == "ports" for service in _services(value)]
        except NotFoundError as error:
            return _refused(404, error)
        except UnsendableError as error:
            return _refused(400, error)
        lines = verify(lambda: store.snapshot, lambda revision: in_force(revision, _IN_FORCE), ask, vpcs, services)
        return HttpReply(headers=((b"content-type", b"application/x-ndjson"),), body=_lines(lines))

    return answer


def _refused(status: int, error: NotFoundError | UnsendableError) -> HttpReply:
    body = json.dumps({"error": str(error), "hint": error.hint}).encode()
    return HttpReply(status=status, headers=((b"content-type", b"application/json"),), body=body)


def _vpcs(snapshot: Snapshot, names: list[str]) -> list[str]:
    """Raises NotFoundError. Without names every VPC that has an attached interface."""
    if names:
        return sorted({views.vpc_called(snapshot, name).id for name in names})
    return sorted({row.vpc for row in snapshot.rows(INTERFACES) if row.attachment is not None})


def _services(text: str) -> list[Service]:
    """Raises UnsendableError."""
    return [Service(*parse_port(part.strip())) for part in text.split(",")]


async def _lines(lines: AsyncGenerator[Json]) -> AsyncIterator[bytes]:
    try:
        async for line in lines:
            yield json.dumps(line).encode() + b"\n"
    except (AgentGoneError, AskFailed, UnsendableError) as error:
        yield json.dumps({"error": str(error), "hint": "See: ecsnet status"}).encode() + b"\n"
    finally:
        await lines.aclose()
