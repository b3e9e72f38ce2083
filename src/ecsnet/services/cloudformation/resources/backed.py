"""What the provisioners of backed types share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ecsnet.services.call import AwsError, Reply
from ecsnet.services.cloudformation.resources.base import BackedEnv, is_missing

_EXISTS = ("AlreadyExists", "AlreadyOwnedByYou", "ResourceConflict", "QueueNameExists", "QueueAlreadyExists")


def document(value: Any) -> str:
    """A policy document as the APIs take it: JSON text."""
    return value if isinstance(value, str) else json.dumps(value)


async def create_or_adopt(env: BackedEnv, service: str, operation: str, members: Mapping[str, Any]) -> Reply | None:
    """Create something; None when it is there already because an earlier attempt, cut off by a crash, made it."""
    try:
        return await env.run(service, operation, members)
    except AwsError as error:
        if env.resumed and any(word in error.code for word in _EXISTS):
            return None
        raise


async def if_there(env: BackedEnv, service: str, operation: str, members: Mapping[str, Any]) -> Reply | None:
    """Run an operation on something that may be gone; None when it is."""
    try:
        return await env.run(service, operation, members)
    except AwsError as error:
        if is_missing(error):
            return None
        raise


def tag_map(env: BackedEnv, properties: Mapping[str, Any]) -> dict[str, str] | None:
    return {tag["Key"]: tag["Value"] for tag in env.naming.tags(properties)} or None
