"""Stored temporary credentials, so that a later request signed with them is known by account and role."""

from __future__ import annotations

from ecsnet.model.base import Record


class SessionKey(Record, frozen=True, kw_only=True, gc=False):
    """An access key that AssumeRole or GetSessionToken handed out."""

    access_key: str
    account: str
    arn: str
    """Who the bearer is: `arn:aws:sts::<account>:assumed-role/<role>/<session>` or the user it was made for."""
    user_id: str
    expires: float
    """Epoch seconds."""
