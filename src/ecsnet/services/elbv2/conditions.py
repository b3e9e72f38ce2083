"""Rule conditions: from the API's two forms to `Condition` and back, with the API's limits.

Limits and texts: API type `RuleCondition` and the guide page "Listener rules" (condition types).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from ecsnet.model.elbv2 import Condition
from ecsnet.services.call import not_implemented
from ecsnet.services.elbv2 import errors

Field = Literal["path-pattern", "host-header", "http-header", "http-request-method", "query-string", "source-ip"]

_FIELDS = ("path-pattern", "host-header", "http-header", "http-request-method", "query-string", "source-ip")
_CONFIG = {
    "path-pattern": "PathPatternConfig",
    "host-header": "HostHeaderConfig",
    "http-header": "HttpHeaderConfig",
    "http-request-method": "HttpRequestMethodConfig",
    "query-string": "QueryStringConfig",
    "source-ip": "SourceIpConfig",
}
_SINGLE = ("host-header", "http-request-method", "path-pattern", "source-ip")
_VALUES_PER_RULE = 5
_WILDCARDS_PER_RULE = 5
_PATH = re.compile(r"""[A-Za-z0-9_\-.$/~"'@:+&*?]+""")
_HOST = re.compile(r"[A-Za-z0-9\-.*?]+")
_METHOD = re.compile(r"[A-Z\-_]+")
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def parse(operation: str, given: Sequence[Mapping[str, Any]]) -> tuple[Condition, ...]:
    """The stored conditions of a rule. Raises AwsError ValidationError or InvalidConfigurationRequest."""
    conditions = tuple(_one(operation, item) for item in given)
    if not conditions:
        raise errors.validation("A condition must be specified")
    for field in _SINGLE:
        if sum(condition.field == field for condition in conditions) > 1:
            raise errors.invalid_configuration(f"A rule can only have one '{field}' condition")
    values = sum(len(condition.values) + len(condition.query) for condition in conditions)
    if values > _VALUES_PER_RULE:
        raise errors.invalid_configuration(f"A rule can only have '{_VALUES_PER_RULE}' condition values")
    wildcards = sum(_wildcards(condition) for condition in conditions)
    if wildcards > _WILDCARDS_PER_RULE:
        raise errors.invalid_configuration(f"A rule can only have '{_WILDCARDS_PER_RULE}' wildcards")
    return conditions


def _wildcards(condition: Condition) -> int:
    texts = [*condition.values, *(part for pair in condition.query for part in pair if part)]
    if condition.field in ("http-request-method", "source-ip"):
        return 0
    return sum(text.count("*") + text.count("?") for text in texts)


def _one(operation: str, given: Mapping[str, Any]) -> Condition:
    field = given.get("Field")
    if field is None:
        field = next((name for name, member in _CONFIG.items() if member in given), None)
    if field not in _FIELDS:
        raise errors.validation(f"Condition field '{field}' must be one of '[{','.join(_FIELDS)}]'")
    member = _CONFIG[field]
    config: Mapping[str, Any] | None = given.get(member)
    legacy: Sequence[str] = given.get("Values") or ()
    if given.get("RegexValues") or (config is not None and config.get("RegexValues")):
        raise not_implemented(operation, "regular expressions in conditions (RegexValues)")
    if field in ("path-pattern", "host-header"):
        values = _legacy_or_config(field, legacy, config)
    elif legacy:
        raise errors.validation(f"The 'Values' field is not compatible with '{field}'")
    elif config is None:
        raise errors.validation(f"A '{member}' must be specified with '{field}'")
    elif field == "query-string":
        return _query(config)
    else:
        values = tuple(config.get("Values") or ())
    if not values:
        raise errors.validation(
            "A 'source-ip' value must be specified" if field == "source-ip" else "A condition value must be specified"
        )
    for value in values:
        _check(field, value)
    if field == "http-header":
        return Condition(field="http-header", header=_header(config or {}), values=values)
    return Condition(field=cast(Field, field), values=values)


def _legacy_or_config(field: str, legacy: Sequence[str], config: Mapping[str, Any] | None) -> tuple[str, ...]:
    configured = tuple(config.get("Values") or ()) if config is not None else ()
    if legacy and configured and tuple(legacy) != configured:
        raise errors.validation(
            f"You cannot provide both Values and '{_CONFIG[field]}' for a condition of type '{field}'"
        )
    if legacy and not configured and len(legacy) > 1:
        raise errors.validation(f"The '{field}' field contains too many values; the limit is '1'")
    return configured or tuple(legacy)


def _check(field: str, value: str) -> None:
    match field:
        case "path-pattern" | "host-header" | "http-header":
            _length(field, value, 128)
            legal = {"path-pattern": _PATH, "host-header": _HOST}.get(field)
            if not value or (legal is not None and not legal.fullmatch(value)):
                raise errors.validation(f"The '{field}' value '{value}' contains characters that are not allowed")
        case "http-request-method":
            _length(field, value, 40)
            if not _METHOD.fullmatch(value):
                raise errors.validation(
                    f"The '{field}' value is invalid; the allowed characters are A-Z, hyphen and underscore"
                )
        case _:
            _cidr(value)


def _cidr(value: str) -> None:
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        network = None
    if network is None or "/" not in value or "%" in value or value == "255.255.255.255/32":
        raise errors.validation(f"The 'source-ip' value '{value}' must be in CIDR format")


def _length(what: str, value: str, limit: int) -> None:
    if len(value) > limit:
        raise errors.validation(f"The '{what}' value is too long; the limit is '{limit}'")


def _header(config: Mapping[str, Any]) -> str:
    name: str = config.get("HttpHeaderName") or ""
    _length("HttpHeaderName", name, 40)
    if not _HEADER_NAME.fullmatch(name):
        raise errors.validation(f"The 'HttpHeaderName' value '{name}' is not a header name")
    if name.lower() == "host":
        raise errors.validation("The 'HttpHeaderName' value 'Host' is not allowed; use the 'host-header' condition")
    return name


def _query(config: Mapping[str, Any]) -> Condition:
    pairs: list[tuple[str | None, str]] = []
    for pair in config.get("Values") or ():
        key, value = pair.get("Key"), pair.get("Value")
        if not value:
            raise errors.validation("A 'Value' must be specified in 'QueryStringKeyValuePair'")
        _length("query-string", value, 128)
        _length("query-string", key or "", 128)
        pairs.append((key or None, value))
    if not pairs:
        raise errors.validation("A condition value must be specified")
    return Condition(field="query-string", query=tuple(pairs))


def describe(condition: Condition) -> dict[str, Any]:
    """A condition as DescribeRules answers it: path and host patterns in both forms."""
    values = list(condition.values)
    match condition.field:
        case "path-pattern" | "host-header":
            return {"Field": condition.field, "Values": values, _CONFIG[condition.field]: {"Values": values}}
        case "http-header":
            config: dict[str, Any] = {"HttpHeaderName": condition.header, "Values": values}
        case "query-string":
            config = {
                "Values": [{"Key": key, "Value": text} if key else {"Value": text} for key, text in condition.query]
            }
        case _:
            config = {"Values": values}
    return {"Field": condition.field, _CONFIG[condition.field]: config}
