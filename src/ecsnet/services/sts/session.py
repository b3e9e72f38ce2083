"""Temporary credentials: AssumeRole, AssumeRoleWithWebIdentity and GetSessionToken."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Any

import msgspec

from ecsnet.model.sts import SessionKey
from ecsnet.model.tables import SESSION_KEYS
from ecsnet.services.call import AwsError, Call, Operation, Reply, Request, write

ROLE_DEFAULT = 3600
"""Seconds that a role's credentials last unless asked otherwise (AssumeRole, `DurationSeconds`)."""
SESSION_DEFAULT = 43_200
"""Seconds that GetSessionToken's credentials last unless asked otherwise."""
FORGET_AFTER = 86_400
"""Seconds after its end that a key is remembered, so that its bearer hears "expired" instead of becoming another."""

_ROLE_ARN = re.compile(r"arn:(aws[a-z-]*):iam::([0-9]{12}):role/(?:[!-~]*/)?([\w+=,.@-]{1,64})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Role:
    partition: str
    account: str
    name: str


def assume_role(call: Call, request: Request) -> Reply:
    """Credentials of a role. Its trust policy is not looked at, and it need not exist (STS API, AssumeRole)."""
    role = _role(request["RoleArn"])
    return _assumed(call, role, request["RoleSessionName"], request.get("DurationSeconds", ROLE_DEFAULT))


def assume_role_with_web_identity(call: Call, request: Request) -> Reply:
    """As AssumeRole, for the bearer of an OpenID Connect token; the token is read for its subject, not verified."""
    role = _role(request["RoleArn"])
    claims = _claims(request["WebIdentityToken"])
    reply = _assumed(call, role, request["RoleSessionName"], request.get("DurationSeconds", ROLE_DEFAULT))
    reply["SubjectFromWebIdentityToken"] = str(claims.get("sub", ""))
    if "aud" in claims:
        reply["Audience"] = str(claims["aud"])
    provider = request.get("ProviderId") or claims.get("iss")
    if provider:
        reply["Provider"] = str(provider)
    return reply


def get_session_token(call: Call, request: Request) -> Reply:
    """Credentials of the caller itself (STS API, GetSessionToken)."""
    holder = call.tx.get(SESSION_KEYS, call.access_key)
    return {
        "Credentials": _issue(
            call,
            account=call.account,
            arn=holder.arn if holder is not None else f"arn:aws:iam::{call.account}:root",
            user_id=holder.user_id if holder is not None else call.account,
            seconds=request.get("DurationSeconds", SESSION_DEFAULT),
        )
    }


def _role(arn: str) -> _Role:
    found = _ROLE_ARN.fullmatch(arn)
    if found is None:
        raise AwsError("ValidationError", f"{arn} is invalid")
    return _Role(partition=found[1], account=found[2], name=found[3])


def _assumed(call: Call, role: _Role, session: str, seconds: int) -> dict[str, Any]:
    if not re.fullmatch(r"[\w+=,.@-]{2,64}", session, re.ASCII):
        raise AwsError(
            "ValidationError",
            f"1 validation error detected: Value '{session}' at 'roleSessionName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: [\\w+=,.@-]*",
        )
    # A role's unique id is IAM's business; the same role keeps the same one here, whatever its session.
    digest = hashlib.sha256(f"{role.account}/{role.name}".encode()).digest()
    role_id = "AROA" + base64.b32encode(digest).decode()[:17]
    arn = f"arn:{role.partition}:sts::{role.account}:assumed-role/{role.name}/{session}"
    user_id = f"{role_id}:{session}"
    return {
        "Credentials": _issue(call, account=role.account, arn=arn, user_id=user_id, seconds=seconds),
        "AssumedRoleUser": {"AssumedRoleId": user_id, "Arn": arn},
    }


def _issue(call: Call, *, account: str, arn: str, user_id: str, seconds: int) -> dict[str, Any]:
    for old in [key for key in call.tx.rows(SESSION_KEYS) if key.expires + FORGET_AFTER < call.now]:
        call.tx.delete(SESSION_KEYS, old.access_key)
    key = SessionKey(
        access_key=f"ASIA{call.ids.hex(16).upper()}",
        account=account,
        arn=arn,
        user_id=user_id,
        expires=float(int(call.now) + seconds),
    )
    call.tx.put(SESSION_KEYS, key)
    return {
        "AccessKeyId": key.access_key,
        "SecretAccessKey": call.ids.hex(40),
        "SessionToken": call.ids.hex(128),
        "Expiration": key.expires,
    }


def _claims(token: str) -> dict[str, Any]:
    """The claims of a JSON Web Token (RFC 7519), unverified."""
    parts = token.split(".")
    try:
        payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return msgspec.json.decode(payload, type=dict[str, Any])
    except (IndexError, ValueError, msgspec.DecodeError):
        sentence = "The web identity token that was passed is not a valid JSON Web Token"
        raise AwsError("InvalidIdentityToken", sentence) from None


OPERATIONS: tuple[Operation, ...] = (
    write("AssumeRole", assume_role),
    write("AssumeRoleWithWebIdentity", assume_role_with_web_identity),
    write("GetSessionToken", get_session_token),
)
