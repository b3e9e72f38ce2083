"""What other accounts may do with an interface. A permission is granted when its call is answered.

EIP-ASSOCIATE lets the other account bind its own Elastic IPs. INSTANCE-ATTACH is kept, but an instance of another
account cannot hold the interface here: AttachNetworkInterface then answers NotImplemented.

Source: EC2 API, CreateNetworkInterfacePermission.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

from ecsnet.model import ec2
from ecsnet.model.tables import (
    ELASTIC_IPS_BY_INTERFACE,
    INTERFACE_PERMISSIONS,
    INTERFACE_PERMISSIONS_BY_INTERFACE,
    INTERFACE_PERMISSIONS_BY_SCOPE,
    INTERFACES,
)
from ecsnet.services.call import AwsError, Cached, Call, Operation, Reply, Request, not_implemented, read, write
from ecsnet.services.ec2 import errors, families
from ecsnet.services.ec2.family import Family
from ecsnet.services.ec2.filters import Filters
from ecsnet.services.ec2.listing import Listing, each

Permission = Literal["INSTANCE-ATTACH", "EIP-ASSOCIATE"]

_FAMILY = Family(
    noun="network-interface-permission",
    prefix="eni-perm",
    table=INTERFACE_PERMISSIONS,
    scope=INTERFACE_PERMISSIONS_BY_SCOPE,
    missing="InvalidPermissionID.NotFound",
    missing_text="The network interface permission ID '{id}' does not exist",
    malformed="InvalidPermissionID.Malformed",
)


def granted(call: Call, interface: str, permission: Permission) -> ec2.NetworkInterface | None:
    """The interface of another account, in this region, if that account lets the caller do this with it."""
    row = call.tx.get(INTERFACES, interface)
    if row is None or row.region != call.region:
        return None
    grants = call.tx.find(INTERFACE_PERMISSIONS_BY_INTERFACE, interface)
    return row if any(one.grantee == call.account and one.permission == permission for one in grants) else None


def create_network_interface_permission(call: Call, request: Request) -> Reply:
    """Source: EC2 API, CreateNetworkInterfacePermission. Raises InvalidNetworkInterfaceID.NotFound,
    MissingParameter, InvalidParameterValue, AuthFailure for an interface of a service."""
    if request.get("AwsService"):
        raise not_implemented("CreateNetworkInterfacePermission", "AwsService")
    eni = families.INTERFACE.require(call, request["NetworkInterfaceId"])
    if eni.requester_managed:
        raise errors.service_owned()
    grantee = str(request.get("AwsAccountId") or "")
    if not grantee:
        raise errors.missing_parameter("awsAccountId")
    if len(grantee) != 12 or not (grantee.isascii() and grantee.isdigit()):
        raise errors.invalid_value("awsAccountId", grantee, "Use the 12 digits of an account.")
    permission = _permission(request["Permission"])
    for one in call.tx.find(INTERFACE_PERMISSIONS_BY_INTERFACE, eni.id):
        if one.grantee == grantee and one.permission == permission:
            return {"InterfacePermission": _item(one)}
    row = call.tx.put(
        INTERFACE_PERMISSIONS,
        ec2.InterfacePermission(
            id=call.ids.resource("eni-perm"),
            account=call.account,
            region=call.region,
            interface=eni.id,
            grantee=grantee,
            permission=permission,
        ),
    )
    return {"InterfacePermission": _item(row)}


def _permission(given: str) -> Permission:
    match given:
        case "INSTANCE-ATTACH":
            return "INSTANCE-ATTACH"
        case "EIP-ASSOCIATE":
            return "EIP-ASSOCIATE"
        case _:
            raise errors.invalid_value("permission", given, "Use INSTANCE-ATTACH or EIP-ASSOCIATE.")


def delete_network_interface_permission(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DeleteNetworkInterfacePermission. Raises InvalidPermissionID.NotFound, and OperationNotPermitted
    without Force while an address of the other account is bound."""
    row = _FAMILY.require(call, request["NetworkInterfacePermissionId"])
    used = row.permission == "EIP-ASSOCIATE" and any(
        eip.account == row.grantee for eip in call.tx.find(ELASTIC_IPS_BY_INTERFACE, row.interface)
    )
    if used and not request.get("Force"):
        raise AwsError("OperationNotPermitted", f"The network interface permission '{row.id}' is in use.")
    call.tx.delete(INTERFACE_PERMISSIONS, row.id)
    return {"Return": True}


def _item(row: ec2.InterfacePermission) -> Mapping[str, Any]:
    """The wire form (EC2 API, shape NetworkInterfacePermission)."""
    return {
        "NetworkInterfacePermissionId": row.id,
        "NetworkInterfaceId": row.interface,
        "AwsAccountId": row.grantee,
        "Permission": row.permission,
        "PermissionState": {"State": "granted"},
    }


def _cached(call: Call, row: ec2.InterfacePermission) -> Cached:
    return Cached(key=("eni-perm", row.id), sources=(row,), build=partial(_item, row))


_PREFIX = "network-interface-permission"
_LISTING = Listing(
    family=_FAMILY,
    filters=Filters(
        fields={
            f"{_PREFIX}.aws-account-id": lambda call, r: (r.grantee,),
            f"{_PREFIX}.aws-service": lambda call, r: (),
            f"{_PREFIX}.network-interface-id": lambda call, r: (r.interface,),
            f"{_PREFIX}.network-interface-permission-id": lambda call, r: (r.id,),
            f"{_PREFIX}.permission": lambda call, r: (r.permission,),
        },
        indexes={f"{_PREFIX}.network-interface-id": INTERFACE_PERMISSIONS_BY_INTERFACE},
        keys=frozenset({f"{_PREFIX}.network-interface-permission-id"}),
    ),
    ids="NetworkInterfacePermissionIds",
    members="NetworkInterfacePermissions",
    items=each(_cached),
)

OPERATIONS: tuple[Operation, ...] = (
    write("CreateNetworkInterfacePermission", create_network_interface_permission),
    write("DeleteNetworkInterfacePermission", delete_network_interface_permission),
    read("DescribeNetworkInterfacePermissions", _LISTING.describe),
)
