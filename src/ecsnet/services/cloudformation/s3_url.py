"""Where a template URL points: bucket and key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from ecsnet.services.cloudformation.errors import ValidationError

_PATH_STYLE = re.compile(r"s3([.-](dualstack\.)?[a-z0-9-]+)?\.amazonaws\.com(\.cn)?")
_HOST_STYLE = re.compile(r"(?P<bucket>.+)\.s3([.-](dualstack\.)?[a-z0-9-]+)?\.(amazonaws\.com(\.cn)?|localhost.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    bucket: str
    key: str
    version: str | None = None


def locate(url: str) -> Location:
    """Read an S3 address: `s3://`, AWS's host and path forms, or bucket and key at this endpoint's own address.

    Raises ValidationError for anything else.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    path = unquote(parts.path.lstrip("/"))
    found = _HOST_STYLE.fullmatch(host)
    if parts.scheme == "s3":
        bucket, key = host, path
    elif parts.scheme not in ("http", "https"):
        raise _invalid(url)
    elif found is not None and not _PATH_STYLE.fullmatch(host):
        bucket, key = found["bucket"], path
    elif _PATH_STYLE.fullmatch(host) or "amazonaws" not in host:
        bucket, _, key = path.partition("/")
    else:
        raise _invalid(url)
    if not bucket or not key:
        raise _invalid(url)
    return Location(bucket=bucket, key=key, version=parse_qs(parts.query).get("versionId", [None])[0])


def _invalid(url: str) -> ValidationError:
    return ValidationError(
        f"S3 error: {url!r} is not a supported S3 URL. Give https://<bucket>.s3.<region>.amazonaws.com/<key>, "
        "s3://<bucket>/<key> or <endpoint>/<bucket>/<key>."
    )
