"""Which services are ours, which operations they have, and the compiled codec of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

from ecsnet.aws.errors import Protocol
from ecsnet.aws.http import HttpReply
from ecsnet.aws.models import ServiceModel, load
from ecsnet.aws.parse.ec2 import compile_ec2 as parse_ec2
from ecsnet.aws.parse.json import compile_json as parse_json
from ecsnet.aws.parse.query import compile_query as parse_query
from ecsnet.aws.parse.rest import Routes
from ecsnet.aws.parse.rest_json import compile_rest_json as parse_rest_json
from ecsnet.aws.parse.rest_xml import compile_rest_xml as parse_rest_xml
from ecsnet.aws.serialize import ec2 as ec2_reply
from ecsnet.aws.serialize import json as json_reply
from ecsnet.aws.serialize import query as query_reply
from ecsnet.aws.serialize import rest_json as rest_json_reply
from ecsnet.aws.serialize import rest_xml as rest_xml_reply
from ecsnet.aws.serialize.fragments import Fragments
from ecsnet.services.call import AwsError, Operation, Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """How one operation is read and answered in one protocol.

    `parse` takes what the protocol carries: a form tree (ec2, query), the body (json) or a RestRequest (REST).
    """

    parse: Callable[[Any], dict[str, Any]]
    write: Callable[[Reply, str], HttpReply]
    """(reply, request id)"""


@dataclass(slots=True, kw_only=True)
class OwnService:
    """One service that ecsnet answers itself."""

    name: str
    model: ServiceModel
    operations: Mapping[str, Operation]
    strings: Fragments[str]
    bytes: Fragments[bytes]
    _codecs: dict[tuple[Protocol, str], Codec] = field(default_factory=dict)
    _routes: Routes | None = None

    @property
    def form_protocol(self) -> Protocol | None:
        """The protocol of form-encoded requests to this service, if it has one."""
        match self.model.metadata.protocol:
            case "ec2":
                return "ec2"
            case "query":
                return "query"
        return None

    @property
    def routes(self) -> Routes:
        """The paths of a REST service."""
        if self._routes is None:
            self._routes = Routes(self.model)
        return self._routes

    def operation(self, name: str, protocol: Protocol) -> Operation:
        """The operation. Raises the service's own error for a name it does not have, and NotImplemented for one that
        AWS has and ecsnet has not."""
        found = self.operations.get(name)
        if found is not None:
            return found
        if name in self.model.operations:
            raise AwsError(
                "NotImplemented",
                f"ecsnet does not implement {self.name} {name}. It answers nothing that it does not do; "
                "docs/generated/api-coverage.md lists what it does.",
                status=501,
            )
        match protocol:
            case "ec2":
                raise AwsError("InvalidAction", f"The action {name} is not valid for this web service.")
            case "query":
                version = self.model.metadata.api_version
                raise AwsError("InvalidAction", f"Could not find operation {name} for version {version}.")
            case "json" | "rest-json" | "rest-xml" | "cbor":
                raise AwsError("UnknownOperationException", f"{self.name} has no operation {name}.")
            case _:
                assert_never(protocol)

    def codec(self, name: str, protocol: Protocol) -> Codec:
        """The codec of an operation of the model, compiled at its first use."""
        codec = self._codecs.get((protocol, name))
        if codec is None:
            codec = self._codecs[protocol, name] = self._compile(name, protocol)
        return codec

    def _compile(self, name: str, protocol: Protocol) -> Codec:
        shape = self.model.input(name)
        match protocol:
            case "ec2":
                write = ec2_reply.compile_ec2(self.name, self.model, name, self.strings)
                return Codec(parse=parse_ec2(shape), write=_body(write, ec2_reply.CONTENT_TYPE))
            case "query":
                write = query_reply.compile_query(self.name, self.model, name, self.strings)
                return Codec(parse=parse_query(shape), write=_body(write, query_reply.CONTENT_TYPE))
            case "json":
                encode = json_reply.compile_json(self.name, self.model, name, self.bytes)
                kind = f"application/x-amz-json-{self.model.metadata.json_version}"
                return Codec(parse=parse_json(shape), write=_body(lambda reply, _: encode(reply), kind))
            case "rest-json":
                return Codec(
                    parse=parse_rest_json(shape),
                    write=rest_json_reply.compile_rest_json(self.name, self.model, name, self.bytes),
                )
            case "rest-xml":
                return Codec(
                    parse=parse_rest_xml(shape),
                    write=rest_xml_reply.compile_rest_xml(self.name, self.model, name, self.strings),
                )
            case "cbor":
                raise AwsError(
                    "NotImplemented",
                    "ecsnet does not speak the CBOR protocol (smithy-rpc-v2-cbor) yet; let the SDK use JSON.",
                    status=501,
                )
            case _:
                assert_never(protocol)


def _body(write: Callable[[Reply, str], bytes], content_type: str) -> Callable[[Reply, str], HttpReply]:
    kind = (b"content-type", content_type.encode())

    def reply(value: Reply, request_id: str) -> HttpReply:
        headers = (kind, (b"x-amzn-requestid", request_id.encode()))
        return HttpReply(status=200, headers=headers, body=write(value, request_id))

    return reply


class Registry:
    """All of our own services, found by what a request says about itself."""

    def __init__(self, services: Mapping[str, tuple[Operation, ...]]) -> None:
        """`services` maps botocore service names to operations. Raises ValueError for names that botocore lacks."""
        strings: Fragments[str] = Fragments()
        raw: Fragments[bytes] = Fragments()
        self.services: dict[str, OwnService] = {}
        for name, operations in services.items():
            model = load(name)
            by_name = {operation.name: operation for operation in operations}
            unknown = sorted(by_name.keys() - model.operations.keys())
            if unknown or len(by_name) != len(operations):
                raise ValueError(f"{name}: operations that botocore does not know, or twice: {unknown}")
            self.services[name] = OwnService(name=name, model=model, operations=by_name, strings=strings, bytes=raw)
        own = self.services.values()
        self.by_signing_name = {service.model.signing_name: service for service in own}
        self.by_target_prefix = {s.model.metadata.target_prefix: s for s in own if s.model.metadata.target_prefix}
        self.by_api_version = {s.model.metadata.api_version: s for s in own if s.form_protocol is not None}
