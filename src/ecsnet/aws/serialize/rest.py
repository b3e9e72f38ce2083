"""What replies of rest-json and rest-xml share: members that are headers or the status code, and the payload member."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ecsnet.aws.http import Headers, HttpReply
from ecsnet.aws.models import ServiceModel, Shape
from ecsnet.aws.serialize.scalar import TIMESTAMPS, boolean, real, text, timestamp_format, whole

_PLAIN: dict[str, Callable[[Any], str]] = {
    "string": text,
    "boolean": boolean,
    "integer": whole,
    "long": whole,
    "float": real,
    "double": real,
}


def compile_rest_reply(
    model: ServiceModel,
    operation: str,
    *,
    content_type: str,
    body: Callable[[Shape], Callable[[Mapping[str, Any]], bytes]],
    payload: Callable[[Shape, str], Callable[[Any], bytes]],
) -> Callable[[Mapping[str, Any], str], HttpReply]:
    """A writer of (reply, request id). `body` writes the members without a place of their own; `payload` writes the
    one member (with its name) that is the whole body."""
    shape = model.output(operation)
    status = model.operations[operation].http.response_code
    request_header = b"x-amzn-requestid"
    kind = (b"content-type", content_type.encode())
    if shape is None:
        return lambda reply, request_id: HttpReply(
            status=status, headers=((request_header, request_id.encode()),), body=b""
        )
    members = dict(shape.members())
    placed = {name: member for name, member in members.items() if member.location}
    whole_body = shape.payload
    write_payload = payload(members[whole_body], whole_body) if whole_body is not None else None
    has_body = any(member.location is None for member in members.values())
    write_body = body(shape) if whole_body is None and has_body else None

    def write(reply: Mapping[str, Any], request_id: str) -> HttpReply:
        headers: Headers = ((request_header, request_id.encode()),)
        code = status
        for name, member in placed.items():
            value = reply.get(name)
            if value is None:
                continue
            if member.location == "statusCode":
                code = int(value)
            else:
                headers += _headers(name, member, value)
        content = b""
        if write_payload is not None and whole_body is not None:
            if reply.get(whole_body) is not None:
                content = write_payload(reply[whole_body])
        elif write_body is not None:
            content = write_body({name: value for name, value in reply.items() if name not in placed})
        return HttpReply(status=code, headers=(kind, *headers) if content else headers, body=content)

    return write


def _headers(name: str, member: Shape, value: Any) -> Headers:
    wire = (member.location_name or name).lower().encode()
    if member.location == "headers":
        return tuple((wire + key.lower().encode(), str(part).encode()) for key, part in value.items())
    return ((wire, _text(member, value).encode("latin-1", "replace")),)


def _text(member: Shape, value: Any) -> str:
    if member.type == "timestamp":
        return TIMESTAMPS[timestamp_format(member, "rfc822")](value)
    if member.type == "list":
        inner = member.inner("member")
        return ", ".join(_quoted(_text(inner, part)) for part in value)
    if member.jsonvalue:
        return base64.b64encode(msgspec.json.encode(value)).decode()
    # A line break in a header would start another header.
    return _PLAIN[member.type](value).replace("\r", " ").replace("\n", " ")


def _quoted(part: str) -> str:
    return '"' + part.replace('"', '\\"') + '"' if "," in part or '"' in part else part
