"""Who asks, and for which service and region: read from the SigV4 credential scope. Signatures are not checked."""

from __future__ import annotations

import functools
import re
from urllib.parse import parse_qs

import msgspec

from ecsnet.aws.http import Head

DEFAULT_ACCOUNT = "123456789012"
DEFAULT_REGION = "us-east-1"

_ACCOUNT = re.compile(r"[0-9]{12}")
_REGION = re.compile(r"[a-z0-9-]{1,32}")


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """What a request's signature names; empty strings where it says nothing (unsigned, or signed in an old way)."""

    access_key: str = ""
    region: str = ""
    service: str = ""


def credential_of(head: Head) -> Credential:
    """The credential of a request, from the Authorization header or from a presigned URL."""
    authorization = head.header(b"authorization")
    if authorization.startswith("AWS4-"):
        start = authorization.find("Credential=")
        if start >= 0:
            end = authorization.find(",", start)
            return _scope(authorization[start + 11 : end if end >= 0 else None].strip())
    elif authorization.startswith("AWS "):
        return Credential(access_key=authorization[4:].partition(":")[0], service="s3")
    if b"X-Amz-Credential=" in head.query:
        return _scope(parse_qs(head.query.decode("latin-1")).get("X-Amz-Credential", [""])[0])
    if b"AWSAccessKeyId=" in head.query and b"Signature=" in head.query and b"Action=" not in head.query:
        key = parse_qs(head.query.decode("latin-1")).get("AWSAccessKeyId", [""])[0]
        return Credential(access_key=key, service="s3")
    return Credential()


@functools.lru_cache(maxsize=256)  # the same for all requests of a client in a day
def _scope(text: str) -> Credential:
    match text.split("/"):
        case [key, _, region, service, "aws4_request"]:
            # Regions become parts of ids and ARNs, so nothing but a region's letters is taken over.
            return Credential(access_key=key, region=region if _REGION.fullmatch(region) else "", service=service)
        case [key, _, service, "aws4_request"]:  # SigV4a names no region
            return Credential(access_key=key, service=service)
        case [key, *_]:
            return Credential(access_key=key)
    return Credential()


def account_in(access_key: str) -> str | None:
    """An access key of twelve digits is an account's number, as moto and LocalStack have it."""
    return access_key if _ACCOUNT.fullmatch(access_key) else None
