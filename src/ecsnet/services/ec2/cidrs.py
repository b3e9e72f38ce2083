"""Reading CIDR blocks and addresses from requests, and the size and range rules of VPCs."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    NetmaskValueError,
    ip_network,
)

from ecsnet.model.base import IpNetwork
from ecsnet.services.call import AwsError
from ecsnet.services.ec2 import errors

_TEN = IPv4Network("10.0.0.0/8")
_TEN_ZERO = IPv4Network("10.0.0.0/15")
_TEN_ZERO_ZERO = IPv4Network("10.0.0.0/16")
_ONE_SEVEN_TWO = IPv4Network("172.16.0.0/12")
_DEFAULT_VPC = IPv4Network("172.31.0.0/16")
_ONE_NINE_TWO = IPv4Network("192.168.0.0/16")
_BENCHMARK = IPv4Network("198.19.0.0/16")
_LINK_LOCAL = IPv4Network("169.254.0.0/16")
_PRIVATE = (_TEN, _ONE_SEVEN_TWO, _ONE_NINE_TWO)


def ipv4(text: str, parameter: str) -> IPv4Network:
    """The block with its host bits cleared, as AWS does. Raises InvalidParameterValue.

    `parameter` is the name that the message uses (lower camel case).
    """
    if "/" not in text:
        raise errors.invalid_cidr(parameter, text)
    try:
        return IPv4Network(text, strict=False)
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        raise errors.invalid_cidr(parameter, text) from error


def ipv6(text: str, parameter: str) -> IPv6Network:
    """As `ipv4`, for IPv6. A scope ("%eth0"), which Python's networks keep, is no part of a block."""
    if "/" not in text or "%" in text:
        raise errors.invalid_cidr(parameter, text)
    try:
        return IPv6Network(text, strict=False)
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        raise errors.invalid_cidr(parameter, text) from error


def either(text: str, parameter: str) -> IpNetwork:
    """A block of either family."""
    return ipv6(text, parameter) if ":" in text else ipv4(text, parameter)


def address(text: str, parameter: str) -> IPv4Address:
    """An IPv4 address. Raises InvalidParameterValue."""
    try:
        return IPv4Address(text)
    except AddressValueError as error:
        raise errors.invalid_value(parameter, text, "Invalid IPv4 address.") from error


def address6(text: str, parameter: str) -> IPv6Address:
    """An IPv6 address without a scope. Raises InvalidParameterValue."""
    try:
        found = IPv6Address(text)
    except AddressValueError as error:
        raise errors.invalid_value(parameter, text, "Invalid IPv6 address.") from error
    if found.scope_id is not None:
        raise errors.invalid_value(parameter, text, "Invalid IPv6 address.")
    return found


def vpc_block(text: str) -> IPv4Network:
    """The IPv4 block of a VPC: /16 to /28. Raises InvalidParameterValue or InvalidVpc.Range."""
    block = ipv4(text, "cidrBlock")
    if not 16 <= block.prefixlen <= 28 or block.subnet_of(_LINK_LOCAL):
        raise AwsError("InvalidVpc.Range", f"The CIDR '{text}' is invalid.")
    return block


def subnet_block(text: str, inside: Iterable[IPv4Network]) -> IPv4Network:
    """The IPv4 block of a subnet: /16 to /28 within one block of its VPC. Raises InvalidSubnet.Range."""
    block = ipv4(text, "cidrBlock")
    if not 16 <= block.prefixlen <= 28 or not any(block.subnet_of(outer) for outer in inside):
        raise AwsError("InvalidSubnet.Range", f"The CIDR '{text}' is invalid.")
    return block


def subnet_block6(text: str, inside: Iterable[IPv6Network]) -> IPv6Network:
    """The IPv6 block of a subnet: /44 to /64 in steps of four, within one block of its VPC.

    Raises InvalidSubnet.Range. Source: VPC User Guide, "Subnet CIDR blocks".
    """
    block = ipv6(text, "ipv6CidrBlock")
    if block.prefixlen not in range(44, 65, 4) or not any(block.subnet_of(outer) for outer in inside):
        raise AwsError("InvalidSubnet.Range", f"The CIDR '{text}' is invalid.")
    return block


def may_join(primary: IPv4Network, existing: Iterable[IPv4Network], block: IPv4Network) -> bool:
    """Whether a secondary block may be added (VPC User Guide, "IPv4 CIDR block association restrictions")."""
    if any(block.overlaps(other) for other in existing) or block.overlaps(_LINK_LOCAL):
        return False
    forbidden: tuple[IPv4Network, ...]
    if primary.subnet_of(_TEN):
        forbidden = (_ONE_SEVEN_TWO, _ONE_NINE_TWO, _BENCHMARK)
        if any(other.overlaps(_TEN_ZERO) for other in existing):
            forbidden += (_TEN_ZERO_ZERO,)
    elif primary.subnet_of(_ONE_SEVEN_TWO):
        forbidden = (_TEN, _ONE_NINE_TWO, _DEFAULT_VPC, _BENCHMARK)
    elif primary.subnet_of(_ONE_NINE_TWO):
        forbidden = (_TEN, _ONE_SEVEN_TWO, _BENCHMARK)
    elif primary.subnet_of(_BENCHMARK):
        forbidden = _PRIVATE
    else:
        forbidden = (*_PRIVATE, _BENCHMARK)
    return not any(block.overlaps(other) for other in forbidden)


def protocol_number(text: str) -> int | None:
    """An IP protocol in ASCII digits, 0 to 255; None for anything else (also for digits of other scripts)."""
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= 3 else 256
    return number if number <= 255 else None


def canonical(text: str) -> IpNetwork | None:
    """A block exactly as written in a filter, or None when it is not one."""
    try:
        return ip_network(text)
    except ValueError:
        return None
