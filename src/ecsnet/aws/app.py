"""The request path: a raw ASGI application from bytes to bytes.

    refuse web pages → our own pages (/_ecsnet/...) → who asks (SigV4 scope) → what for (service, protocol, operation)
    → not ours: pass on → read the parameters by their shape → run → write the reply by its shape

Every failure on the way is told in the protocol of the request, with the service's own code where it has one.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping

from ecsnet.aws.dispatch import Caller, Dispatcher, Forwarder
from ecsnet.aws.errors import Protocol, from_problem, write_error
from ecsnet.aws.guard import Guard
from ecsnet.aws.http import (
    AsgiApp,
    BodyError,
    DisconnectedError,
    Head,
    HttpReply,
    HttpRequest,
    Receive,
    Route,
    Scope,
    Send,
    head_of,
    plain,
    read_body,
    send_reply,
)
from ecsnet.aws.identity import DEFAULT_ACCOUNT, DEFAULT_REGION, Credential, account_in, credential_of
from ecsnet.aws.parse.problem import ParameterError
from ecsnet.aws.registry import OwnService, Registry
from ecsnet.aws.route import Foreign, Own, Target, route, target_of
from ecsnet.aws.websocket import Stream, WebSocket, refuse
from ecsnet.model.tables import SESSION_KEYS
from ecsnet.services.call import AwsError, Call, Ids, Operation, Settings
from ecsnet.store.store import Store

OWN_PAGES = "/_ecsnet/"

log = logging.getLogger(__name__)


def make_app(
    *,
    store: Store,
    services: Mapping[str, tuple[Operation, ...]],
    ids: Ids,
    clock: Callable[[], float],
    settings: Settings,
    backing: Forwarder,
    seed: Callable[[Call], None],
    applied: Callable[[int], Awaitable[None]],
    routes: Mapping[str, Route],
    streams: Mapping[str, Stream] | None = None,
    allowed_hosts: Iterable[str] = (),
) -> AsgiApp:
    """The gateway as an ASGI application.

    `services`: operations by botocore service name; every other service is forwarded to `backing`.
    `clock`: epoch seconds. `seed`: makes what AWS gives a new account and region. `applied`: returns when the data
    plane has a revision, or when it has waited long enough. `routes`: handlers of our own pages by
    "METHOD /_ecsnet/path"; a path that ends in `/*` stands for everything below it. `allowed_hosts`: further host
    names to answer, see `Guard`. `streams`: what talks over WebSockets, by the beginning of the path.

    Raises ValueError for an operation that botocore does not know.
    """
    gateway = _Gateway(
        registry=Registry(services),
        dispatcher=Dispatcher(
            store=store, ids=ids, clock=clock, settings=settings, backing=backing, seed=seed, applied=applied
        ),
        guard=Guard.allowing(allowed_hosts),
        routes=routes,
        streams=streams or {},
    )
    return gateway.serve


class _Gateway:
    def __init__(
        self,
        *,
        registry: Registry,
        dispatcher: Dispatcher,
        guard: Guard,
        routes: Mapping[str, Route],
        streams: Mapping[str, Stream],
    ) -> None:
        self._registry = registry
        self._dispatcher = dispatcher
        self._guard = guard
        self._routes = routes
        self._streams = streams

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI request."""
        if scope["type"] == "websocket":
            await self._stream(head_of(scope), receive, send)
            return
        if scope["type"] != "http":
            return
        head = head_of(scope)
        try:
            reply = await self._answer(head, receive, send)
        except DisconnectedError:
            return
        if reply is not None:
            await send_reply(send, reply, receive=receive, head_only=head.method == "HEAD")

    async def _stream(self, head: Head, receive: Receive, send: Send) -> None:
        """Open a WebSocket, unless a web page asks for it or nothing is there."""
        refusal = self._guard.refusal(head)
        stream = next((one for path, one in self._streams.items() if head.target.startswith(path)), None)
        if refusal is not None or stream is None:
            await refuse(send, 403 if refusal else 404, refusal or f"ecsnet has no WebSocket at {head.target}.")
            return
        await stream(head, WebSocket(receive, send))

    async def _answer(self, head: Head, receive: Receive, send: Send) -> HttpReply | None:
        """The reply, or None when a forwarded reply has been sent already."""
        refusal = self._guard.refusal(head)
        if refusal is not None:
            return plain(403, refusal)
        if head.target.startswith(OWN_PAGES):
            return await self._own_page(head, receive)

        credential = credential_of(head)
        target = target_of(head, credential, self._registry)
        request_id = self._dispatcher.ids.uuid()
        try:
            caller = self._caller(credential, head)
            match await route(head, target, receive, self._registry):
                case Foreign(body=body):
                    await self._dispatcher.backing.forward(head, body, account=caller.account, send=send)
                    return None
                case Own() as own:
                    target = Target(service=own.service, protocol=own.protocol, operation=own.operation)
                    return await self._run(own, caller, request_id)
        except BodyError as error:
            reason = AwsError("RequestTooLarge" if error.status == 413 else "RequestTimeout", error.message)
            reason.status = error.status
            return _close(_failure(reason, target, head, request_id))
        except ParameterError as problem:
            return _failure(_named(problem, target), target, head, request_id)
        except AwsError as error:
            return _failure(error, target, head, request_id)
        except DisconnectedError:
            raise
        except Exception:  # the one place that turns a fault of ecsnet into an answer
            name = f"{target.service.name if target.service else '?'} {target.operation}"
            log.exception("%s failed (request %s)", name, request_id)
            sentence = f"ecsnet failed on {name}; its log tells why, under request {request_id}."
            return _failure(AwsError("InternalFailure", sentence, status=500), target, head, request_id)

    async def _own_page(self, head: Head, receive: Receive) -> HttpReply:
        handler = self._routes.get(f"{head.method} {head.target}")
        if handler is None:
            parts = head.target.split("/")
            below = (f"{head.method} {'/'.join(parts[:length])}/*" for length in range(len(parts) - 1, 1, -1))
            handler = next((self._routes[path] for path in below if path in self._routes), None)
        if handler is None:
            return plain(404, f"ecsnet has no page {head.method} {head.target}.")
        try:
            return await handler(HttpRequest(head=head, body=await read_body(head, receive)))
        except BodyError as error:
            return _close(plain(error.status, error.message))

    def _caller(self, credential: Credential, head: Head) -> Caller:
        key = credential.access_key
        account = account_in(key)
        if account is None and key:
            session = self._dispatcher.store.snapshot.get(SESSION_KEYS, key)
            if session is not None:
                if session.expires <= self._dispatcher.clock():
                    raise AwsError("ExpiredToken", "The security token included in the request is expired", status=403)
                account = session.account
        return Caller(
            account=account or DEFAULT_ACCOUNT,
            region=credential.region or DEFAULT_REGION,
            access_key=key,
            host=head.header(b"host"),
        )

    async def _run(self, own: Own, caller: Caller, request_id: str) -> HttpReply:
        service = own.service
        operation = service.operation(own.operation, own.protocol)
        codec = service.codec(own.operation, own.protocol)
        request = codec.parse(own.payload)
        reply = await self._dispatcher.run(
            operation,
            request,
            caller,
            seeds=_seeds(service),
            dry=own.protocol == "ec2" and request.get("DryRun") is True,
        )
        return codec.write(reply, request_id)


def _seeds(service: OwnService) -> bool:
    """STS answers for pseudo-regions such as aws-global, which must not get a VPC."""
    return service.name != "sts"


def _named(problem: ParameterError, target: Target) -> AwsError:
    service = target.service
    known = service is not None and target.operation in service.model.operations
    declared = service.model.error_codes(target.operation) if service is not None and known else ()
    return from_problem(problem, target.protocol or "query", declared)


def _failure(error: AwsError, target: Target, head: Head, request_id: str) -> HttpReply:
    protocol: Protocol = target.protocol or "rest-xml"
    if target.protocol is None and target.service is not None and target.service.model.metadata.protocol != "rest-xml":
        protocol = "rest-json"
    return write_error(
        error,
        protocol,
        request_id,
        namespace=target.service.model.metadata.xml_namespace if target.service is not None else None,
        query_mode=b"x-amzn-query-mode" in head.headers,
    )


def _close(reply: HttpReply) -> HttpReply:
    """The same reply, after which the connection ends: its body was not read to the end."""
    return HttpReply(status=reply.status, headers=(*reply.headers, (b"connection", b"close")), body=reply.body)
