"""Replies of the rest-xml protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ecsnet.aws.http import HttpReply
from ecsnet.aws.models import ServiceModel, Shape
from ecsnet.aws.serialize.fragments import Fragments
from ecsnet.aws.serialize.rest import compile_rest_reply
from ecsnet.aws.serialize.xml import XmlCompiler

_PROLOGUE = '<?xml version="1.0" encoding="UTF-8"?>\n'


def compile_rest_xml(
    service: str, model: ServiceModel, operation: str, fragments: Fragments[str]
) -> Callable[[Mapping[str, Any], str], HttpReply]:
    """A writer of (reply, request id)."""
    compiler = XmlCompiler(service, fragments)
    namespace = model.metadata.xml_namespace
    xmlns = f' xmlns="{namespace}"' if namespace else ""

    def body(shape: Shape) -> Callable[[Mapping[str, Any]], bytes]:
        content = compiler.content(shape)
        root = shape.location_name or f"{operation}Response"

        def write(reply: Mapping[str, Any]) -> bytes:
            out = [_PROLOGUE, f"<{root}{xmlns}>"]
            content(out, reply)
            out.append(f"</{root}>")
            return "".join(out).encode()

        return write

    def payload(shape: Shape, name: str) -> Callable[[Any], bytes]:
        if shape.type == "blob":
            return bytes
        if shape.type == "string":
            return lambda value: str(value).encode()
        element = compiler.element(shape, shape.location_name or name)

        def write(value: Any) -> bytes:
            out = [_PROLOGUE]
            element(out, value)
            return "".join(out).encode()

        return write

    return compile_rest_reply(model, operation, content_type="text/xml", body=body, payload=payload)
