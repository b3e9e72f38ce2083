"""Replies of the ec2 protocol: `<OperationResponse>` with the members, a `requestId` and no result wrapper."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ecsnet.aws.models import ServiceModel
from ecsnet.aws.serialize.fragments import Fragments
from ecsnet.aws.serialize.xml import XmlCompiler

CONTENT_TYPE = "text/xml;charset=UTF-8"


def compile_ec2(
    service: str, model: ServiceModel, operation: str, fragments: Fragments[str]
) -> Callable[[Mapping[str, Any], str], bytes]:
    """A writer of (reply, request id)."""
    shape = model.output(operation)
    opening = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<{operation}Response xmlns="{model.metadata.xml_namespace}"><requestId>'
    )
    close = f"</{operation}Response>"
    if shape is None:
        # EC2 answers operations that return nothing with this element; botocore does not look at it, older tools do.
        return lambda reply, request_id: f"{opening}{request_id}</requestId><return>true</return>{close}".encode()
    content = XmlCompiler(service, fragments, ec2=True).content(shape)

    def write(reply: Mapping[str, Any], request_id: str) -> bytes:
        out = [opening, request_id, "</requestId>"]
        content(out, reply)
        out.append(close)
        return "".join(out).encode()

    return write
