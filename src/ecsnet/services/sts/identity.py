"""GetCallerIdentity."""

from __future__ import annotations

from ecsnet.model.tables import SESSION_KEYS
from ecsnet.services.call import Call, Operation, Reply, Request, read


def get_caller_identity(call: Call, request: Request) -> Reply:
    """Who signed: the session of a key that STS handed out, else the account's root user (STS API)."""
    session = call.tx.get(SESSION_KEYS, call.access_key)
    if session is not None:
        return {"UserId": session.user_id, "Account": session.account, "Arn": session.arn}
    return {"UserId": call.account, "Account": call.account, "Arn": f"arn:aws:iam::{call.account}:root"}


def get_access_key_info(call: Call, request: Request) -> Reply:
    """The account of an access key, as far as STS here has handed it out."""
    session = call.tx.get(SESSION_KEYS, request["AccessKeyId"])
    return {"Account": session.account if session is not None else call.account}


OPERATIONS: tuple[Operation, ...] = (
    read("GetCallerIdentity", get_caller_identity),
    read("GetAccessKeyInfo", get_access_key_info),
)
