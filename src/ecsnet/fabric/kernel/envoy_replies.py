"""The answers that a balancer itself gives: their pages, and how Envoy's local replies become them.

Status codes per cause: guide page "Troubleshoot your Application Load Balancers". The pages have CRLF line ends, so
that a 503 has the 162 bytes that an Application Load Balancer sends.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

SERVER = "awselb/2.0"

_REASONS = {
    301: "Moved Permanently",
    302: "Found",
    400: "Bad Request",
    404: "Not Found",
    405: "Not Allowed",
    408: "Request Time-out",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Temporarily Unavailable",
    504: "Gateway Time-out",
}


def html_page(status: int) -> str:
    """The page of a status that the balancer answers by itself."""
    title = f"{status} {_REASONS[status]}"
    lines = (
        "<html>",
        f"<head><title>{title}</title></head>",
        "<body>",
        f"<center><h1>{title}</h1></center>",
        "</body>",
        "</html>",
        "",
    )
    return "\r\n".join(lines)


def local_replies() -> Json:
    """`local_reply_config`: the first mapper that fits decides.

    Envoy answers 503 for every upstream failure; the flags tell them apart. A connect timeout has the same flag as a
    refused connection (UF), hence the look at the details first. Fixed responses carry no flag and meet only the last
    mapper, which leaves their status and body alone.
    """
    return {
        "mappers": [
            _page(504, _connect_timeout()),
            _page(502, _flags("UF", "UC", "UR", "UPE", "LR")),
            _page(503, _flags("UH", "UO", "NC")),
            _page(504, _both(_flags("SI", "UT"), _status(504))),
            _page(408, _both(_flags("SI"), _status(408))),
            _page(400, _both(_flags("DPE"), _status(400))),
            {"filter": _status(0, "GE"), "headers_to_add": [_server()]},
        ]
    }


def _page(status: int, condition: Json) -> Json:
    return {
        "filter": condition,
        "status_code": status,
        "body": {"inline_string": html_page(status)},
        "body_format_override": {
            "text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%"},
            "content_type": "text/html",
        },
        "headers_to_add": [_server()],
    }


def _server() -> Json:
    return {"header": {"key": "server", "value": SERVER}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def _flags(*flags: str) -> Json:
    return {"response_flag_filter": {"flags": list(flags)}}


def _both(*conditions: Json) -> Json:
    return {"and_filter": {"filters": list(conditions)}}


def _status(value: int, operator: str = "EQ") -> Json:
    comparison = {"op": operator, "value": {"default_value": value, "runtime_key": "ecsnet.local_reply"}}
    return {"status_code_filter": {"comparison": comparison}}


def _connect_timeout() -> Json:
    return {
        "extension_filter": {
            "name": "envoy.access_loggers.extension_filters.cel",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
                "expression": "response.code_details.contains('connection_timeout')",
            },
        }
    }
