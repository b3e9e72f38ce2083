"""Dynamic references, `{{resolve:service:reference}}`: replaced just before a resource is made, never stored."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ecsnet.services.call import AwsError, Outside
from ecsnet.services.cloudformation.errors import ValidationError

_REFERENCE = re.compile(r"\{\{resolve:(ssm|ssm-secure|secretsmanager):([^}]+)\}\}")


def found_in(text: str) -> bool:
    return "{{resolve:" in text


async def resolve(outside: Outside, text: str) -> dict[str, Any]:
    """Properties (JSON text) with every dynamic reference replaced by its value.

    Raises ValidationError naming the reference that cannot be resolved.
    """
    values: dict[str, str] = {}
    for match in _REFERENCE.finditer(text):
        # The text is JSON: a reference inside it may carry escaped quotes or slashes.
        reference = json.loads(f'"{match.group(0)}"')
        if reference not in values:
            values[reference] = await _value(outside, match.group(1), json.loads(f'"{match.group(2)}"'))
    properties: dict[str, Any] = _replaced(json.loads(text), values)
    return properties


def _replaced(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for reference, found in values.items():
            value = value.replace(reference, found)
        return value
    if isinstance(value, list):
        return [_replaced(item, values) for item in value]
    if isinstance(value, dict):
        return {key: _replaced(item, values) for key, item in value.items()}
    return value


async def _value(outside: Outside, service: str, reference: str) -> str:
    try:
        if service == "secretsmanager":
            return await _secret(outside, reference)
        reply = await outside.call("ssm", "GetParameter", {"Name": reference, "WithDecryption": service != "ssm"})
        return str(reply["Parameter"]["Value"])
    except AwsError as error:
        raise ValidationError(
            f"Could not resolve {{{{resolve:{service}:{reference}}}}}: {error.message} ({error.code})"
        ) from None


async def _secret(outside: Outside, reference: str) -> str:
    # secret-id:SecretString:json-key:version-stage:version-id; the id may be an ARN, which holds six colons itself.
    parts = reference.split(":")
    count = 7 if reference.startswith("arn:") else 1
    name, rest = ":".join(parts[:count]), [*parts[count:], "", "", "", ""]
    members = {"SecretId": name, "VersionStage": rest[2] or None, "VersionId": rest[3] or None}
    reply = await outside.call(
        "secretsmanager", "GetSecretValue", {key: value for key, value in members.items() if value is not None}
    )
    secret = str(reply.get("SecretString", ""))
    if not rest[1]:
        return secret
    try:
        return str(json.loads(secret)[rest[1]])
    except (ValueError, KeyError, TypeError):
        raise ValidationError(f"Could not find key {rest[1]} in the secret {name}.") from None
