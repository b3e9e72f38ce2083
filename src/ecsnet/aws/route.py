"""Decides what a request is: an operation of one of our services, or something to pass on.

The wire protocol is taken from the request, never from the model: for some services the model says CBOR while the SDK
sends JSON.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from ecsnet.aws.errors import Protocol
from ecsnet.aws.http import (
    BODY_TIMEOUT,
    FORWARDED_BODY_LIMIT,
    BodyError,
    DisconnectedError,
    Head,
    Receive,
    content_length,
    read_body,
)
from ecsnet.aws.identity import Credential
from ecsnet.aws.parse import form
from ecsnet.aws.parse.rest import RestRequest
from ecsnet.aws.registry import OwnService, Registry
from ecsnet.services.call import AwsError

_CLASSIC_LOAD_BALANCING = "2012-06-01"
"""The API version of Classic Load Balancers, which share their signing name with Elastic Load Balancing v2."""


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """An operation of one of our services; `payload` is what its protocol's parser takes."""

    service: OwnService
    protocol: Protocol
    operation: str
    payload: Any


class Foreign(msgspec.Struct, frozen=True, kw_only=True):
    """A request to a service that is not ours, with its body still to be read."""

    body: AsyncIterator[bytes]


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What the head alone says: the service, if it is ours, and the protocol. `operation` as far as it is known."""

    service: OwnService | None
    protocol: Protocol | None
    operation: str = ""


def target_of(head: Head, credential: Credential, registry: Registry) -> Target:
    """Look at the head only, so that an error while the body is read can be told in the right protocol."""
    amz_target = head.header(b"x-amz-target")
    if amz_target:
        prefix, _, operation = amz_target.rpartition(".")
        return Target(service=registry.by_target_prefix.get(prefix), protocol="json", operation=operation)
    match head.target.split("/"):
        case ["", "service", prefix, "operation", operation]:
            return Target(service=registry.by_target_prefix.get(prefix), protocol="cbor", operation=operation)
    if credential.service:
        service = registry.by_signing_name.get(credential.service)
        return Target(service=service, protocol=service.form_protocol if service is not None else None)
    if b"Action=" in head.query or head.header(b"content-type").startswith("application/x-www-form-urlencoded"):
        return Target(service=None, protocol="query")
    return Target(service=None, protocol=None)


async def route(head: Head, target: Target, receive: Receive, registry: Registry) -> Own | Foreign:
    """Read what is needed of the body and decide. Raises ParameterError, BodyError, DisconnectedError and AwsError."""
    service = target.service
    match target.protocol:
        case "json" | "cbor" as protocol if service is not None:
            body = await read_body(head, receive)
            return Own(service=service, protocol=protocol, operation=target.operation, payload=body)
        case "ec2" | "query":
            return await _form(head, service, receive, registry)
        case None if service is not None:
            return await _rest(head, service, receive)
        case _:
            return Foreign(body=_stream(head, receive))


async def _form(head: Head, service: OwnService | None, receive: Receive, registry: Registry) -> Own | Foreign:
    body = await read_body(head, receive)
    tree = form.tree(head.query, body)
    version = tree.get("Version")
    if service is None:
        # Unsigned, as AssumeRoleWithWebIdentity is: only the version says for whom.
        service = registry.by_api_version.get(version) if isinstance(version, str) else None
    if service is None or service.form_protocol is None or version == _CLASSIC_LOAD_BALANCING:
        return Foreign(body=_again(body))
    action = tree.get("Action")
    if not isinstance(action, str) or not action:
        raise AwsError("MissingAction", "The request must contain the parameter Action")
    return Own(service=service, protocol=service.form_protocol, operation=action, payload=tree)


async def _rest(head: Head, service: OwnService, receive: Receive) -> Own:
    protocol: Protocol = "rest-xml" if service.model.metadata.protocol == "rest-xml" else "rest-json"
    match = service.routes.match(head)
    if match is None:
        raise AwsError(
            "UnknownOperationException", f"{service.name} has no operation at {head.method} {head.target}.", status=404
        )
    operation, labels = match
    payload = RestRequest(head=head, labels=labels, body=await read_body(head, receive))
    return Own(service=service, protocol=protocol, operation=operation, payload=payload)


async def _again(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _stream(head: Head, receive: Receive) -> AsyncIterator[bytes]:
    """The body in chunks as they come. Raises BodyError past the limit and when the client stalls."""
    sentence = f"The request body is larger than {FORWARDED_BODY_LIMIT} bytes; send large objects in parts."
    declared = content_length(head)
    if declared is not None and declared > FORWARDED_BODY_LIMIT:
        raise BodyError(413, sentence)
    size = 0
    more = True
    while more:
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                message = await receive()
        except TimeoutError:
            raise BodyError(408, f"No part of the request body came for {BODY_TIMEOUT:g} seconds.") from None
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > FORWARDED_BODY_LIMIT:
            raise BodyError(413, sentence)
        more = message.get("more_body", False)
        if chunk:
            yield chunk
