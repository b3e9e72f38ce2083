"""Pages of lists, and replies without absent members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ecsnet.services.call import Request
from ecsnet.services.cloudformation.errors import ValidationError


def page(items: Sequence[Any], request: Request, member: str, size: int) -> dict[str, Any]:
    """One page of a list; the token is the offset of the next."""
    token = request.get("NextToken")
    if token is not None and not (str(token).isdigit() and int(token) <= len(items)):
        raise ValidationError(f"Token {token!r} is not one that an earlier answer gave.")
    start = int(token or 0)
    reply: dict[str, Any] = {member: list(items[start : start + size])}
    if start + size < len(items):
        reply["NextToken"] = str(start + size)
    return reply


def without_none(members: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in members.items() if value is not None}
