"""Client tokens (EC2 API, "Ensuring idempotency"): the same token with the same parameters makes nothing twice."""

from __future__ import annotations

import hashlib

import msgspec

from ecsnet.model import ec2
from ecsnet.model.base import scope
from ecsnet.model.tables import CLIENT_TOKENS, CLIENT_TOKENS_BY_RESOURCE
from ecsnet.services.call import AwsError, Call, Request

_NOT_COMPARED = frozenset({"ClientToken", "DryRun"})


def earlier(call: Call, operation: str, request: Request) -> str | None:
    """The id that an earlier call with this token made, or None.

    Raises IdempotentParameterMismatch when that call had other parameters.
    """
    token = request.get("ClientToken")
    if not token:
        return None
    row = call.tx.get(CLIENT_TOKENS, f"{scope(call.account, call.region)}/{operation}/{token}")
    if row is None:
        return None
    if row.fingerprint != _fingerprint(request):
        raise AwsError(
            "IdempotentParameterMismatch",
            f"The client token '{token}' was used before with other parameters. Use a new token for a new request.",
        )
    return row.resource


def remember(call: Call, operation: str, request: Request, resource: str) -> None:
    """Keep the token for as long as `resource` exists."""
    token = request.get("ClientToken")
    if token:
        call.tx.put(
            CLIENT_TOKENS,
            ec2.ClientToken(
                account=call.account,
                region=call.region,
                operation=operation,
                token=token,
                fingerprint=_fingerprint(request),
                resource=resource,
            ),
        )


def forget(call: Call, resource: str) -> None:
    """Drop the tokens of a resource that is gone."""
    for key in list(call.tx.keys(CLIENT_TOKENS_BY_RESOURCE, resource)):
        call.tx.delete(CLIENT_TOKENS, key)


def _fingerprint(request: Request) -> str:
    compared = {key: value for key, value in request.items() if key not in _NOT_COMPARED}
    return hashlib.sha256(msgspec.json.encode(compared, order="deterministic")).hexdigest()
