"""Errors in each wire protocol, and how a service names a parameter that does not fit its shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, assert_never

import msgspec

from ecsnet.aws.http import Headers, HttpReply
from ecsnet.aws.parse.problem import Fault, ParameterError
from ecsnet.aws.serialize.scalar import escaped
from ecsnet.services.call import AwsError

Protocol = Literal["ec2", "query", "json", "rest-xml", "rest-json", "cbor"]

_VALIDATION_CODES = (
    "ValidationException",
    "InvalidParameterException",
    "InvalidInput",
    "InvalidParameterValueException",
)


def from_problem(problem: ParameterError, protocol: Protocol, declared: tuple[str, ...] = ()) -> AwsError:
    """The error that the service itself would give. `declared`: the error codes in the operation's model."""
    if problem.fault is Fault.MALFORMED:
        return _malformed(problem.text, protocol)
    match protocol:
        case "ec2":
            return _ec2(problem)
        case "query":
            return AwsError("ValidationError", _constraint(problem))
        case "json" | "cbor" | "rest-json":
            if problem.fault is Fault.TYPE:
                return AwsError("SerializationException", _type_sentence(problem))
            return AwsError(_validation_code(declared, "ValidationException"), _constraint(problem))
        case "rest-xml":
            return AwsError(_validation_code(declared, "InvalidInput"), _constraint(problem))
        case _:
            assert_never(protocol)


def _validation_code(declared: tuple[str, ...], default: str) -> str:
    return next((code for code in _VALIDATION_CODES if code in declared), default)


def _malformed(text: str, protocol: Protocol) -> AwsError:
    match protocol:
        case "ec2" | "query":
            return AwsError("MalformedQueryString", text)
        case "json" | "rest-json" | "cbor":
            return AwsError("SerializationException", text)
        case "rest-xml":
            return AwsError("MalformedInput", text)
        case _:
            assert_never(protocol)


def _ec2(problem: ParameterError) -> AwsError:
    name = ".".join(problem.path)
    match problem.fault:
        case Fault.MISSING:
            return AwsError("MissingParameter", f"The request must contain the parameter {name}")
        case Fault.RANGE | Fault.LENGTH:
            wanted = (
                f"greater than or equal to {problem.low:g}"
                if problem.low is not None
                else f"less than or equal to {problem.high:g}"
            )
            shown = f"Value ( {problem.value} ) for parameter {name} is invalid."
            return AwsError("InvalidParameterValue", f"{shown} Expecting a value {wanted}.")
        case Fault.TYPE | Fault.MALFORMED:
            shown = f"Value ({_shown(problem.value)}) for parameter {name} is invalid."
            return AwsError("InvalidParameterValue", f"{shown} It is not a valid {problem.expected}.")
        case _:
            assert_never(problem.fault)


def _constraint(problem: ParameterError) -> str:
    """AWS's text for a broken constraint, as CloudFormation and Elastic Load Balancing give it."""
    name = ".".join(part[:1].lower() + part[1:] for part in problem.path) or "request"
    number = f"{problem.low if problem.low is not None else problem.high:g}" if _limited(problem) else ""
    match problem.fault:
        case Fault.MISSING:
            shown, wanted = "null", "Member must not be null"
        case Fault.RANGE:
            relation = "greater" if problem.low is not None else "less"
            shown, wanted = f"'{problem.value}'", f"Member must have value {relation} than or equal to {number}"
        case Fault.LENGTH:
            relation = "greater" if problem.low is not None else "less"
            shown, wanted = (
                f"'{_shown(problem.value)}'",
                f"Member must have length {relation} than or equal to {number}",
            )
        case Fault.TYPE | Fault.MALFORMED:
            shown, wanted = f"'{_shown(problem.value)}'", f"Member must be a valid {problem.expected}"
        case _:
            assert_never(problem.fault)
    return f"1 validation error detected: Value {shown} at '{name}' failed to satisfy constraint: {wanted}"


def _limited(problem: ParameterError) -> bool:
    return problem.low is not None or problem.high is not None


def _type_sentence(problem: ParameterError) -> str:
    kind = {str: "STRING_VALUE", bool: "TRUE_VALUE" if problem.value is True else "FALSE_VALUE", int: "NUMBER_VALUE"}
    kind |= {float: "DECIMAL_VALUE", list: "Start of list", dict: "Start of structure or map", type(None): "NULL_VALUE"}
    found = kind.get(type(problem.value), type(problem.value).__name__)
    where = ".".join(problem.path) or "the request"
    return f"{found} cannot be converted to {str(problem.expected).capitalize()} (at {where})"


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def write_error(
    error: AwsError, protocol: Protocol, request_id: str, *, namespace: str | None = None, query_mode: bool = False
) -> HttpReply:
    """The reply for an error. `query_mode`: the client sent `x-amzn-query-mode` and looks for the query code too."""
    sender = "Sender" if error.status < 500 else "Receiver"
    headers: Headers = ((b"x-amzn-requestid", request_id.encode()),)
    if query_mode:
        headers += ((b"x-amzn-query-error", f"{error.code};{sender}".encode()),)
    match protocol:
        case "ec2":
            body = (
                '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error>'
                f"<Code>{escaped(error.code)}</Code><Message>{escaped(error.message)}</Message>"
                f"</Error></Errors><RequestID>{request_id}</RequestID></Response>"
            ).encode()
            headers += ((b"content-type", b"text/xml;charset=UTF-8"),)
        case "query" | "rest-xml":
            xmlns = f' xmlns="{namespace}"' if namespace else ""
            body = (
                f"<ErrorResponse{xmlns}><Error><Type>{sender}</Type><Code>{escaped(error.code)}</Code>"
                f"<Message>{escaped(error.message)}</Message>{_members(error.detail)}</Error>"
                f"<RequestId>{request_id}</RequestId></ErrorResponse>"
            ).encode()
            headers += ((b"content-type", b"text/xml"),)
        case "json":
            body = msgspec.json.encode({"__type": error.code, "message": error.message, **error.detail})
            headers += ((b"content-type", b"application/x-amz-json-1.1"),)
        case "rest-json":
            body = msgspec.json.encode({"message": error.message, **error.detail})
            headers += ((b"content-type", b"application/json"), (b"x-amzn-errortype", error.code.encode()))
        case "cbor":
            body = cbor_strings({"__type": error.code, "message": error.message})
            headers += ((b"content-type", b"application/cbor"), (b"smithy-protocol", b"rpc-v2-cbor"))
        case _:
            assert_never(protocol)
    return HttpReply(status=error.status, headers=headers, body=body)


def _members(detail: Mapping[str, Any]) -> str:
    return "".join(f"<{name}>{escaped(str(value))}</{name}>" for name, value in detail.items())


def cbor_strings(entries: Mapping[str, str]) -> bytes:
    """A map of text to text in CBOR (RFC 8949 §3.1, major types 5 and 3); enough for an error."""
    out = [bytes([0xA0 | len(entries)])]
    for text in (part for entry in entries.items() for part in entry):
        raw = text.encode()
        out.append(b"\x7a" + len(raw).to_bytes(4, "big") + raw)
    return b"".join(out)
