"""The certificate list of an HTTPS listener: add, remove, describe (server name indication)."""

from __future__ import annotations

import msgspec

from ecsnet.model.elbv2 import Listener
from ecsnet.model.tables import LISTENERS
from ecsnet.services.call import AwsError, Call, Operation, Reply, Request, read, write
from ecsnet.services.elbv2 import errors, listener
from ecsnet.services.elbv2.limits import quota
from ecsnet.services.elbv2.paging import page


def add_listener_certificates(call: Call, request: Request) -> Reply:
    row = _https(call, request["ListenerArn"])
    given = [listener.certificate(item.get("CertificateArn", "")) for item in request["Certificates"]]
    merged = tuple(dict.fromkeys((*row.certificates, *given)))
    limit = quota(call, "certificates-per-application-load-balancer")
    if len(merged) - 1 > limit:
        raise errors.too_many("Certificates", limit)
    call.tx.put(LISTENERS, msgspec.structs.replace(row, certificates=merged))
    return {"Certificates": [{"CertificateArn": arn, "IsDefault": False} for arn in given]}


def remove_listener_certificates(call: Call, request: Request) -> Reply:
    row = _https(call, request["ListenerArn"])
    unwanted = {item.get("CertificateArn", "") for item in request["Certificates"]}
    if row.certificates[0] in unwanted:
        raise errors.operation_not_permitted("The default certificate cannot be removed from a listener")
    kept = tuple(arn for arn in row.certificates if arn not in unwanted)
    call.tx.put(LISTENERS, msgspec.structs.replace(row, certificates=kept))
    return {}


def describe_listener_certificates(call: Call, request: Request) -> Reply:
    row = _https(call, request["ListenerArn"])
    chosen, more = page(request, row.certificates, lambda arn: arn)
    return {
        "Certificates": [{"CertificateArn": arn, "IsDefault": arn == row.certificates[0]} for arn in chosen],
        **more,
    }


def _https(call: Call, arn: str) -> Listener:
    row = call.tx.get(LISTENERS, arn)
    if row is None:
        raise errors.listener_not_found()
    if row.protocol != "HTTPS":
        raise AwsError("UnsupportedProtocol", f"The listener protocol '{row.protocol}' has no certificates")
    return row


OPERATIONS: tuple[Operation, ...] = (
    write("AddListenerCertificates", add_listener_certificates),
    write("RemoveListenerCertificates", remove_listener_certificates),
    read("DescribeListenerCertificates", describe_listener_certificates),
)
