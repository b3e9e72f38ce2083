"""Handing an Elastic IP to another account: one offers, the other accepts within seven days.

Source: EC2 User Guide, "Transfer an Elastic IP address between AWS accounts". The allocation keeps its id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ecsnet.model import ec2
from ecsnet.model.base import scope
from ecsnet.model.tables import (
    ADDRESS_TRANSFERS,
    ADDRESS_TRANSFERS_BY_PUBLIC_IP,
    ADDRESS_TRANSFERS_BY_SCOPE,
    ELASTIC_IPS,
)
from ecsnet.services.call import AwsError, Call, Operation, Reply, Request, read, write
from ecsnet.services.ec2 import errors, families
from ecsnet.services.ec2.listing import drop_empty
from ecsnet.services.ec2.paging import page
from ecsnet.services.ec2.quotas import quota
from ecsnet.services.ec2.tagging import specified

_DAY = 86_400.0
_OFFERED, _SHOWN = 7 * _DAY, 14 * _DAY
"""How long an offer stands, and how long the giver sees that it was accepted; seconds."""


def enable_address_transfer(call: Call, request: Request) -> Reply:
    """Source: EC2 API, EnableAddressTransfer. Raises InvalidAllocationID.NotFound, InvalidParameterValue."""
    eip = families.ELASTIC_IP.require(call, request["AllocationId"])
    to = str(request["TransferAccountId"])
    if len(to) != 12 or not (to.isascii() and to.isdigit()) or to == call.account:
        raise errors.invalid_value("transferAccountId", to, "Use the 12 digits of another account.")
    for old in list(call.tx.find(ADDRESS_TRANSFERS_BY_SCOPE, scope(call.account, call.region))):
        if not _is_listed(call, old):
            call.tx.delete(ADDRESS_TRANSFERS, old.allocation)
    offer = ec2.AddressTransfer(
        allocation=eip.allocation,
        account=call.account,
        region=call.region,
        public_ip=eip.public_ip,
        to_account=to,
        offered=call.now,
        expires=call.now + _OFFERED,
    )
    return {"AddressTransfer": _item(call.tx.put(ADDRESS_TRANSFERS, offer))}


def disable_address_transfer(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DisableAddressTransfer. Raises InvalidParameterValue without a pending offer."""
    eip = families.ELASTIC_IP.require(call, request["AllocationId"])
    offer = call.tx.get(ADDRESS_TRANSFERS, eip.allocation)
    if offer is None or not _is_pending(call, offer):
        raise errors.invalid_value("allocationId", eip.allocation, "It is not being transferred.")
    call.tx.delete(ADDRESS_TRANSFERS, eip.allocation)
    return {"AddressTransfer": {**_item(offer), "AddressTransferStatus": "disabled"}}


def accept_address_transfer(call: Call, request: Request) -> Reply:
    """Take an offered address over, without its tags.

    Source: EC2 API, AcceptAddressTransfer; the user guide's list of exceptions. Raises InvalidAddress.NotFound,
    InvalidTransfer.AddressAssociated, InvalidTransfer.AddressCustomPtrSet, AddressLimitExceeded.
    """
    offer = _offered(call, str(request["Address"]))
    eip = call.tx.get(ELASTIC_IPS, offer.allocation)
    assert eip is not None, "an offer goes with its address"
    if eip.association is not None:
        raise AwsError("InvalidTransfer.AddressAssociated", f"Address {eip.public_ip} is associated.")
    if eip.reverse_name is not None:
        raise AwsError("InvalidTransfer.AddressCustomPtrSet", f"Address {eip.public_ip} has a reverse DNS name.")
    if families.ELASTIC_IP.count(call) >= quota(call, "elastic_ips_per_region"):
        raise errors.limit_exceeded("AddressLimitExceeded", "addresses")
    tags = specified(request, families.ELASTIC_IP.noun)
    call.tx.put(ELASTIC_IPS, msgspec.structs.replace(eip, account=call.account, tags=tags))
    done = call.tx.put(ADDRESS_TRANSFERS, msgspec.structs.replace(offer, accepted=call.now))
    return {"AddressTransfer": _item(done)}


def _offered(call: Call, address: str) -> ec2.AddressTransfer:
    for offer in call.tx.find(ADDRESS_TRANSFERS_BY_PUBLIC_IP, address):
        if offer.to_account == call.account and offer.region == call.region and _is_pending(call, offer):
            return offer
    raise AwsError("InvalidAddress.NotFound", f"Address '{address}' not found.")


def _is_pending(call: Call, offer: ec2.AddressTransfer) -> bool:
    return offer.accepted is None and call.now < offer.expires


def _is_listed(call: Call, offer: ec2.AddressTransfer) -> bool:
    return _is_pending(call, offer) or (offer.accepted is not None and call.now < offer.accepted + _SHOWN)


def describe_address_transfers(call: Call, request: Request) -> Reply:
    """What the caller's account offers or has given away. Source: EC2 API, DescribeAddressTransfers."""
    wanted = set(request.get("AllocationIds") or ())
    found = {
        offer.allocation: offer
        for offer in call.tx.find(ADDRESS_TRANSFERS_BY_SCOPE, scope(call.account, call.region))
        if _is_listed(call, offer)
    }
    for key in sorted(wanted - found.keys()):
        families.ELASTIC_IP.require(call, key)
    chosen, token = page(request, sorted(found.keys() & wanted if wanted else found))
    return drop_empty({"AddressTransfers": [_item(found[key]) for key in chosen], "NextToken": token})


def _item(offer: ec2.AddressTransfer) -> Mapping[str, Any]:
    """The wire form (EC2 API, shape AddressTransfer)."""
    return drop_empty(
        {
            "PublicIp": str(offer.public_ip),
            "AllocationId": offer.allocation,
            "TransferAccountId": offer.to_account,
            "TransferOfferExpirationTimestamp": offer.expires,
            "TransferOfferAcceptedTimestamp": offer.accepted,
            "AddressTransferStatus": "pending" if offer.accepted is None else "accepted",
        }
    )


OPERATIONS: tuple[Operation, ...] = (
    write("EnableAddressTransfer", enable_address_transfer),
    write("DisableAddressTransfer", disable_address_transfer),
    write("AcceptAddressTransfer", accept_address_transfer),
    read("DescribeAddressTransfers", describe_address_transfers),
)
