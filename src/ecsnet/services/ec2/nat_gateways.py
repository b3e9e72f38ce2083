"""The state changes of NAT gateways, as verbs for the API and for the controller that moves them on.

pending → available | failed        available, pending, failed → deleting → deleted
"""

from __future__ import annotations

import msgspec

from ecsnet.model import ec2
from ecsnet.model.tables import ELASTIC_IPS, NAT_GATEWAYS
from ecsnet.services.call import AwsError, Call
from ecsnet.services.ec2 import families, idempotency
from ecsnet.services.ec2.interfaces import release_interface

LISTED_AFTER_END = 3600.0
"""Seconds for which failed and deleted gateways are still listed (VPC User Guide, "NAT gateway states")."""


def make_nat_available(call: Call, nat_id: str) -> ec2.NatGateway | None:
    """Move a pending gateway on: to available, or to failed when it could not get what it needs.

    Call it when its interface has been observed, or at once when it has none. A gateway that is not pending stays as
    it is; None when there is no such gateway.
    """
    nat = call.tx.get(NAT_GATEWAYS, nat_id)
    if nat is None or nat.state != "pending":
        return nat
    if nat.failure_code is None:
        return call.tx.put(NAT_GATEWAYS, msgspec.structs.replace(nat, state="available"))
    _give_back(call, nat)
    return call.tx.put(
        NAT_GATEWAYS,
        msgspec.structs.replace(
            nat,
            state="failed",
            interface=None,
            private_ip=None,
            public_ip=None,
            association=None,
            secondary=(),
            deleted=call.now,
        ),
    )


def begin_nat_delete(call: Call, nat_id: str) -> ec2.NatGateway:
    """Ask for the end of a gateway; routes to it are blackholes from now on. Raises NatGatewayNotFound.

    The failed state has nothing left to take down, so such a gateway is deleted at once.
    """
    nat = families.NAT_GATEWAY.require(call, nat_id)
    match nat.state:
        case "deleted":
            raise families.NAT_GATEWAY.unknown(nat_id)
        case "deleting":
            return nat
        case "failed":
            idempotency.forget(call, nat_id)
            return call.tx.put(NAT_GATEWAYS, msgspec.structs.replace(nat, state="deleted", deleted=call.now))
        case "pending" | "available":
            return call.tx.put(NAT_GATEWAYS, msgspec.structs.replace(nat, state="deleting"))


def finish_nat_delete(call: Call, nat_id: str) -> ec2.NatGateway | None:
    """Deleting → deleted: its interface goes, its Elastic IP stays allocated (VPC User Guide, "Delete a NAT gateway").

    A gateway in another state stays as it is; None when there is no such gateway.
    """
    nat = call.tx.get(NAT_GATEWAYS, nat_id)
    if nat is None or nat.state != "deleting":
        return nat
    _give_back(call, nat)
    idempotency.forget(call, nat_id)
    return call.tx.put(NAT_GATEWAYS, msgspec.structs.replace(nat, state="deleted", interface=None, deleted=call.now))


def forget_nat_gateway(call: Call, nat_id: str) -> None:
    """Drop the row of a gateway whose end lies more than `LISTED_AFTER_END` seconds back."""
    nat = call.tx.get(NAT_GATEWAYS, nat_id)
    if nat is not None and not is_listed(call, nat):
        idempotency.forget(call, nat_id)
        call.tx.delete(NAT_GATEWAYS, nat_id)


def is_listed(call: Call, nat: ec2.NatGateway) -> bool:
    """Whether the Describe call still shows the gateway."""
    return nat.deleted is None or call.now - nat.deleted < LISTED_AFTER_END


def _give_back(call: Call, nat: ec2.NatGateway) -> None:
    if nat.interface is not None:
        release_interface(call, nat.interface)


def failure(call: Call, subnet: ec2.Subnet, allocation: str | None, *, has_gateway: bool) -> AwsError | None:
    """Why a public gateway will end as failed, if it will (VPC User Guide, "Troubleshoot NAT gateways")."""
    if allocation is None:
        return None
    eip = call.tx.get(ELASTIC_IPS, allocation)
    if eip is not None and eip.association is not None:
        return AwsError("Resource.AlreadyAssociated", f"Elastic IP address {allocation} is already associated")
    if not has_gateway:
        return AwsError("Gateway.NotAttached", f"Network {subnet.vpc} has no Internet gateway attached")
    return None
