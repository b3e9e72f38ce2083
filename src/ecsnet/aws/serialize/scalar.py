"""Scalars as text, for the XML and header protocols."""

from __future__ import annotations

import base64
import enum
import ipaddress
import math
import re
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

from ecsnet.aws.models import Shape

_ADDRESSES = (
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
)


class ReplyError(TypeError):
    """An operation answered with something that its shape does not have: a fault of ecsnet, never of the caller."""


def text(value: Any) -> str:
    """A string member. Addresses, networks and enumerations are written in their usual form."""
    if type(value) is str:
        return value
    if isinstance(value, enum.Enum) and isinstance(value.value, str):
        return value.value
    if isinstance(value, (str, *_ADDRESSES)):
        return str(value)
    raise ReplyError(f"expected a string, got {value!r}")


_SPECIAL = re.compile("[&<>\r\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_REPLACEMENT = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}


def _replacement(found: re.Match[str]) -> str:
    # XML 1.0 cannot hold the other control characters in any form; SDKs' parsers fail on them.
    return _REPLACEMENT.get(found[0], "\ufffd")


def escaped(value: Any) -> str:
    """A string member as XML character data."""
    return _SPECIAL.sub(_replacement, text(value))


def boolean(value: Any) -> str:
    if value is True:
        return "true"
    if value is False:
        return "false"
    raise ReplyError(f"expected a boolean, got {value!r}")


def whole(value: Any) -> str:
    if type(value) is int or (isinstance(value, int) and not isinstance(value, bool)):
        return str(int(value))
    raise ReplyError(f"expected a whole number, got {value!r}")


def real(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ReplyError(f"expected a number, got {value!r}")
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def blob(value: Any) -> str:
    return base64.b64encode(value).decode()


def _milliseconds(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ReplyError(f"expected epoch seconds, got {value!r}")
    return round(value * 1000)


def iso8601(value: Any) -> str:
    """Epoch seconds as `2026-01-31T12:00:00.123Z`, the form that EC2 and the query services use."""
    seconds, rest = divmod(_milliseconds(value), 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03}Z"


def rfc822(value: Any) -> str:
    return formatdate(_milliseconds(value) // 1000, usegmt=True)


def unix(value: Any) -> str:
    seconds, rest = divmod(_milliseconds(value), 1000)
    return f"{seconds}.{rest:03}" if rest else str(seconds)


TIMESTAMPS = {"iso8601": iso8601, "rfc822": rfc822, "unixtimestamp": unix}

WRITERS = {
    "string": escaped,
    "character": escaped,
    "boolean": boolean,
    "byte": whole,
    "short": whole,
    "integer": whole,
    "long": whole,
    "biginteger": whole,
    "float": real,
    "double": real,
    "bigdecimal": real,
    "blob": blob,
    "timestamp": iso8601,
}
"""How a scalar is written as XML character data."""


def timestamp_format(shape: Shape, default: str) -> str:
    return (shape.timestamp_format or default).lower()
