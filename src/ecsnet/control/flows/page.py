"""GET /_ecsnet/flows: the live view as lines of JSON, as long as the client stays."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from urllib.parse import parse_qsl

from ecsnet.aws.http import HttpReply, HttpRequest, Route
from ecsnet.control import views
from ecsnet.control.flows.service import Flows, Wanted
from ecsnet.control.places import NotFoundError
from ecsnet.model.tables import INTERFACES
from ecsnet.store.snapshot import Snapshot
from ecsnet.store.store import Store

READY = 5.0
"""Seconds in which the reader should be ready; a viewer is told when it is not."""


def flows_page(flows: Flows, store: Store) -> Route:
    """Query: `vpc` (id or Name tag), `interface` (id), `rejected=1`. The first line says whether flows are being read,
    every other one is a flow, or how many lines were lost because the client reads too slowly."""

    async def answer(request: HttpRequest) -> HttpReply:
        query = dict(parse_qsl(request.head.query.decode(errors="replace")))
        try:
            wanted = _wanted(store.snapshot, query)
        except NotFoundError as error:
            body = json.dumps({"error": str(error), "hint": error.hint}).encode()
            return HttpReply(status=404, headers=((b"content-type", b"application/json"),), body=body)
        return HttpReply(headers=((b"content-type", b"application/x-ndjson"),), body=_lines(flows, wanted))

    return answer


def _wanted(snapshot: Snapshot, query: dict[str, str]) -> Wanted:
    """Raises NotFoundError."""
    interface = query.get("interface")
    if interface is not None and snapshot.get(INTERFACES, interface) is None:
        raise NotFoundError(f"there is no network interface {interface}.", "See: ecsnet map")
    vpc = query.get("vpc")
    return Wanted(
        vpc=views.vpc_called(snapshot, vpc).id if vpc is not None else None,
        interface=interface,
        rejected=query.get("rejected") == "1",
    )


async def _lines(flows: Flows, wanted: Wanted) -> AsyncIterator[bytes]:
    view = flows.view(wanted, READY)
    try:
        async for item in view:
            yield json.dumps(item).encode() + b"\n"
    finally:
        await view.aclose()
