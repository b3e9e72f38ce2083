"""Hypothesis strategies for the parameters and replies of any operation; botocore's models and wire code as oracle.

Values are in ecsnet's own form: timestamps are epoch seconds with whole milliseconds, blobs are bytes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import botocore.loaders
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import strategies as st

_LOADER = botocore.loaders.Loader()
_MODELS: dict[str, ServiceModel] = {}

TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff\u2028\u2029"),
    min_size=1,
    max_size=12,
)
HEADER_TEXT = st.text(st.sampled_from("abc XYZ-_.:/019"), min_size=1, max_size=10).filter(lambda s: s == s.strip())
"""Header values lose outer white space on their way, and only ASCII is safe in them."""


def model(service: str) -> ServiceModel:
    if service not in _MODELS:
        _MODELS[service] = ServiceModel(_LOADER.load_service_model(service, "service-2"), service)
    return _MODELS[service]


def values(shape: Any, depth: int = 3, *, full: bool = False) -> st.SearchStrategy[Any]:
    """Values that fit a botocore shape and its limits; below `depth` only required members.

    `full`: no empty lists, maps and structures, of which a form shows nothing.
    """
    location = shape.serialization.get("location")
    low = shape.metadata.get("min")
    high = shape.metadata.get("max")
    match shape.type_name:
        case "structure":
            if shape.is_document_type:
                return st.dictionaries(TEXT, TEXT, max_size=2)
            return _structure(shape, depth, full=full)
        case "list":
            least = max(int(low or 0), full)
            inner = values(shape.member, depth - 1, full=full)
            if location in ("header", "querystring"):
                inner = HEADER_TEXT if shape.member.type_name == "string" else inner
                least = max(least, 1)
            if depth <= 0 and least == 0 and location is None:
                return st.just([])
            return st.lists(inner, min_size=least, max_size=max(least, min(int(high or 3), 3)))
        case "map":
            least = max(int(low or 0), full)
            if location == "headers":
                return st.dictionaries(st.text("abcxyz", min_size=1, max_size=4), HEADER_TEXT, min_size=1, max_size=2)
            key = values(shape.key, depth - 1, full=full)
            return st.dictionaries(
                key, values(shape.value, depth - 1, full=full), min_size=least, max_size=max(least, 2)
            )
        case "string" | "character":
            if shape.enum:
                return st.sampled_from(shape.enum)
            text = HEADER_TEXT if location else TEXT
            if shape.serialization.get("jsonvalue"):
                return st.dictionaries(TEXT, TEXT, max_size=2)
            least, most = int(low or 1), int(high or 1000)
            return text.map(lambda s: (s * least if len(s) < least else s)[:most])
        case "boolean":
            return st.booleans()
        case "integer" if location == "statusCode":
            return st.integers(200, 299)
        case "integer":
            return st.integers(int(low if low is not None else -(2**31)), int(high if high is not None else 2**31 - 1))
        case "long":
            return st.integers(int(low if low is not None else -(2**63)), int(high if high is not None else 2**63 - 1))
        case "float" | "double":
            least_float = float(low if low is not None else -1e6)
            return st.floats(least_float, float(high if high is not None else 1e6), width=32)
        case "timestamp":
            return st.integers(0, 4_000_000_000).map(float)
        case "blob":
            return st.binary(min_size=1, max_size=12)
    raise AssertionError(shape.type_name)


def _structure(shape: Any, depth: int, *, full: bool) -> st.SearchStrategy[Any]:
    required = {name: values(shape.members[name], depth - 1, full=full) for name in shape.required_members}
    required |= {
        n: values(m, depth - 1, full=full) for n, m in shape.members.items() if m.serialization.get("location") == "uri"
    }
    if full and not required:
        scalars = (n for n, m in shape.members.items() if m.type_name not in ("structure", "list", "map"))
        first = next(scalars, next(iter(shape.members), None))
        required = {first: values(shape.members[first], depth - 1, full=full)} if first else {}
    optional = {}
    if depth > 0:
        optional = {
            name: values(member, depth - 1, full=full) for name, member in shape.members.items() if name not in required
        }
    if shape.is_tagged_union:
        return st.sampled_from(sorted(shape.members)).flatmap(
            lambda name: st.fixed_dictionaries({name: values(shape.members[name], depth - 1, full=full)})
        )
    return (
        st.sets(st.sampled_from(sorted(optional)), max_size=5).flatmap(
            lambda chosen: st.fixed_dictionaries(required | {name: optional[name] for name in sorted(chosen)})
        )
        if optional
        else st.fixed_dictionaries(required)
    )


def normal(shape: Any, value: Any, *, reply: bool = False) -> Any:
    """A value as it comes back from botocore's parser or ours: no empty lists where the wire cannot show them."""
    match shape.type_name:
        case "structure" if not shape.is_document_type:
            return {name: normal(shape.members[name], member, reply=reply) for name, member in value.items()}
        case "list":
            return [normal(shape.member, member, reply=reply) for member in value]
        case "map":
            return {key: normal(shape.value, member, reply=reply) for key, member in value.items()}
        case "timestamp":
            return value.timestamp() if isinstance(value, datetime) else float(value)
    return value


def stamped(shape: Any, value: Any) -> Any:
    """Our form in botocore's: timestamps as aware datetimes."""
    match shape.type_name:
        case "structure" if not shape.is_document_type:
            return {name: stamped(shape.members[name], member) for name, member in value.items()}
        case "list":
            return [stamped(shape.member, member) for member in value]
        case "map":
            return {key: stamped(shape.value, member) for key, member in value.items()}
        case "timestamp":
            return datetime.fromtimestamp(value, UTC)
    return value


def shown(value: Any) -> Any:
    """What forms and XML can show of a value: nothing of an empty list, map or structure."""
    if isinstance(value, dict):
        pruned = {key: shown(member) for key, member in value.items()}
        return {key: member for key, member in pruned.items() if member not in ([], {})}
    if isinstance(value, list):
        return [pruned for pruned in map(shown, value) if pruned not in ([], {})]
    return value


def serializer(protocol: str) -> Any:
    return create_serializer(protocol, include_validation=False)


def parser(protocol: str) -> Any:
    return create_parser(protocol)
