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
from ecsnet.fabric.kernel.envoy_parts import (
    choice,
    downstream_tls,
    health_check,
    keep_case,
    request_header,
    upstream_sockets,
)
from ecsnet.fabric.kernel.envoy_replies import Json, local_replies
from ecsnet.fabric.kernel.envoy_routes import LUA_FILTER, PEER_STATE, SESSION_FILTER, routes
from ecsnet.hostplan.balancer import EnvoyResource, ResourceKind, ServerCertificate, certificate_key, envoy_key
from ecsnet.hostplan.kernel import HostObject, namespace_key
from ecsnet.logical import balancer as logical
from ecsnet.logical.base import LogicalObject

_API = "type.googleapis.com/envoy"
_SCOPE_HEADER = "x-ecsnet-lb"
_SCOPED_ROUTES_FILE = "./srds.json"
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
    return _socket(balancer, str(node.address), port)


def _socket(balancer: str, address: str, port: int) -> Json:
    namespace = naming.load_balancer_namespace(balancer)
    return {
        "address": address,
        "port_value": port,
        "network_namespace_filepath": f"/run/netns/{namespace}",
    }


def _more_addresses(balancer: str, node: logical.Node, port: int) -> Json:
    if node.ipv6 is None:
        return {}
    return {"additional_addresses": [{"address": {"socket_address": _socket(balancer, str(node.ipv6), port)}}]}


def _node_keys(balancer: str, node: logical.Node) -> tuple[str, ...]:
    namespace = namespace_key(naming.load_balancer_namespace(balancer))
    return (namespace, naming.published_key(node.router, node.port))


# ── front end ────────────────────────────────────────────────────────────────────────────────────────────────────


def lower_front_end(item: logical.FrontEnd) -> Iterator[EnvoyResource]:
    """One listener per node."""
    arns = item.tls.certificates if item.tls is not None else ()
    certificates = [_certificate_name(item.balancer, arn) for arn in arns]
    for node in item.nodes:
        name = _at(item.id, node.port)
        chain: Json = {"filters": [_peer_filter(), _http_filter(item, name)]}
        if item.tls is not None:
            chain["transport_socket"] = downstream_tls(item.tls, certificates)
        yield _resource(
            "listener",
            name,
            "config.listener.v3.Listener",
            {
                "name": name,
                "address": {"socket_address": _place(item.balancer, node, item.port)},
                **_more_addresses(item.balancer, node, item.port),
                "filter_chains": [chain],
                "per_connection_buffer_limit_bytes": 1_048_576,
            },
            owner=item.balancer,
            after=(
                *_node_keys(item.balancer, node),
                envoy_key("scoped_route", name),
                *(certificate_key(certificate) for certificate in certificates),
            ),
        )


def lower_tcp_front_end(item: logical.TcpFrontEnd) -> Iterator[EnvoyResource]:
    """One listener per node; a connection to a member leaves from the node's own address."""
    for node in item.nodes:
        name = _at(item.id, node.port)
        pool = _at(item.pool, node.port)
        proxy = {
            "name": "envoy.filters.network.tcp_proxy",
            "typed_config": {
                "@type": f"{_API}.extensions.filters.network.tcp_proxy.v3.TcpProxy",
                "stat_prefix": "nlb",
                "cluster": pool,
                "idle_timeout": f"{item.idle_seconds}s",
                "max_connect_attempts": 1,
            },
        }
        yield _resource(
            "listener",
            name,
            "config.listener.v3.Listener",
            {
                "name": name,
                "address": {"socket_address": _place(item.balancer, node, item.port)},
                "filter_chains": [{"filters": [proxy]}],
                "per_connection_buffer_limit_bytes": 1_048_576,
            },
            owner=item.balancer,
            after=(*_node_keys(item.balancer, node), envoy_key("cluster", pool)),
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
        "http_protocol_options": {"header_key_format": keep_case(), "accept_http_10": True},
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


def lower_certificate(item: logical.Certificate) -> Iterator[ServerCertificate]:
    yield ServerCertificate(name=_certificate_name(item.balancer, item.id), names=item.names, owner=item.id)


# ── routing table ────────────────────────────────────────────────────────────────────────────────────────────────


def lower_routing(item: logical.Routing) -> Iterator[EnvoyResource]:
    """One scope of routes per node: the same rules, each node's own clusters."""
    for node in item.nodes:
        name = _at(item.front_end, node.port)
        table = routes(item.rules, port=item.port, secure=item.secure, cluster=_cluster_namer(node))
        add = [request_header("x-forwarded-port", str(item.port), "OVERWRITE_IF_EXISTS_OR_ADD")]
        if item.forwarded_for == "append-with-port":
            peer = "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%"
            add.append(request_header("x-forwarded-for", peer, "APPEND_IF_EXISTS_OR_ADD"))
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
                "load_balancing_policy": {"policies": [{"typed_extension_config": choice(item)}]},
                "circuit_breakers": {"thresholds": [dict.fromkeys(limits, _NO_LIMIT)]},
                "upstream_bind_config": {"source_address": _place(item.balancer, node, 0)},
                "transport_socket_matches": upstream_sockets(item.tls),
                "typed_extension_protocol_options": {
                    f"{_API.removeprefix('type.googleapis.com/')}.extensions.upstreams.http.v3.HttpProtocolOptions": {
                        "@type": f"{_API}.extensions.upstreams.http.v3.HttpProtocolOptions",
                        "common_http_protocol_options": {"idle_timeout": idle},
                        "explicit_http_config": {"http_protocol_options": {"header_key_format": keep_case()}},
                    }
                },
                "health_checks": [health_check(item.probe)],
            },
            owner=item.id,
            after=_node_keys(item.balancer, node),
        )


def lower_members(item: logical.Members) -> Iterator[EnvoyResource]:
    """The endpoints of one cluster.

    None at all when all of them drain: in its panic (no endpoint is healthy) Envoy would give new requests to draining
    ones too, where a load balancer answers 503. What runs on an endpoint that goes is finished either way.
    """
    name = _at(item.pool, item.node.port)
    members = item.members if any(not member.draining for member in item.members) else ()
    yield _resource(
        "endpoints",
        name,
        "config.endpoint.v3.ClusterLoadAssignment",
        {"cluster_name": name, "endpoints": [{"lb_endpoints": [_endpoint(item, member) for member in members]}]},
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
    logical.TcpFrontEnd: lower_tcp_front_end,
    logical.Certificate: lower_certificate,
    logical.Routing: lower_routing,
    logical.Pool: lower_pool,
    logical.Members: lower_members,
}
