"""Scalars written as text, as the form, XML and header protocols have them."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from ecsnet.aws.models import Shape
from ecsnet.aws.parse.problem import Fault, ParameterError

TextReader = Callable[[str], Any]


def _boolean(text: str) -> bool:
    match text:
        case "true" | "True" | "TRUE" | "1":
            return True
        case "false" | "False" | "FALSE" | "0":
            return False
    raise ParameterError(Fault.TYPE, value=text, expected="boolean")


def whole(bits: int, expected: str) -> Callable[[str], int]:
    """A reader of whole numbers that fit `bits` bits."""
    high = 1 << (bits - 1)

    def read(text: str) -> int:
        try:
            value = int(text) if len(text) < 40 else None
        except ValueError:
            value = None
        if value is None or not -high <= value < high:
            raise ParameterError(Fault.TYPE, value=text, expected=expected)
        return value

    return read


def _real(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ParameterError(Fault.TYPE, value=text, expected="float") from None


def timestamp(text: str) -> float:
    """Epoch seconds from ISO 8601, RFC 822 or a number, which is what SDKs send."""
    try:
        value = float(text)
    except ValueError:
        pass
    else:
        if math.isfinite(value):
            return value
    try:
        moment = datetime.fromisoformat(text) if text[:4].isdigit() else parsedate_to_datetime(text)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, TypeError):
        raise ParameterError(Fault.TYPE, value=text, expected="timestamp") from None


def blob(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ParameterError(Fault.TYPE, value=text, expected="blob") from None


def _text(text: str) -> str:
    return text


_READERS: dict[str, TextReader] = {
    "string": _text,
    "character": _text,
    "boolean": _boolean,
    "byte": whole(8, "byte"),
    "short": whole(16, "short"),
    "integer": whole(32, "integer"),
    "long": whole(64, "long"),
    "biginteger": whole(128, "biginteger"),
    "float": _real,
    "double": _real,
    "bigdecimal": _real,
    "timestamp": timestamp,
    "blob": blob,
}

_NUMBERS = frozenset({"byte", "short", "integer", "long", "float", "double"})


def limited(shape: Shape, read: Callable[[Any], Any], *, lengths: bool = True) -> Callable[[Any], Any]:
    """`read`, then the shape's own limits: the size of numbers and, where `lengths`, of strings and containers."""
    low, high = shape.own.min, shape.own.max
    number = shape.type in _NUMBERS
    if (low is None and high is None) or shape.type == "structure" or not (number or lengths):
        return read
    least = -math.inf if low is None else low
    most = math.inf if high is None else high
    fault = Fault.RANGE if number else Fault.LENGTH

    def checked(raw: Any) -> Any:
        value = read(raw)
        size = value if number else len(value)
        if size < least:
            raise ParameterError(fault, value=value, low=low)
        if size > most:
            raise ParameterError(fault, value=value, high=high)
        return value

    return checked


def reader(shape: Shape, *, lengths: bool = True) -> TextReader:
    """A reader of one scalar shape from text."""
    return limited(shape, _READERS[shape.type], lengths=lengths)
