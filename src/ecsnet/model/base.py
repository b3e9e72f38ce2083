"""The base of every stored record and the ids that the whole project shares.

Records are immutable values: an update is `msgspec.structs.replace(row, ...)` followed by `tx.put`. They hold strings,
numbers, `ipaddress` objects and tuples of records, never lists or dicts, so that they are acyclic (`gc=False`) and
may be compared and shared freely.
"""

from __future__ import annotations

import abc
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, NewType

import msgspec

if TYPE_CHECKING:
    IpNetwork = IPv4Network | IPv6Network
else:

    class IpNetwork(abc.ABC):  # noqa: B024
        """An IPv4 or IPv6 network. msgspec refuses a union of two custom types, so it sees this one class."""

    IpNetwork.register(IPv4Network)
    IpNetwork.register(IPv6Network)

AccountId = NewType("AccountId", str)
Region = NewType("Region", str)
VpcId = NewType("VpcId", str)
SubnetId = NewType("SubnetId", str)
GroupId = NewType("GroupId", str)
InterfaceId = NewType("InterfaceId", str)
RouteTableId = NewType("RouteTableId", str)
Arn = NewType("Arn", str)

Tags = tuple[tuple[str, str], ...]
"""Tags in the order in which they were set: ((key, value), ...)."""


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One stored AWS resource (or a value inside one)."""


def scope(account: str, region: str) -> str:
    """The index value of everything in one account and region."""
    return f"{account}/{region}"
