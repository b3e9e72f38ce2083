"""Errors are parsed back by botocore with code, message and request id, in every protocol."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.awsrequest import HeadersDict
from hypothesis import given, settings
from hypothesis import strategies as st
from shapes import model, parser

from ecsnet.aws import models
from ecsnet.aws.errors import from_problem, write_error
from ecsnet.aws.parse import form
from ecsnet.aws.parse.ec2 import compile_ec2
from ecsnet.aws.parse.json import compile_json
from ecsnet.aws.parse.problem import ParameterError
from ecsnet.aws.parse.query import compile_query
from ecsnet.aws.parse.rest import RestRequest
from ecsnet.aws.parse.rest_xml import compile_rest_xml
from ecsnet.services.call import AwsError

PROTOCOLS = {
    "ec2": "ec2",
    "query": "elbv2",
    "json": "ecs",
    "rest-xml": "route53",
    "rest-json": "lambda",
    "cbor": "servicediscovery",
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(max_examples=30, deadline=None, database=None)
@given(message=st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1))
def test_an_error_is_parsed_back(protocol: Any, message: str) -> None:
    error = AwsError("SomeThing.NotFound", message, status=404)
    reply = write_error(error, protocol, "the-request-id", namespace="https://example.com/doc/")
    assert isinstance(reply.body, bytes)
    headers = HeadersDict({name.decode(): value.decode() for name, value in reply.headers})
    response = {"status_code": reply.status, "headers": headers, "body": reply.body}
    name = "smithy-rpc-v2-cbor" if protocol == "cbor" else protocol
    parsed = parser(name).parse(response, None)
    assert parsed["Error"]["Code"] == "SomeThing.NotFound"
    # expat takes outer white space of an element away from nobody, but botocore strips it for a few names
    assert parsed["Error"]["Message"].strip() == message.strip()
    assert parsed["ResponseMetadata"]["RequestId"] == "the-request-id"
    assert parsed["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_query_compatible_clients_get_the_old_code_too() -> None:
    reply = write_error(AwsError("QueueDoesNotExist", "no"), "json", "id", query_mode=True)
    assert (b"x-amzn-query-error", b"QueueDoesNotExist;Sender") in reply.headers


def test_further_members_of_an_error() -> None:
    error = AwsError("TransactionCanceledException", "no", detail={"CancellationReasons": [{"Code": "None"}]})
    reply = write_error(error, "json", "id")
    response = {"status_code": 400, "headers": dict[str, str](), "body": reply.body}
    shape = model("dynamodb").shape_for("TransactionCanceledException")
    assert parser("json").parse(response, shape)["CancellationReasons"] == [{"Code": "None"}]


def _problem(parse: Any, payload: Any) -> ParameterError:
    with pytest.raises(ParameterError) as caught:
        parse(payload)
    return caught.value


def ec2(operation: str, body: bytes) -> AwsError:
    return from_problem(_problem(compile_ec2(models.load("ec2").input(operation)), form.tree(body)), "ec2")


def query(service: str, operation: str, body: bytes) -> AwsError:
    return from_problem(_problem(compile_query(models.load(service).input(operation)), form.tree(body)), "query")


def json(service: str, operation: str, body: bytes) -> AwsError:
    loaded = models.load(service)
    return from_problem(_problem(compile_json(loaded.input(operation)), body), "json", loaded.error_codes(operation))


def test_ec2_names_what_is_wrong() -> None:
    error = ec2("CreateSecurityGroup", b"GroupName=web")
    assert (error.code, error.message) == (
        "MissingParameter",
        "The request must contain the parameter GroupDescription",
    )
    error = ec2("DescribeVpcs", b"MaxResults=many")
    assert (error.code, "many" in error.message, "MaxResults" in error.message) == ("InvalidParameterValue", True, True)
    error = ec2("DescribeVpcs", b"MaxResults=3")
    assert error.code == "InvalidParameterValue"
    assert (
        error.message
        == "Value ( 3 ) for parameter MaxResults is invalid. Expecting a value greater than or equal to 5."
    )
    error = ec2("CreateTags", b"ResourceId.first=vpc-1&Tag.1.Key=a")
    assert "ResourceId" in error.message
    error = ec2("CreateVpc", b"DryRun=perhaps")
    assert (error.code, "DryRun" in error.message) == ("InvalidParameterValue", True)


def test_query_speaks_of_constraints() -> None:
    error = query("cloudformation", "CreateStack", b"TemplateBody=x")
    wanted = (
        "1 validation error detected: Value null at 'stackName' failed to satisfy constraint: Member must not be null"
    )
    assert (error.code, error.message) == ("ValidationError", wanted)
    error = query("elbv2", "CreateTargetGroup", b"Name=a&Port=70000")
    assert error.message.endswith(
        "Value '70000' at 'port' failed to satisfy constraint: Member must have value less than or equal to 65535"
    )
    error = query("elbv2", "AddTags", b"ResourceArns.member.1=x&Tags.member.1.Value=v")
    assert "'tags.member.1.key'" in error.message
    error = query("sts", "AssumeRole", b"RoleArn=short&RoleSessionName=me")
    assert "Member must have length greater than or equal to 20" in error.message


def test_json_uses_a_code_that_the_operation_declares() -> None:
    assert json("ecs", "CreateService", b"{}").code == "InvalidParameterException"
    assert json("application-autoscaling", "RegisterScalableTarget", b"{}").code == "ValidationException"
    assert json("servicediscovery", "CreateService", b"{}").code == "InvalidInput"
    error = json("ecs", "ListTasks", b'{"maxResults": "ten"}')
    assert (error.code, error.message) == (
        "SerializationException",
        "STRING_VALUE cannot be converted to Integer (at maxResults)",
    )
    assert json("ecs", "ListTasks", b'{"cluster": 1}').code == "SerializationException"
    assert json("ecs", "ListTasks", b"[]").code == "SerializationException"
    assert json("ecs", "DescribeTasks", b'{"tasks": ["a", null]}').code == "SerializationException"
    assert json("ecs", "ListTasks", b'{"maxResults": 99999999999}').code == "SerializationException"


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b'{"a": 1}}', b"[" * 100_000, b'{"cluster": "\\ud800"}'])
def test_what_is_not_json(body: bytes) -> None:
    error = json("ecs", "ListTasks", body)
    assert error.code == "SerializationException"


@pytest.mark.parametrize(
    "body",
    [
        b"Name=%ff%fe",
        b"\xff=1",
        b"&".join(b"A.%d=1" % number for number in range(30_000)),
        b".".join([b"A"] * 100) + b"=1",
    ],
)
def test_forms_that_cannot_be_read(body: bytes) -> None:
    with pytest.raises(ParameterError) as caught:
        form.tree(body)
    error = from_problem(caught.value, "query")
    assert (error.code, error.status, bool(error.message)) == ("MalformedQueryString", 400, True)


@pytest.mark.parametrize(
    "body",
    [
        b"<ChangeResourceRecordSetsRequest>",
        b"not xml",
        b'<!DOCTYPE a [<!ENTITY b "c">]><ChangeResourceRecordSetsRequest>&b;</ChangeResourceRecordSetsRequest>',
        b"\x00",
    ],
)
def test_what_is_not_xml(body: bytes) -> None:
    from ecsnet.aws.http import Head

    parse = compile_rest_xml(models.load("route53").input("ChangeResourceRecordSets"))
    request = RestRequest(head=Head("POST", "/", b"", {}, ()), labels={"Id": "Z1"}, body=body)
    assert from_problem(_problem(parse, request), "rest-xml").code == "MalformedInput"


def test_unknown_and_repeated_members_are_no_error() -> None:
    parse = compile_ec2(models.load("ec2").input("CreateVpc"))
    read = parse(form.tree(b"CidrBlock=10.0.0.0/16&Brand.New.1=x&CidrBlock=10.1.0.0/16&Tag&=&&"))
    assert read == {"CidrBlock": "10.1.0.0/16"}
    parse_json = compile_json(models.load("ecs").input("ListTasks"))
    assert parse_json(b'{"cluster": "a", "brandNew": {"x": 1}, "family": null}') == {"cluster": "a"}


def test_lists_come_in_the_order_of_their_numbers() -> None:
    parse = compile_ec2(models.load("ec2").input("DescribeVpcs"))
    body = b"&".join(b"VpcId.%d=v%d" % (number, number) for number in (10, 2, 1, 30))
    assert parse(form.tree(body)) == {"VpcIds": ["v1", "v2", "v10", "v30"]}
