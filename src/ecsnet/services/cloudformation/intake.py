"""Brings together what a request's template needs from outside the store, before the request is carried out."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ecsnet.model.cloudformation import Parameter, Stack
from ecsnet.services.call import AwsError, Outside, Request
from ecsnet.services.cloudformation import transforms
from ecsnet.services.cloudformation.errors import ValidationError
from ecsnet.services.cloudformation.intrinsics import text
from ecsnet.services.cloudformation.lookup import find_stack
from ecsnet.services.cloudformation.parameters import declarations, ssm_names, value_of
from ecsnet.services.cloudformation.plan import Identity, check_form, pseudo
from ecsnet.services.cloudformation.s3_url import locate
from ecsnet.services.cloudformation.template import MAX_BODY_BYTES, MAX_URL_BYTES, parse

TEMPLATE = "ecsnet:template"
"""The template's text."""
PROCESSED = "ecsnet:processed"
"""The template after transforms, as JSON text."""
GIVEN = "ecsnet:given"
"""The parameters' values as given (previous values filled in), by name."""
SSM = "ecsnet:ssm"
"""The values of SSM-typed parameters, by parameter name."""


async def intake(outside: Outside, request: Request) -> Request:
    """Fetch the template and the SSM parameters that a request names and run the transforms.

    Raises ValidationError when the template cannot be had or read.
    """
    stack = find_stack(outside.snapshot, outside.account, outside.region, str(request.get("StackName") or ""))
    body = await template_text(outside, request, stack)
    document = parse(body).body
    given = given_parameters(request, stack)
    try:
        declared = declarations(document.get("Parameters"))
    except AttributeError:
        raise ValidationError("Template format error: Parameters must be an object.") from None
    found = await _ssm_values(outside, declared, ssm_names(declared, given))
    processed = await _transformed(outside, document, given, found, request)
    check_form(processed)
    return {**request, TEMPLATE: body, PROCESSED: json.dumps(processed, default=str), GIVEN: given, SSM: found}


async def intake_text(outside: Outside, request: Request) -> Request:
    """Only the template's text: for calls that look at a template without making anything."""
    stack = find_stack(outside.snapshot, outside.account, outside.region, str(request.get("StackName") or ""))
    return {**request, TEMPLATE: await template_text(outside, request, stack)}


async def template_text(outside: Outside, request: Request, stack: Stack | None) -> str:
    body, url = request.get("TemplateBody"), request.get("TemplateURL")
    if body and url:
        raise ValidationError("Either Template URL or Template Body must be specified, not both.")
    if body:
        size = len(str(body).encode())
        if size > MAX_BODY_BYTES:
            raise ValidationError(
                f"1 validation error detected: Value of {size} bytes at 'templateBody' failed to satisfy constraint: "
                f"Member must have length less than or equal to {MAX_BODY_BYTES}. Put the template into S3 and give "
                "TemplateURL."
            )
        return str(body)
    if url:
        return await _from_s3(outside, str(url))
    if request.get("UsePreviousTemplate") or request.get("StackName"):
        if stack is None or not stack.current.template:
            raise ValidationError("Either Template URL or Template Body must be specified.")
        return stack.current.template
    raise ValidationError("Either Template URL or Template Body must be specified.")


async def _from_s3(outside: Outside, url: str) -> str:
    location = locate(url)
    members: dict[str, Any] = {"Bucket": location.bucket, "Key": location.key}
    if location.version is not None:
        members["VersionId"] = location.version
    try:
        reply = await outside.call("s3", "GetObject", members)
    except AwsError as error:
        raise ValidationError(f"S3 error: {error.message} ({url}, {error.code})") from None
    content = reply["Body"]
    if len(content) > MAX_URL_BYTES:
        raise ValidationError(f"Template may not exceed {MAX_URL_BYTES} bytes in size ({url}).")
    try:
        return bytes(content).decode()
    except UnicodeDecodeError as error:
        raise ValidationError(f"Template format error: {url} is not UTF-8 text: {error.reason}.") from None


def given_parameters(request: Request, stack: Stack | None) -> dict[str, str]:
    """The values that a request gives, with UsePreviousValue filled in from the stack."""
    previous = {parameter.key: parameter.value for parameter in stack.current.parameters} if stack else {}
    given = {}
    for item in request.get("Parameters") or ():
        key = str(item.get("ParameterKey"))
        if item.get("UsePreviousValue"):
            if key not in previous:
                raise ValidationError(
                    f"Invalid input for parameter key {key}. Cannot specify usePreviousValue as true for a parameter "
                    "key not in the previous template"
                )
            given[key] = previous[key]
        elif item.get("ParameterValue") is None:
            raise ValidationError(f"Parameter {key} has neither a ParameterValue nor UsePreviousValue.")
        else:
            given[key] = str(item["ParameterValue"])
    return given


_FLUENT_BIT = "/aws/service/aws-for-fluent-bit/"


def _is_image(kind: str, name: str) -> bool:
    """Whether a parameter is one of AWS's public ones for machine images; any id will do, as nothing runs from it."""
    return name.startswith("/aws/service/") and ("AWS::EC2::Image::Id" in kind or name.endswith("/image_id"))


async def _ssm_values(
    outside: Outside, declared: Mapping[str, Mapping[str, Any]], names: Mapping[str, str]
) -> dict[str, str]:
    values = {}
    for parameter, name in names.items():
        try:
            reply = await outside.call("ssm", "GetParameter", {"Name": name, "WithDecryption": False})
        except AwsError as error:
            if "NotFound" not in error.code:
                raise
            if _is_image(str(declared[parameter]["Type"]), name):
                values[parameter] = f"ami-{hashlib.sha256(name.encode()).hexdigest()[:17]}"
                continue
            if name.startswith(_FLUENT_BIT):
                # FireLens guide, "Using the AWS for Fluent Bit image": what this public parameter says in every region
                tag = name.removeprefix(_FLUENT_BIT)
                values[parameter] = f"906394416424.dkr.ecr.{outside.region}.amazonaws.com/aws-for-fluent-bit:{tag}"
                continue
            raise ValidationError(
                f"Unable to fetch parameters [{name}] from parameter store for this account. (parameter {parameter})"
            ) from None
        values[parameter] = str(reply["Parameter"]["Value"])
    return values


async def _transformed(
    outside: Outside, document: Mapping[str, Any], given: Mapping[str, str], ssm: Mapping[str, str], request: Request
) -> dict[str, Any]:
    if not transforms.names(document):
        return dict(document)
    identity = Identity(
        id="",
        name=str(request.get("StackName") or ""),
        account=outside.account,
        region=outside.region,
    )
    values = pseudo(identity)
    for name, declared in declarations(document.get("Parameters")).items():
        value = given.get(name, declared.get("Default"))
        if value is not None:
            parameter = Parameter(key=name, value=text(value), resolved=ssm.get(name))
            values[name] = value_of(str(declared["Type"]), parameter)
    return await asyncio.to_thread(transforms.run, document, values, outside.region)
