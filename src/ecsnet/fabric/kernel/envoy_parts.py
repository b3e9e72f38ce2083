"""Parts of Envoy resources that need no names: TLS, health checks, choice of a member, header names."""

from __future__ import annotations

from collections.abc import Sequence

from ecsnet.fabric.kernel.envoy_replies import Json
from ecsnet.logical import balancer as logical

_API = "type.googleapis.com/envoy"
_HEALTH_LOG = "health.log"
_ABSENT_CIPHERS = frozenset(("ECDHE-ECDSA-AES256-SHA384", "ECDHE-RSA-AES256-SHA384", "AES128-SHA256", "AES256-SHA256"))
"""Not in Envoy's TLS library; a listener that names one of them is rejected as a whole."""


def request_header(name: str, value: str, action: str) -> Json:
    """A header to add to a request; `action` is Envoy\'s HeaderAppendAction."""
    return {"header": {"key": name, "value": value}, "append_action": action}


def keep_case() -> Json:
    """Header names go on as they came; names that Envoy adds are written like X-Forwarded-For."""
    return {
        "stateful_formatter": {
            "name": "preserve_case",
            "typed_config": {
                "@type": f"{_API}.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig",
                "forward_reason_phrase": True,
                "formatter_type_on_envoy_headers": "PROPER_CASE",
            },
        }
    }


def downstream_tls(tls: logical.Tls, certificates: Sequence[str]) -> Json:
    """Termination of TLS with certificates by the names of their files."""
    version = {"TLSv1": "TLSv1_0", "TLSv1.1": "TLSv1_1", "TLSv1.2": "TLSv1_2", "TLSv1.3": "TLSv1_3"}
    parameters: Json = {
        "tls_minimum_protocol_version": version[tls.lowest],
        "tls_maximum_protocol_version": version[tls.highest],
    }
    ciphers = [cipher for cipher in tls.ciphers if cipher not in _ABSENT_CIPHERS]
    if ciphers:
        parameters["cipher_suites"] = ciphers
    pairs = [f"tls/{name}" for name in certificates]
    context: Json = {
        "tls_params": parameters,
        "tls_certificates": [
            {"certificate_chain": {"filename": f"{pair}.crt"}, "private_key": {"filename": f"{pair}.key"}}
            for pair in pairs
        ],
        "alpn_protocols": ["h2", "http/1.1"] if tls.http2 else ["http/1.1"],
    }
    return _tls_socket("DownstreamTlsContext", {"common_tls_context": context})


def _tls_socket(context: str, config: Json) -> Json:
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {"@type": f"{_API}.extensions.transport_sockets.tls.v3.{context}", **config},
    }


def choice(item: logical.Pool) -> Json:
    """How a member is chosen for a request."""
    policies = f"{_API}.extensions.load_balancing_policies"
    match item.choice:
        case "round-robin":
            config: Json = {"@type": f"{policies}.round_robin.v3.RoundRobin"}
            if item.slow_start_seconds:
                config["slow_start_config"] = {"slow_start_window": f"{item.slow_start_seconds}s"}
            return {"name": "envoy.load_balancing_policies.round_robin", "typed_config": config}
        case "least-outstanding":
            # Envoy's default takes the better of two random members, not the best of all.
            config = {"@type": f"{policies}.least_request.v3.LeastRequest", "selection_method": "FULL_SCAN"}
            return {"name": "envoy.load_balancing_policies.least_request", "typed_config": config}
        case "random":
            config = {"@type": f"{policies}.random.v3.Random"}
            return {"name": "envoy.load_balancing_policies.random", "typed_config": config}


def upstream_sockets(tls: bool) -> list[Json]:
    """TLS or plain, for requests and, by criteria, for probes. A member's certificate is never validated."""
    secure = {"name": "tls", "match": {"tls": True}, "transport_socket": _tls_socket("UpstreamTlsContext", {})}
    plain = {
        "name": "plain",
        "match": {"tls": False},
        "transport_socket": {
            "name": "envoy.transport_sockets.raw_buffer",
            "typed_config": {"@type": f"{_API}.extensions.transport_sockets.raw_buffer.v3.RawBuffer"},
        },
    }
    default = secure if tls else plain
    return [secure, plain, {"name": "default", "match": {}, "transport_socket": default["transport_socket"]}]


def health_check(probe: logical.Probe) -> Json:
    """The active probe of a cluster, at speed 1."""
    return {
        "interval": f"{probe.interval}s",
        "no_traffic_interval": f"{probe.interval}s",
        "timeout": f"{probe.timeout}s",
        "healthy_threshold": probe.healthy,
        "unhealthy_threshold": probe.unhealthy,
        "reuse_connection": False,
        "transport_socket_match_criteria": {"tls": probe.tls},
        "always_log_health_check_failures": True,
        "event_logger": [
            {
                "name": "envoy.health_check.event_sink.file",
                "typed_config": {
                    "@type": f"{_API}.extensions.health_check.event_sinks.file.v3.HealthCheckEventFileSink",
                    "event_log_path": _HEALTH_LOG,
                },
            }
        ],
        **(_http_probe(probe) if probe.http else {"tcp_health_check": {}}),
    }


def _http_probe(probe: logical.Probe) -> Json:
    return {
        "http_health_check": {
            "path": probe.path,
            "expected_statuses": [{"start": first, "end": last + 1} for first, last in probe.statuses],
            # Without this a single wrong status makes a member unhealthy, whatever the threshold.
            "retriable_statuses": [{"start": 100, "end": 600}],
            "request_headers_to_add": [
                request_header("user-agent", "ELB-HealthChecker/2.0", "OVERWRITE_IF_EXISTS_OR_ADD"),
                request_header("connection", "close", "OVERWRITE_IF_EXISTS_OR_ADD"),
            ],
        },
    }
