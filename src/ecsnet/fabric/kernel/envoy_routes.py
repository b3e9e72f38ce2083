"""A balancer's rules as Envoy routes: matches, forwards, fixed responses and redirects.

Patterns become regular expressions of which every character that is not a wildcard is escaped; no user text is ever
read as structure.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from typing import assert_never

from ecsnet.fabric.kernel.envoy_replies import Json, html_page
from ecsnet.logical.balancer import Forward, Match, Redirect, Respond, RouteRule, Share

PEER_STATE = "ecsnet.peer"
"""Filter state that holds the address of the TCP peer (set by the listener's first filter)."""
LUA_FILTER = "envoy.filters.http.lua"
SESSION_FILTER = "envoy.filters.http.stateful_session"
_EXTENSIONS = "type.googleapis.com/envoy.extensions"
_COOKIE = "AWSALB"
_GROUP_COOKIE = "AWSALBTG"
_VISIBLE = r"[^\x00-\x1f\x7f]"

_REDIRECT_SCRIPT = """
function envoy_on_request(handle)
  local wanted = handle:metadata()
  local authority = handle:headers():get(":authority") or ""
  local path, query = (handle:headers():get(":path") or "/"):match("^/?([^?]*)%??(.*)$")
  local known = {
    protocol = wanted:get("from_protocol"), port = wanted:get("from_port"),
    host = (authority:gsub(":%d+$", "")), path = path, query = query,
  }
  local function part(name)
    return (wanted:get(name):gsub("#{(%a+)}", known))
  end
  local location = part("protocol"):lower() .. "://" .. part("host") .. ":" .. part("port") .. part("path")
  local rest = part("query")
  if rest ~= "" then location = location .. "?" .. rest end
  handle:respond(
    {[":status"] = wanted:get("status"), ["location"] = location, ["content-type"] = "text/html"}, wanted:get("page"))
end
""".strip()
"""Builds Location from the parts in the route's metadata. Envoy's own redirect knows neither #{host} nor #{query}."""


def routes(rules: Iterable[RouteRule], *, port: int, secure: bool, cluster: Callable[[str], str]) -> list[Json]:
    """The routes of a front end in order of priority. `cluster` names a pool's cluster at this node."""
    result: list[Json] = [_no_trace()]
    for rule in rules:
        match = _match(rule.matches)
        match rule.action:
            case Forward():
                result += _forward(rule.id, match, rule.action, cluster)
            case Respond():
                result.append(_respond(rule.id, match, rule.action))
            case Redirect():
                result.append(_redirect(rule.id, match, rule.action, port=port, secure=secure))
            case _:
                assert_never(rule.action)
    return result


def _no_trace() -> Json:
    """TRACE is refused before any rule (guide page "Troubleshoot your Application Load Balancers", HTTP 405)."""
    return {
        "name": "trace",
        "match": {"prefix": "/", "headers": [_header(":method", _exactly(["TRACE"]))]},
        "direct_response": {"status": 405, "body": {"inline_string": html_page(405)}},
        "response_headers_to_add": [_set("content-type", "text/html")],
    }


# ── matches ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _match(matches: Iterable[Match]) -> Json:
    result: Json = {"prefix": "/"}
    headers: list[Json] = []
    for match in matches:
        if match.on == "path":
            del result["prefix"]
            result |= _path(match.values)
        elif match.on == "source":
            ranges = [ipaddress.ip_network(value, strict=False) for value in match.values]
            result["filter_state"] = [
                {
                    "key": PEER_STATE,
                    "address_match": {
                        "ranges": [
                            {"address_prefix": str(net.network_address), "prefix_len": net.prefixlen} for net in ranges
                        ]
                    },
                }
            ]
        else:
            headers.append(_header_match(match))
    if headers:
        result["headers"] = headers
    return result


def _path(values: tuple[str, ...]) -> Json:
    """Case-sensitive, without the query. A single plain path or prefix is matched without a regular expression."""
    if len(values) == 1:
        (value,) = values
        head = value.removesuffix("*")
        if "*" not in head and "?" not in head:
            if head == value:
                return {"path": value}
            return {"prefix": head or "/"}
    return {"safe_regex": {"regex": _any_of(_pattern(value, _VISIBLE) for value in values)}}


def _header_match(match: Match) -> Json:
    match match.on:
        case "host":
            regex = f"(?i){_any_of(_pattern(value, _VISIBLE) for value in match.values)}(?::\\d+)?"
            return _header(":authority", regex)
        case "header":
            regex = f"(?i){_any_of(_pattern(value, _VISIBLE) for value in match.values)}"
            return _header((match.header or "").lower(), regex)
        case "method":
            return _header(":method", _exactly(match.values))
        case "query":
            pairs = _any_of(_pair(key, value) for key, value in match.pairs)
            return _header(":path", f"(?i)[^?]*\\?(?:[^#]*&)?{pairs}(?:[&#].*)?")
        case _:
            raise ValueError(f"a match on {match.on} is not a header match")


def _pair(key: str | None, value: str) -> str:
    inside = "[^&#]"
    return (_pattern(key, "[^&=#]") if key else "[^&=#]*") + "=" + _pattern(value, inside)


def _pattern(text: str, character: str) -> str:
    r"""A pattern with `*`, `?` and the escapes `\*` and `\?` as a regular expression (RE2)."""
    result, escaped = [], False
    for letter in text:
        if escaped and letter in "*?\\":
            result.append(re.escape(letter))
            escaped = False
            continue
        if escaped:
            result.append(re.escape("\\"))
            escaped = False
        match letter:
            case "\\":
                escaped = True
            case "*":
                result.append(f"{character}*")
            case "?":
                result.append(character)
            case _:
                result.append(re.escape(letter))
    return "".join(result) + (re.escape("\\") if escaped else "")


def _any_of(patterns: Iterable[str]) -> str:
    return f"(?:{'|'.join(patterns)})"


def _exactly(values: Iterable[str]) -> str:
    return _any_of(re.escape(value) for value in values)


def _header(name: str, regex: str) -> Json:
    return {"name": name, "string_match": {"safe_regex": {"regex": regex}}}


def _set(name: str, value: str) -> Json:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def _add(name: str, value: str) -> Json:
    return {"header": {"key": name, "value": value}, "append_action": "APPEND_IF_EXISTS_OR_ADD"}


# ── actions ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _forward(name: str, match: Json, action: Forward, cluster: Callable[[str], str]) -> Iterator[Json]:
    weighted = [share for share in action.shares if share.weight]
    if not weighted:
        yield {
            "name": name,
            "match": match,
            "direct_response": {"status": 503, "body": {"inline_string": html_page(503)}},
            "response_headers_to_add": [_set("content-type", "text/html")],
        }
        return
    if action.sticky_seconds is not None:
        for share in action.shares:
            yield _sticky_route(name, match, share, action.sticky_seconds, cluster)
    clusters = []
    for share in weighted:
        entry: Json = {"name": cluster(share.pool), "weight": share.weight, **_session(share)}
        if action.sticky_seconds is not None:
            entry["response_headers_to_add"] = _group_cookies(name, share, action.sticky_seconds)
        clusters.append(entry)
    if len(clusters) == 1 and action.sticky_seconds is None:
        yield {
            "name": name,
            "match": match,
            "route": {"cluster": clusters[0]["name"], "timeout": "0s"},
            **_session(weighted[0]),
        }
    else:
        yield {"name": name, "match": match, "route": {"weighted_clusters": {"clusters": clusters}, "timeout": "0s"}}


def _sticky_route(name: str, match: Json, share: Share, seconds: int, cluster: Callable[[str], str]) -> Json:
    """The route of a client that already carries the cookie of this pool."""
    cookie = _header("cookie", f"(?:.*;\\s*)?{_GROUP_COOKIE}(?:CORS)?={_token(name, share.pool)}(?:;.*)?")
    return {
        "name": f"{name}#sticky",
        "match": match | {"headers": [*match.get("headers", ()), cookie]},
        "route": {"cluster": cluster(share.pool), "timeout": "0s"},
        "response_headers_to_add": _group_cookies(name, share, seconds),
        **_session(share),
    }


def _token(rule: str, pool: str) -> str:
    return hashlib.sha256(f"{rule}|{pool}".encode()).hexdigest()


def _group_cookies(rule: str, share: Share, seconds: int) -> list[Json]:
    value = f"{_token(rule, share.pool)}; Max-Age={seconds}; Path=/"
    return [
        _add("set-cookie", f"{_GROUP_COOKIE}={value}"),
        _add("set-cookie", f"{_GROUP_COOKIE}CORS={value}; SameSite=None; Secure"),
    ]


def _session(share: Share) -> Json:
    """Keeps a client on one member by the cookie AWSALB, when the pool wants it."""
    if share.cookie_seconds is None:
        return {}
    state = {
        "@type": f"{_EXTENSIONS}.http.stateful_session.cookie.v3.CookieBasedSessionState",
        "cookie": {"name": _COOKIE, "path": "/", "ttl": f"{share.cookie_seconds}s"},
    }
    return {
        "typed_per_filter_config": {
            SESSION_FILTER: {
                "@type": f"{_EXTENSIONS}.filters.http.stateful_session.v3.StatefulSessionPerRoute",
                "stateful_session": {
                    "session_state": {"name": "envoy.http.stateful_session.cookie", "typed_config": state}
                },
            }
        }
    }


def _respond(name: str, match: Json, action: Respond) -> Json:
    route: Json = {"name": name, "match": match, "direct_response": {"status": action.status}}
    if action.body:
        route["direct_response"]["body"] = {"inline_string": action.body}
    if action.content_type is not None:
        route["response_headers_to_add"] = [_set("content-type", action.content_type)]
    return route


def _redirect(name: str, match: Json, action: Redirect, *, port: int, secure: bool) -> Json:
    parts = {
        "from_protocol": "https" if secure else "http",
        "from_port": str(port),
        "status": str(action.status),
        "protocol": action.protocol,
        "host": action.host,
        "port": action.port,
        "path": action.path,
        "query": action.query,
        "page": html_page(action.status),
    }
    return {
        "name": name,
        "match": match,
        "direct_response": {"status": 500},
        "metadata": {"filter_metadata": {LUA_FILTER: parts}},
        "typed_per_filter_config": {
            LUA_FILTER: {
                "@type": f"{_EXTENSIONS}.filters.http.lua.v3.LuaPerRoute",
                "source_code": {"inline_string": _REDIRECT_SCRIPT},
            }
        },
    }
