"""Replies of the query protocol: `<OperationResponse><OperationResult>...` and the request id in ResponseMetadata."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ecsnet.aws.models import ServiceModel
from ecsnet.aws.serialize.fragments import Fragments
from ecsnet.aws.serialize.xml import XmlCompiler

CONTENT_TYPE = "text/xml"


def compile_query(
    service: str, model: ServiceModel, operation: str, fragments: Fragments[str]
) -> Callable[[Mapping[str, Any], str], bytes]:
    """A writer of (reply, request id)."""
    shape = model.output(operation)
    head = f'<{operation}Response xmlns="{model.metadata.xml_namespace}">'
    tail = "<ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata>" + f"</{operation}Response>"
    if shape is None:
        return lambda reply, request_id: (head + tail.format(request_id)).encode()
    wrapper = shape.result_wrapper or f"{operation}Result"
    content = XmlCompiler(service, fragments).content(shape)

    def write(reply: Mapping[str, Any], request_id: str) -> bytes:
        out = [head, f"<{wrapper}>"]
        content(out, reply)
        out.append(f"</{wrapper}>")
        out.append(tail.format(request_id))
        return "".join(out).encode()

    return write
