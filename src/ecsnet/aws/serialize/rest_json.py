"""Replies of the rest-json protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ecsnet.aws.http import HttpReply
from ecsnet.aws.models import ServiceModel, Shape
from ecsnet.aws.serialize.fragments import Fragments
from ecsnet.aws.serialize.json import JsonCompiler, encoder
from ecsnet.aws.serialize.rest import compile_rest_reply


def compile_rest_json(
    service: str, model: ServiceModel, operation: str, fragments: Fragments[bytes]
) -> Callable[[Mapping[str, Any], str], HttpReply]:
    """A writer of (reply, request id)."""
    encode = encoder(f"{service}/{operation}", fragments).encode

    def body(shape: Shape) -> Callable[[Mapping[str, Any]], bytes]:
        walk = JsonCompiler().compile(shape)
        return lambda reply: encode(walk(reply))

    def payload(shape: Shape, name: str) -> Callable[[Any], bytes]:
        if shape.type == "blob":
            return bytes
        if shape.type == "string":
            return lambda value: str(value).encode()
        return body(shape)

    return compile_rest_reply(model, operation, content_type="application/json", body=body, payload=payload)
