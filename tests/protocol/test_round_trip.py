"""Every protocol against botocore: what it sends we read, what we write it reads."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import pytest
from botocore.awsrequest import HeadersDict
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from shapes import model, normal, parser, serializer, shown, stamped, values

from ecsnet.aws import models
from ecsnet.aws.http import Head
from ecsnet.aws.parse import form
from ecsnet.aws.parse.rest import RestRequest
from ecsnet.aws.registry import OwnService
from ecsnet.aws.serialize.fragments import Fragments

SAMPLE = {
    "ec2": (
        "ec2",
        ("CreateVpc", "CreateSubnet", "CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "DescribeVpcs",
         "DescribeNetworkInterfaces", "CreateNatGateway", "ModifyVpcAttribute", "CreateTags", "RunInstances",
         "CreateNetworkAclEntry", "AllocateAddress", "DescribeSubnets", "CreateRoute", "CreateFlowLogs"),
    ),
    "elbv2": (
        "query",
        ("CreateLoadBalancer", "CreateRule", "ModifyTargetGroup", "DescribeTargetHealth", "RegisterTargets",
         "CreateListener", "SetRulePriorities", "DescribeRules"),
    ),
    "cloudformation": (
        "query",
        ("CreateStack", "DescribeStacks", "CreateChangeSet", "DescribeStackEvents", "UpdateStackSet"),
    ),
    "sts": ("query", ("AssumeRole", "GetCallerIdentity", "AssumeRoleWithWebIdentity")),
    "autoscaling": ("query", ("CreateAutoScalingGroup", "PutScalingPolicy")),
    "sns": ("query", ("PublishBatch", "SetEndpointAttributes")),
    "ecs": (
        "json",
        ("RegisterTaskDefinition", "RunTask", "CreateService", "DescribeTasks", "UpdateService", "PutAttributes",
         "DescribeServices", "ListTasks"),
    ),
    "servicediscovery": ("json", ("CreateService", "DiscoverInstances", "RegisterInstance")),
    "application-autoscaling": ("json", ("PutScalingPolicy", "RegisterScalableTarget", "DescribeScalingActivities")),
    "dynamodb": ("json", ("PutItem",)),
    "route53": (
        "rest-xml",
        ("ChangeResourceRecordSets", "CreateHostedZone", "ListResourceRecordSets", "CreateHealthCheck"),
    ),
    "s3": (  # not operations that return an object: botocore changes the type of their Expires after loading the model
        "rest-xml",
        ("PutBucketVersioning", "ListObjectsV2", "PutBucketAcl", "PutBucketTagging", "PutObjectTagging"),
    ),
    "lambda": ("rest-json", ("CreateFunction", "ListFunctions", "Invoke", "GetFunction", "TagResource")),
    "appmesh": ("rest-json", ("CreateVirtualNode", "ListMeshes")),
    "efs": ("rest-json", ("CreateFileSystem", "DescribeMountTargets")),
}  # fmt: skip

FORMS = ("ec2", "query")
CASES = [(service, protocol, operation) for service, (protocol, names) in SAMPLE.items() for operation in names]
IDS = [f"{service}-{operation}" for service, _, operation in CASES]

_SERVICES: dict[str, OwnService] = {}


def own(service: str) -> OwnService:
    if service not in _SERVICES:
        _SERVICES[service] = OwnService(
            name=service, model=models.load(service), operations={}, strings=Fragments(), bytes=Fragments()
        )
    return _SERVICES[service]


def quick(function: Any) -> Any:
    return settings(max_examples=10, deadline=None, database=None, suppress_health_check=list(HealthCheck))(function)


def head(request: dict[str, Any]) -> tuple[Head, bytes]:
    """The request that botocore would send, as our server would hand it over."""
    path, _, constants = request["url_path"].partition("?")
    query = request["query_string"] or {}
    pairs = [(k, v) for k, vs in query.items() for v in (vs if isinstance(vs, list) else [vs])]
    encoded = "&".join(part for part in (constants, urlencode(pairs, quote_via=quote)) if part)
    headers = {k.lower().encode(): str(v).encode() for k, v in request["headers"].items()}
    body = request["body"]
    if isinstance(body, dict):
        body = urlencode(body).encode()
    raw = body if isinstance(body, bytes) else str(body).encode()
    return Head(request["method"], path, encoded.encode(), headers, list(headers.items())), raw


@pytest.mark.parametrize(("service", "protocol", "operation"), CASES, ids=IDS)
def test_we_read_what_botocore_sends(service: str, protocol: Any, operation: str) -> None:
    described = model(service).operation_model(operation)
    shape = described.input_shape
    codec = own(service).codec(operation, protocol)

    @quick
    @given(st.data())
    def check(data: st.DataObject) -> None:
        params = data.draw(values(shape, full=protocol in FORMS)) if shape is not None else {}
        request = serializer(protocol).serialize_to_request(
            stamped(shape, params) if shape is not None else {}, described
        )
        received, body = head(request)
        payload: Any = body
        if protocol in ("ec2", "query"):
            payload = form.tree(received.query, body)
        elif protocol.startswith("rest"):
            match = own(service).routes.match(received)
            assume(match is not None)  # a key of slashes alone is no path
            assert match is not None
            assert match[0] == operation
            payload = RestRequest(head=received, labels=match[1], body=body)
        read = codec.parse(payload)
        expected = normal(shape, params) if shape is not None else {}
        if protocol in ("ec2", "rest-xml", "query"):
            read, expected = shown(read), shown(expected)
        assert read == expected

    check()


@pytest.mark.parametrize(("service", "protocol", "operation"), CASES, ids=IDS)
def test_botocore_reads_what_we_write(service: str, protocol: Any, operation: str) -> None:
    described = model(service).operation_model(operation)
    shape = described.output_shape
    codec = own(service).codec(operation, protocol)

    @quick
    @given(st.data())
    def check(data: st.DataObject) -> None:
        reply = data.draw(values(shape)) if shape is not None else {}
        written = codec.write(reply, "the-request-id")
        assert isinstance(written.body, bytes)
        headers = HeadersDict({name.decode(): value.decode("latin-1") for name, value in written.headers})
        response = {"status_code": written.status, "headers": headers, "body": written.body}
        if shape is not None and shape.serialization.get("payload"):
            payload = shape.members[shape.serialization["payload"]]
            if payload.type_name in ("blob", "string"):  # botocore leaves streams to its HTTP client
                whole = reply.pop(shape.serialization["payload"], b"")
                assert written.body == (whole if isinstance(whole, bytes) else whole.encode())
                response["body"] = b""
        parsed = parser(protocol).parse(response, shape)
        parsed = {name: value for name, value in parsed.items() if value not in ("", b"")}
        metadata = parsed.pop("ResponseMetadata")
        if protocol != "rest-xml":
            assert metadata["RequestId"] == "the-request-id"
        if shape is None:
            assert parsed == {}
            return
        expected = normal(shape, reply)
        read = normal(shape, parsed)
        for name, member in shape.members.items():
            if member.serialization.get("location") == "statusCode":
                assert read.pop(name) == expected.pop(name, 200)
        if protocol in ("rest-xml", "rest-json") and any(
            m.serialization.get("location") for m in shape.members.values()
        ):
            read = {k: v for k, v in read.items() if v != {} or k in expected}
        assert shown(read) == shown(expected)

    check()
