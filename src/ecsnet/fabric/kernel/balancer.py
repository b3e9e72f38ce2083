"""Front ends, routing tables, pools and members → resources of the host's Envoy.

One listener per front end and node, bound at the node's address inside the balancer's namespace; one cluster per pool
and node, whose connections and probes leave from that address. Rules live in scoped routes: a listener stamps each
request with its own scope, so a changed rule never touches a listener and no connection is closed for it. Members
come by their own subscription, so that a change of one leaves the health of the others alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from ecsnet.fabric.kernel import naming
from ecsnet.fabric.kernel.envoy_replies import local_replies
from ecsnet.fabric.kernel.envoy_routes import LUA_FILTER, PEER_STATE, SESSION_FILTER, Json, routes
from ecsnet.hostplan.balancer import EnvoyResource, ResourceKind, ServerCertificate, certificate_key, envoy_key
from ecsnet.hostplan.kernel import HostObject, namespace_key
from ecsnet.logical import balancer as logical
from ecsnet.logical.base import LogicalObject

_API = "type.googleapis.com/envoy"
_SCOPE_HEADER = "x-ecsnet-lb"
_SCOPED_ROUTES_FILE = "./srds.json"
_HEALTH_LOG = "health.log"
_ABSENT_CIPHERS = frozenset(("ECDHE-ECDSA-AES256-SHA384", "ECDHE-RSA-AES256-SHA384", "AES128-SHA256", "AES256-SHA256"))
"""Not in Envoy's TLS library; a listener that names one of them is rejected as a whole."""
_NO_LIMIT = 1_000_000_000
_CONNECT_SECONDS = 10
"""Source: guide page "Troubleshoot your Application Load Balancers" (HTTP 504, connection establishment)."""

_ENCODER = msgspec.json.Encoder(order="deterministic")


# ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _at(identifier: str, port: str) -> str:
    return f"{naming.digits(identifier)}-{naming.digits(port)}"


def _certificate_name(balancer: str, certificate: str) -> str:
    return hashlib.sha256(f"{balancer}|{certificate}".encode()).hexdigest()[:24]


def _resource(
    kind: ResourceKind, name: str, type_name: str, body: Json, *, owner: str, after: tuple[str, ...]
) -> EnvoyResource:
    return EnvoyResource(
        kind=kind,
        name=name,
        body=_ENCODER.encode({"@type": f"{_API}.{type_name}", **body}),
        owner=owner,
        after=after,
    )


def _place(balancer: str, node: logical.Node, port: int) -> Json:
    namespace = naming.load_balancer_namespace(balancer)
    return {
        "address": str(node.address),
        "port_value": port,
        "network_namespace_filepath": f"/run/netns/{namespace}",
    }


def _node_keys(balancer: str, node: logical.Node) -> tuple[str, ...]:
    namespace = namespace_key(naming.load_balancer_namespace(balancer))
    return (namespace, *naming.published_keys(node.router, node.port))


# ── front end ────────────────────────────────────────────────────────────────────────────────────────────────────


def lower_front_end(item: logical.FrontEnd) -> Iterator[EnvoyResource]:
    """One listener per node."""
    certificates = item.tls.certificates if item.tls is not None else ()
    for node in item.nodes:
        name = _at(item.id, node.port)
        chain: Json = {"filters": [_peer_filter(), _http_filter(item, name)]}
        if item.tls is not None:
            chain["transport_socket"] = _downstream_tls(item.balancer, item.tls)
        yield _resource(
            "listener",
            name,
            "config.listener.v3.Listener",
            {
                "name": name,
                "address": {"socket_address": _place(item.balancer, node, item.port)},
                "filter_chains": [chain],
                "per_connection_buffer_limit_bytes": 1_048_576,
            },
            owner=item.balancer,
            after=(
                *_node_keys(item.balancer, node),
                envoy_key("scoped_route", name),
                *(certificate_key(_certificate_name(item.balancer, arn)) for arn in certificates),
            ),
        )


def _peer_filter() -> Json:
    """Keeps the TCP peer's address for source-ip conditions, which never look at X-Forwarded-For."""
    value = {"text_format_source": {"inline_string": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"}}
    return {
        "name": "envoy.filters.network.set_filter_state",
        "typed_config": {
            "@type": f"{_API}.extensions.filters.network.set_filter_state.v3.Config",
            "on_new_connection": [
                {"object_key": PEER_STATE, "factory_key": "envoy.network.ip", "format_string": value}
            ],
        },
    }


def _http_filter(item: logical.FrontEnd, scope: str) -> Json:
    idle = f"{item.idle_seconds}s"
    config: Json = {
        "@type": f"{_API}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "alb",
        "codec_type": "AUTO" if item.tls is not None and item.tls.http2 else "HTTP1",
        "use_remote_address": True,
        "skip_xff_append": item.forwarded_for != "append",
        "normalize_path": False,
        "merge_slashes": False,
        "generate_request_id": False,
        "server_header_transformation": "PASS_THROUGH",
        "stream_idle_timeout": idle,
        "max_request_headers_kb": 64,
        "common_http_protocol_options": {
            "idle_timeout": idle,
            "max_connection_duration": f"{item.keep_alive_seconds}s",
        },
        "http_protocol_options": {"header_key_format": _keep_case(), "accept_http_10": True},
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "local_reply_config": local_replies(),
        "early_header_mutation_extensions": [_stamp(scope)],
        "scoped_routes": {
            "name": "all",
            "scope_key_builder": {
                "fragments": [{"header_value_extractor": {"name": _SCOPE_HEADER, "index": 0}}],
            },
            # Identical in every listener: Envoy then keeps one subscription, thus one inotify instance, for all.
            "scoped_rds": {
                "scoped_rds_config_source": {
                    "path_config_source": {"path": _SCOPED_ROUTES_FILE},
                    "resource_api_version": "V3",
                }
            },
        },
        "http_filters": [
            _filter(SESSION_FILTER, "filters.http.stateful_session.v3.StatefulSession"),
            _filter(LUA_FILTER, "filters.http.lua.v3.Lua"),
            _filter("envoy.filters.http.router", "filters.http.router.v3.Router", suppress_envoy_headers=True),
        ],
    }
    if not item.preserve_host and item.port in (80, 443):
        config["strip_any_host_port"] = True
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": config}


def _filter(name: str, type_name: str, **config: Any) -> Json:
    return {"name": name, "typed_config": {"@type": f"{_API}.extensions.{type_name}", **config}}


def _keep_case() -> Json:
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


def _stamp(scope: str) -> Json:
    """Overwrites the scope header, so that no client chooses another balancer's routes."""
    header = {"key": _SCOPE_HEADER, "value": scope}
    return {
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": {
            "@type": f"{_API}.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
            "mutations": [{"append": {"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}],
        },
    }


def _downstream_tls(balancer: str, tls: logical.Tls) -> Json:
    version = {"TLSv1": "TLSv1_0", "TLSv1.1": "TLSv1_1", "TLSv1.2": "TLSv1_2", "TLSv1.3": "TLSv1_3"}
    parameters: Json = {
        "tls_minimum_protocol_version": version[tls.lowest],
        "tls_maximum_protocol_version": version[tls.highest],
    }
    ciphers = [cipher for cipher in tls.ciphers if cipher not in _ABSENT_CIPHERS]
    if ciphers:
        parameters["cipher_suites"] = ciphers
    pairs = [f"tls/{_certificate_name(balancer, arn)}" for arn in tls.certificates]
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


def lower_certificate(item: logical.Certificate) -> Iterator[ServerCertificate]:
    yield ServerCertificate(name=_certificate_name(item.balancer, item.id), names=item.names, owner=item.id)


# ── routing table ────────────────────────────────────────────────────────────────────────────────────────────────


def lower_routing(item: logical.Routing) -> Iterator[EnvoyResource]:
    """One scope of routes per node: the same rules, each node's own clusters."""
    for node in item.nodes:
        name = _at(item.front_end, node.port)
        table = routes(item.rules, port=item.port, secure=item.secure, cluster=_cluster_namer(node))
        add = [_request_header("x-forwarded-port", str(item.port), "OVERWRITE_IF_EXISTS_OR_ADD")]
        if item.forwarded_for == "append-with-port":
            peer = "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%"
            add.append(_request_header("x-forwarded-for", peer, "APPEND_IF_EXISTS_OR_ADD"))
        remove = [_SCOPE_HEADER, "x-envoy-internal", "x-envoy-external-address", "x-envoy-expected-rq-timeout-ms"]
        if item.forwarded_for == "remove":
            remove.append("x-forwarded-for")
        configuration = {
            "name": name,
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": table}],
            "request_headers_to_add": add,
            "request_headers_to_remove": remove,
        }
        yield _resource(
            "scoped_route",
            name,
            "config.route.v3.ScopedRouteConfiguration",
            {
                "name": name,
                "key": {"fragments": [{"string_key": name}]},
                "route_configuration": configuration,
            },
            owner=item.balancer,
            after=tuple(envoy_key("cluster", _at(pool, node.port)) for pool in _pools(item)),
        )


def _cluster_namer(node: logical.Node) -> Callable[[str], str]:
    return lambda pool: _at(pool, node.port)


def _request_header(name: str, value: str, action: str) -> Json:
    return {"header": {"key": name, "value": value}, "append_action": action}


def _pools(item: logical.Routing) -> list[str]:
    forwards = (rule.action for rule in item.rules if isinstance(rule.action, logical.Forward))
    return sorted({share.pool for forward in forwards for share in forward.shares})


# ── pool ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def lower_pool(item: logical.Pool) -> Iterator[EnvoyResource]:
    """One cluster per node."""
    for node in item.nodes:
        name = _at(item.id, node.port)
        idle = f"{item.idle_seconds}s"
        limits = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
        yield _resource(
            "cluster",
            name,
            "config.cluster.v3.Cluster",
            {
                "name": name,
                "type": "EDS",
                "eds_cluster_config": {"eds_config": {"ads": {}, "resource_api_version": "V3"}},
                "connect_timeout": f"{_CONNECT_SECONDS}s",
                "ignore_health_on_host_removal": True,
                "common_lb_config": {
                    "healthy_panic_threshold": {"value": item.panic_percent},
                    "update_merge_window": "0s",
                },
                "load_balancing_policy": {"policies": [{"typed_extension_config": _choice(item)}]},
                "circuit_breakers": {"thresholds": [dict.fromkeys(limits, _NO_LIMIT)]},
                "upstream_bind_config": {"source_address": _place(item.balancer, node, 0)},
                "transport_socket_matches": _upstream_sockets(item.tls),
                "typed_extension_protocol_options": {
                    f"{_API.removeprefix('type.googleapis.com/')}.extensions.upstreams.http.v3.HttpProtocolOptions": {
                        "@type": f"{_API}.extensions.upstreams.http.v3.HttpProtocolOptions",
                        "common_http_protocol_options": {"idle_timeout": idle},
                        "explicit_http_config": {"http_protocol_options": {"header_key_format": _keep_case()}},
                    }
                },
                "health_checks": [_health_check(item.probe)],
            },
            owner=item.id,
            after=_node_keys(item.balancer, node),
        )


def _choice(item: logical.Pool) -> Json:
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


def _upstream_sockets(tls: bool) -> list[Json]:
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


def _health_check(probe: logical.Probe) -> Json:
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
        "http_health_check": {
            "path": probe.path,
            "expected_statuses": [{"start": first, "end": last + 1} for first, last in probe.statuses],
            # Without this a single wrong status makes a member unhealthy, whatever the threshold.
            "retriable_statuses": [{"start": 100, "end": 600}],
            "request_headers_to_add": [
                _request_header("user-agent", "ELB-HealthChecker/2.0", "OVERWRITE_IF_EXISTS_OR_ADD"),
                _request_header("connection", "close", "OVERWRITE_IF_EXISTS_OR_ADD"),
            ],
        },
    }


def lower_members(item: logical.Members) -> Iterator[EnvoyResource]:
    """The endpoints of one cluster."""
    name = _at(item.pool, item.node.port)
    yield _resource(
        "endpoints",
        name,
        "config.endpoint.v3.ClusterLoadAssignment",
        {"cluster_name": name, "endpoints": [{"lb_endpoints": [_endpoint(item, member) for member in item.members]}]},
        owner=item.pool,
        after=(envoy_key("cluster", name),),
    )


def _endpoint(item: logical.Members, member: logical.PoolMember) -> Json:
    port = item.probe_port or member.port
    check: Json = {"hostname": f"{member.address}:{port}"}
    if item.probe_port is not None:
        check["port_value"] = item.probe_port
    return {
        "endpoint": {
            "address": {"socket_address": {"address": str(member.address), "port_value": member.port}},
            "health_check_config": check,
        },
        "health_status": "DRAINING" if member.draining else "UNKNOWN",
    }


LOWERINGS: Mapping[type[LogicalObject], Callable[[Any], Iterable[HostObject]]] = {
    logical.FrontEnd: lower_front_end,
    logical.Certificate: lower_certificate,
    logical.Routing: lower_routing,
    logical.Pool: lower_pool,
    logical.Members: lower_members,
}
