"""Control's own HTTP interface, below /_ecsnet/: what the command line asks for beyond the AWS API."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from ecsnet.agent.client import AgentLink, AskFailed
from ecsnet.aws.http import HttpReply, HttpRequest, Route
from ecsnet.control import faults, views
from ecsnet.control.feed import PlanFeed
from ecsnet.control.flows.page import flows_page
from ecsnet.control.flows.service import Flows
from ecsnet.control.local import LocalPorts
from ecsnet.control.places import NotFoundError, resolve
from ecsnet.control.probe import UnsendableError, probe, wanted
from ecsnet.control.supervisor import Supervisor
from ecsnet.control.verify.page import verify_page
from ecsnet.control.why import ServiceError, why
from ecsnet.fabric.kernel.naming import interface_link, nat_gateway_namespace, router_namespace
from ecsnet.hostplan.messages import Hello
from ecsnet.model.tables import INTERFACES, LOAD_BALANCERS, NAT_GATEWAYS, SERVICES, TASKS_BY_STATUS, VPCS
from ecsnet.store.store import Store

Answer = tuple[int, Any]
"""HTTP status and the JSON value of the body."""

Query = Mapping[str, str]
Handler = Callable[[Query], Awaitable[Answer]]

_COUNTED_DROP = re.compile(r'log prefix "D ([^"]+)".* counter packets (\d+) bytes \d+ drop(?: comment "([^"]*)")?')
"""A rule that drops says in its log prefix what decided (`sg-in`, `acl-…/in/100`), in its comment which groups."""


class RefusedError(Exception):
    """The request cannot be carried out; the text is one sentence."""

    def __init__(self, status: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.hint = hint


class Routes:
    """The handlers, by path."""

    def __init__(
        self,
        *,
        store: Store,
        feed: PlanFeed,
        supervisor: Supervisor,
        local: LocalPorts,
        flows: Flows,
        hello: Callable[[], Hello | None],
        reset: Callable[[], Awaitable[None]],
        port: int,
        speed: float,
    ) -> None:
        self._store = store
        self._feed = feed
        self._supervisor = supervisor
        self._local = local
        self._flows = flows
        self._hello = hello
        self._reset = reset
        self._port = port
        self._speed = speed

    def table(self) -> dict[str, Route]:
        """Method and path → handler, for the gateway."""
        handlers: dict[str, Handler] = {
            "GET /_ecsnet/status": self.status,
            "GET /_ecsnet/tasks": self.tasks,
            "GET /_ecsnet/task": self.task,
            "GET /_ecsnet/map": self.map,
            "GET /_ecsnet/nft": self.nft,
            "GET /_ecsnet/drops": self.drops,
            "POST /_ecsnet/why": self.why,
            "GET /_ecsnet/nat": self.nat,
            "GET /_ecsnet/capture-point": self.capture_point,
            "POST /_ecsnet/probe": self.probe,
            "POST /_ecsnet/stand-in": self.stand_in,
            "GET /_ecsnet/faults": self.faults,
            "POST /_ecsnet/faults": self.set_fault,
            "POST /_ecsnet/reset": self.reset,
        }
        return {
            **{path: _json(handler) for path, handler in handlers.items()},
            "GET /_ecsnet/flows": flows_page(self._flows, self._store),
            "POST /_ecsnet/verify": verify_page(self._store, self._feed.in_force, self._send_probes),
        }

    async def status(self, query: Query) -> Answer:
        snapshot = self._store.snapshot
        hello = self._hello()
        connected = self._supervisor.link is not None and hello is not None
        return 200, {
            "version": version("ecsnet"),
            "pid": os.getpid(),
            "port": self._port,
            "speed": self._speed,
            "ready": connected and self._feed.applied >= self._feed.planned,
            "revision": snapshot.revision,
            "planned": self._feed.planned,
            "applied": self._feed.applied,
            "agent": {
                "connected": connected,
                "pid": hello.pid if hello else None,
                "rootless": hello.rootless if hello else None,
                "notes": list(hello.notes) if hello else [],
            },
            "counts": {
                "VPCs": len(snapshot.tables[VPCS.name]),
                "interfaces": len(snapshot.tables[INTERFACES.name]),
                "load balancers": len(snapshot.tables[LOAD_BALANCERS.name]),
                "services": sum(service.status != "INACTIVE" for service in snapshot.rows(SERVICES)),
                "running tasks": len(snapshot.keys(TASKS_BY_STATUS, "RUNNING")),
            },
            "flows": self._flows.status(),
            "faults": faults.listed(snapshot),
            "failures": [{"key": key, "text": text} for key, text in self._feed.failures.items()],
            "published": [
                {"name": item.name, "address": item.address, "port": item.port, "local_port": item.local_port}
                for item in self._local.published
            ],
        }

    async def tasks(self, query: Query) -> Answer:
        return 200, views.tasks(self._store.snapshot)

    async def task(self, query: Query) -> Answer:
        return 200, views.find_task(self._store.snapshot, query.get("name", ""))

    async def map(self, query: Query) -> Answer:
        return 200, views.network(self._store.snapshot)

    async def nft(self, query: Query) -> Answer:
        return 200, {"ruleset": await self._ruleset(views.router_of(self._store.snapshot, query.get("vpc", "")))}

    async def drops(self, query: Query) -> Answer:
        """Every rule of every VPC that drops, with the packets that it has counted."""
        drops = []
        for vpc in self._vpcs_with_interfaces():
            for what, packets, comment in _COUNTED_DROP.findall(await self._ruleset(router_namespace(vpc))):
                rule = f"{what} {comment}" if what in ("sg-in", "sg-out") else what
                text = views.deciding(self._store.snapshot, rule)
                drops.append({"vpc": vpc, "rule": rule, "packets": int(packets), "text": text})
        return 200, drops

    async def nat(self, query: Query) -> Answer:
        """A NAT gateway's connections now, and how many it refused because every port was in use (`name`: its id)."""
        gateway = self._store.snapshot.get(NAT_GATEWAYS, query.get("name", ""))
        if gateway is None or gateway.interface is None:
            raise RefusedError(404, f"there is no NAT gateway {query.get('name', '')}.")
        return 200, {"id": gateway.id, **await self._ask("nat", {"netns": nat_gateway_namespace(gateway.id)})}

    def _vpcs_with_interfaces(self) -> list[str]:
        return sorted({interface.vpc for interface in self._store.snapshot.rows(INTERFACES)})

    async def _ruleset(self, netns: str) -> str:
        answer = await self._ask("nft", {"netns": netns})
        return str(answer["text"])

    async def why(self, query: Query) -> Answer:
        """Whether a flow arrives and what stops it, from the stored settings alone."""
        source, destination = query.get("from", ""), query.get("to", "")
        try:
            return 200, why(self._store.snapshot, source, destination, query.get("service", ""), query.get("vpc"))
        except ServiceError as error:
            raise RefusedError(400, str(error)) from error

    async def probe(self, query: Query) -> Answer:
        """Send one packet and say what became of it."""
        snapshot = self._store.snapshot
        try:
            source, destination, port = (query.get(name, "") for name in ("from", "to", "port"))
            source_port = int(query["source_port"]) if "source_port" in query else None
            packet = wanted(snapshot, source, destination, port, source_port)
            (verdict,) = await probe(snapshot, [packet], lambda batch: self._link().ask("probe", batch), deadline=1.0)
        except (UnsendableError, ValueError) as error:
            raise RefusedError(400, str(error), getattr(error, "hint", "")) from error
        return 200, msgspec.to_builtins(verdict)

    async def capture_point(self, query: Query) -> Answer:
        """The router's end of an interface: every packet from and to it passes there."""
        place = resolve(self._store.snapshot, query.get("of", ""))
        if place.vpc is None or len(place.ends) != 1:
            raise RefusedError(
                400, f"{place.label} has {len(place.ends)} interfaces.", "Give an interface id: ecsnet map"
            )
        interface = place.ends[0].interface
        point = {"netns": router_namespace(place.vpc), "device": interface_link(interface)}
        return 200, {"interface": interface, "label": place.label, **point}

    async def stand_in(self, query: Query) -> Answer:
        task = views.find_task(self._store.snapshot, query.get("task", ""))
        container = query.get("container") or task["containers"][0]["name"]
        chosen = next((item for item in task["containers"] if item["name"] == container), None)
        if chosen is None:
            raise RefusedError(404, f"task {task['id']} has no container {container}.")
        if chosen["runtime"] != "stand-in":
            raise RefusedError(409, f"{container} is not a stand-in but runs under {chosen['runtime']}.")
        key = f"workload:{task['arn']}/{container}"
        if "exit" in query:
            await self._ask("standin.exit", {"key": key, "code": int(query["exit"])})
        else:
            await self._ask("standin.health", {"key": key, "healthy": query.get("healthy") == "1"})
        return 200, {"task": task["id"], "container": container}

    async def faults(self, query: Query) -> Answer:
        return 200, faults.listed(self._store.snapshot)

    async def set_fault(self, query: Query) -> Answer:
        """What `faults.put` says; answers the faults that are in force then."""
        try:
            faults.put(self._store, query)
        except ValueError as error:
            raise RefusedError(400, str(error)) from error
        return 200, faults.listed(self._store.snapshot)

    async def reset(self, query: Query) -> Answer:
        await self._reset()
        return 200, {}

    async def _ask(self, topic: str, argument: Mapping[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(await self._link().ask(topic, json.dumps(argument).encode()))
        return answer

    async def _send_probes(self, batch: bytes) -> bytes:
        """Raises AskFailed."""
        link = self._supervisor.link
        if link is None:
            raise AskFailed("the agent is not connected.")
        return await link.ask("probe", batch)

    def _link(self) -> AgentLink:
        link = self._supervisor.link
        if link is None:
            raise RefusedError(503, "the agent is not connected.", "See: ecsnet status")
        return link


def _json(handler: Handler) -> Route:
    async def answer(request: HttpRequest) -> HttpReply:
        query = dict(parse_qsl(request.head.query.decode(errors="replace")))
        try:
            status, value = await handler(query)
        except NotFoundError as error:
            status, value = 404, {"error": str(error), "hint": error.hint}
        except RefusedError as error:
            status, value = error.status, {"error": str(error), "hint": error.hint}
        except AskFailed as error:
            status, value = 502, {"error": str(error), "hint": "See: ecsnet status"}
        return HttpReply(
            status=status, headers=((b"content-type", b"application/json"),), body=json.dumps(value).encode()
        )

    return answer
