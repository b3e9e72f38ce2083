"""Listeners: create, describe, modify, delete."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ecsnet.model.elbv2 import Action, Listener, LoadBalancer
from ecsnet.model.tables import LISTENER_RULES, LISTENERS, LISTENERS_BY_LOAD_BALANCER, LOAD_BALANCERS, RULES_BY_LISTENER
from ecsnet.model.tls import DEFAULT_SSL_POLICY, SSL_POLICIES
from ecsnet.services.call import AwsError, Call, Operation, Reply, Request, not_implemented, read, write
from ecsnet.services.elbv2 import actions, errors, tags
from ecsnet.services.elbv2.health import forget_unused
from ecsnet.services.elbv2.limits import quota
from ecsnet.services.elbv2.paging import page

_PROTOCOLS = ("HTTP", "HTTPS", "TCP", "TLS", "UDP", "TCP_UDP", "GENEVE", "QUIC", "TCP_QUIC")
_CERTIFICATE = re.compile(
    r"arn:aws[a-z-]*:(acm:[a-z0-9-]*:\d{12}:certificate/|iam::\d{12}:server-certificate/)[\w+=,.@/-]+"
)
"""ACM and IAM belong to other services; that the certificate exists cannot be checked here, only its ARN's form."""


def groups_in(given: tuple[Action, ...]) -> set[str]:
    """ARNs of the target groups to which actions forward."""
    return {item.target_group for action in given for item in action.forward}


def create_listener(call: Call, request: Request) -> Reply:
    balancer = call.tx.get(LOAD_BALANCERS, request["LoadBalancerArn"])
    if balancer is None:
        raise errors.load_balancer_not_found()
    protocol, port = _protocol("CreateListener", balancer, request.get("Protocol")), _port(request.get("Port"))
    certificates, policy = _tls("CreateListener", protocol, request)
    chosen = actions.parse(call, "CreateListener", balancer.arn, protocol, request["DefaultActions"])
    existing = tuple(call.tx.find(LISTENERS_BY_LOAD_BALANCER, balancer.arn))
    for listener in existing:
        if listener.port == port:
            same = (listener.protocol, listener.default_actions, listener.certificates, listener.ssl_policy)
            if same == (protocol, chosen, certificates, policy):
                return {"Listeners": [describe(listener)]}
            raise errors.duplicate_listener()
    limit = quota(call, "listeners-per-application-load-balancer")
    if len(existing) >= limit:
        raise errors.too_many("Listeners", limit)
    arn = f"{balancer.arn.replace(':loadbalancer/', ':listener/')}/{call.ids.hex(16)}"
    listener = Listener(
        arn=arn,
        load_balancer=balancer.arn,
        port=port,
        protocol=protocol,
        default_actions=chosen,
        certificates=certificates,
        ssl_policy=policy,
        tags=tags.parse(request),
    )
    call.tx.put(LISTENERS, listener)
    return {"Listeners": [describe(listener)]}


def _protocol(operation: str, balancer: LoadBalancer, given: str | None) -> str:
    if given is None:
        raise errors.validation("A listener protocol must be specified")
    if given not in _PROTOCOLS:
        raise errors.validation(
            f"1 validation error detected: Value '{given}' at 'protocol' failed to satisfy constraint: "
            f"Member must satisfy enum value set: [{', '.join(_PROTOCOLS)}]"
        )
    legal = ("HTTP", "HTTPS") if balancer.type == "application" else ("TCP", "TLS", "UDP", "TCP_UDP")
    if given not in legal:
        raise errors.validation(f"Listener protocol '{given}' must be one of '{', '.join(legal)}'")
    if balancer.type == "network" and given != "TCP":
        raise not_implemented(operation, f"listeners with the protocol '{given}'")
    return given


def _port(given: int | None) -> int:
    if given is None:
        raise errors.validation("A listener port must be specified")
    if not 1 <= given <= 65535:
        raise errors.validation(f"The listener port '{given}' must be between 1 and 65535")
    return given


def _tls(
    operation: str, protocol: str, request: Request, before: Listener | None = None
) -> tuple[tuple[str, ...], str | None]:
    """The certificates and the security policy of a listener; both are empty for HTTP."""
    if (request.get("MutualAuthentication") or {}).get("Mode", "off") != "off":
        raise not_implemented(operation, "mutual TLS (MutualAuthentication)")
    if protocol in ("HTTP", "TCP"):
        return (), None
    kept = before.certificates if before is not None else ()
    given = request.get("Certificates")
    if given is None and kept:
        certificates = kept
    elif given is None or len(given) != 1 or not given[0].get("CertificateArn"):
        raise errors.invalid_configuration(
            "You must provide a list containing exactly one certificate if the listener protocol is HTTPS."
        )
    else:
        certificates = (certificate(given[0]["CertificateArn"]), *kept[1:])
    kept_policy = before.ssl_policy if before is not None else None
    policy = request.get("SslPolicy") or kept_policy or DEFAULT_SSL_POLICY
    if policy not in SSL_POLICIES:
        raise AwsError("SSLPolicyNotFound", f"SSL policy '{policy}' not found")
    return certificates, policy


def certificate(arn: str) -> str:
    """The ARN, when it has the form of a certificate of ACM or IAM; else AwsError CertificateNotFound."""
    if not _CERTIFICATE.fullmatch(arn):
        raise AwsError("CertificateNotFound", f"Certificate '{arn}' not found")
    return arn


def describe_listeners(call: Call, request: Request) -> Reply:
    arns, balancer = request.get("ListenerArns"), request.get("LoadBalancerArn")
    if not arns and balancer is None:
        raise errors.validation("You must specify either listener ARNs or a load balancer ARN")
    if arns and balancer is not None:
        raise errors.validation("You cannot specify both listener ARNs and a load balancer ARN")
    if balancer is not None:
        if call.tx.get(LOAD_BALANCERS, balancer) is None:
            raise errors.load_balancer_not_found()
        found = list(call.tx.find(LISTENERS_BY_LOAD_BALANCER, balancer))
    else:
        found = [_get(call, arn) for arn in arns or ()]
    found.sort(key=lambda listener: (listener.load_balancer, listener.port))
    chosen, more = page(request, found, lambda listener: listener.arn)
    return {"Listeners": [describe(listener) for listener in chosen], **more}


def _get(call: Call, arn: str) -> Listener:
    listener = call.tx.get(LISTENERS, arn)
    if listener is None:
        raise errors.listener_not_found()
    return listener


def modify_listener(call: Call, request: Request) -> Reply:
    listener = _get(call, request["ListenerArn"])
    balancer = call.tx.get(LOAD_BALANCERS, listener.load_balancer)
    if balancer is None:
        raise errors.load_balancer_not_found()
    protocol = _protocol("ModifyListener", balancer, request.get("Protocol", listener.protocol))
    port = _port(request.get("Port", listener.port))
    certificates, policy = _tls("ModifyListener", protocol, request, listener)
    others = call.tx.find(LISTENERS_BY_LOAD_BALANCER, listener.load_balancer)
    if any(other.port == port and other.arn != listener.arn for other in others):
        raise errors.duplicate_listener()
    chosen = listener.default_actions
    if request.get("DefaultActions"):
        chosen = actions.parse(call, "ModifyListener", listener.load_balancer, protocol, request["DefaultActions"])
    changed = msgspec.structs.replace(
        listener,
        protocol=protocol,
        port=port,
        default_actions=chosen,
        certificates=certificates,
        ssl_policy=policy,
    )
    call.tx.put(LISTENERS, changed)
    forget_unused(call.tx, groups_in(listener.default_actions))
    return {"Listeners": [describe(changed)]}


def delete_listener(call: Call, request: Request) -> Reply:
    remove(call, _get(call, request["ListenerArn"]))
    return {}


def remove(call: Call, listener: Listener) -> None:
    """Delete a listener with its rules."""
    groups = groups_in(listener.default_actions)
    for rule in tuple(call.tx.find(RULES_BY_LISTENER, listener.arn)):
        groups |= groups_in(rule.actions)
        call.tx.delete(LISTENER_RULES, rule.arn)
    call.tx.delete(LISTENERS, listener.arn)
    forget_unused(call.tx, groups)


def remove_all(call: Call, balancer: LoadBalancer) -> None:
    """Delete every listener of a load balancer."""
    for listener in tuple(call.tx.find(LISTENERS_BY_LOAD_BALANCER, balancer.arn)):
        remove(call, listener)


def describe(listener: Listener) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "ListenerArn": listener.arn,
        "LoadBalancerArn": listener.load_balancer,
        "Port": listener.port,
        "Protocol": listener.protocol,
        "DefaultActions": [actions.describe(action) for action in listener.default_actions],
    }
    if listener.certificates:
        answer["Certificates"] = [{"CertificateArn": listener.certificates[0]}]
        answer["SslPolicy"] = listener.ssl_policy
        answer["MutualAuthentication"] = {"Mode": "off"}
    return answer


OPERATIONS: tuple[Operation, ...] = (
    write("CreateListener", create_listener),
    read("DescribeListeners", describe_listeners),
    write("ModifyListener", modify_listener),
    write("DeleteListener", delete_listener),
)
