"""Picking addresses: private ones in a subnet, public ones for the whole of ecsnet; and the names made from them.

Both picks draw at random and test an index, so they cost the same whatever the size of the subnet; a lock-step
counter would hand a freed address out again at once, which hides stale-address bugs that AWS shows.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from ecsnet.model import ec2
from ecsnet.model.base import IpNetwork
from ecsnet.model.tables import (
    CIDR_RESERVATIONS_BY_SUBNET,
    ELASTIC_IPS_BY_INTERFACE,
    ELASTIC_IPS_BY_PUBLIC_IP,
    INTERFACES_BY_ADDRESS,
    INTERFACES_BY_PREFIX,
    INTERFACES_BY_PUBLIC_IP,
    INTERFACES_BY_SUBNET,
    INTERFACES_WITH_SECONDARIES_BY_SUBNET,
)
from ecsnet.services.call import AwsError, Call
from ecsnet.store.snapshot import Reader

IpAddress = IPv4Address | IPv6Address

PREFIX_LENGTH = {4: 28, 6: 80}
"""Length of a delegated prefix by IP version (EC2 User Guide, "Prefix delegation for network interfaces")."""

PUBLIC_POOL = IPv4Network("198.18.0.0/15")
"""RFC 2544's benchmarking range: never routed on the internet, so a public address here cannot be anybody's."""
_PUBLIC_RESERVED = IPv4Network("198.19.255.0/24")
"""Kept for the internet side itself (its client is 198.19.255.254)."""

_RESERVED_AT_START = 4
"""Network address, router, DNS, future use; the last address is reserved as well (VPC User Guide, "Subnet sizing")."""
_DRAWS = 64
"""Random draws before searching: at 90 % occupation one pick in a thousand gets past them."""


def usable_count(cidr: IPv4Network) -> int:
    """How many addresses of an empty subnet can be given to interfaces."""
    return cidr.num_addresses - _RESERVED_AT_START - 1


def is_usable(cidr: IpNetwork, address: IpAddress) -> bool:
    """Whether the address lies in the subnet and is none of AWS's five reserved ones."""
    offset = int(address) - int(cidr.network_address)
    return _RESERVED_AT_START <= offset < cidr.num_addresses - 1


def free_count(reader: Reader, subnet: ec2.Subnet) -> int:
    """AvailableIpAddressCount. Costs the number of interfaces that have more than one address, not of all."""
    if subnet.cidr is None:
        return 0
    used = len(reader.keys(INTERFACES_BY_SUBNET, subnet.id))
    for eni in reader.find(INTERFACES_WITH_SECONDARIES_BY_SUBNET, subnet.id):
        used += len(eni.secondary_ips) + sum(prefix.num_addresses for prefix in eni.ipv4_prefixes)
    return usable_count(subnet.cidr) - used


def is_taken(reader: Reader, vpc: str, address: IpAddress) -> bool:
    """Whether an interface has the address, by itself or within a delegated prefix."""
    if reader.keys(INTERFACES_BY_ADDRESS, f"{vpc}/{address}"):
        return True
    prefix = ip_network((address, PREFIX_LENGTH[address.version]), strict=False)
    return bool(reader.keys(INTERFACES_BY_PREFIX, f"{vpc}/{prefix}"))


def reservations(reader: Reader, subnet: ec2.Subnet) -> tuple[ec2.CidrReservation, ...]:
    """The reserved parts of a subnet: no address of them is picked, only one that is asked for by name.

    Source: VPC User Guide, "Subnet CIDR reservations".
    """
    return tuple(reader.find(CIDR_RESERVATIONS_BY_SUBNET, subnet.id))


def _kept(reserved: tuple[ec2.CidrReservation, ...], address: IpAddress) -> bool:
    return any(address in one.cidr for one in reserved)


def pick_private(call: Call, subnet: ec2.Subnet) -> IPv4Address:
    """A random free address of the subnet. Raises InsufficientFreeAddressesInSubnet."""
    cidr = subnet.cidr
    if cidr is None or free_count(call.tx, subnet) <= 0:
        raise no_free_address()
    reserved = reservations(call.tx, subnet)
    first, size = int(cidr.network_address) + _RESERVED_AT_START, usable_count(cidr)
    offset = 0
    for _ in range(_DRAWS):
        offset = int(call.ids.hex(8), 16) % size
        address = IPv4Address(first + offset)
        if not _kept(reserved, address) and not is_taken(call.tx, subnet.vpc, address):
            return address
    for step in range(1, size):
        address = IPv4Address(first + (offset + step) % size)
        if not _kept(reserved, address) and not is_taken(call.tx, subnet.vpc, address):
            return address
    raise no_free_address()


def pick_ipv6(call: Call, subnet: ec2.Subnet) -> IPv6Address:
    """A random free IPv6 address of the subnet. Raises InsufficientFreeAddressesInSubnet."""
    cidr = _ipv6_block(subnet)
    if cidr is None:
        raise no_ipv6(subnet)
    reserved = reservations(call.tx, subnet)
    for _ in range(_DRAWS):
        offset = int(call.ids.hex(32), 16) % cidr.num_addresses
        address = IPv6Address(int(cidr.network_address) + offset)
        if is_usable(cidr, address) and not _kept(reserved, address) and not is_taken(call.tx, subnet.vpc, address):
            return address
    raise no_free_address()  # of 2^64 addresses, 64 draws: reservations cover the subnet


def _ipv6_block(subnet: ec2.Subnet) -> IPv6Network | None:
    cidr = None if subnet.ipv6_cidr is None else subnet.ipv6_cidr.cidr
    return cidr if isinstance(cidr, IPv6Network) else None


def no_ipv6(subnet: ec2.Subnet) -> AwsError:
    return AwsError("InvalidParameterValue", f"The subnet '{subnet.id}' has no IPv6 CIDR block")


def claim_private(call: Call, subnet: ec2.Subnet, address: IPv4Address) -> IPv4Address:
    """The wanted address, if it is free.

    Raises InvalidParameterValue outside the subnet, InvalidIPAddress.InUse for a taken or reserved one.
    """
    _check_claim(call, subnet, subnet.cidr, address)
    return address


def claim_ipv6(call: Call, subnet: ec2.Subnet, address: IPv6Address) -> IPv6Address:
    """As `claim_private`, for IPv6."""
    _check_claim(call, subnet, _ipv6_block(subnet), address)
    return address


def _check_claim(call: Call, subnet: ec2.Subnet, cidr: IpNetwork | None, address: IpAddress) -> None:
    if cidr is None or address not in cidr:
        raise AwsError("InvalidParameterValue", "Address does not fall within the subnet's address range")
    if not is_usable(cidr, address):
        raise AwsError("InvalidParameterValue", "Address is in subnet's reserved address range")
    if is_taken(call.tx, subnet.vpc, address):
        raise AwsError("InvalidIPAddress.InUse", "The specified address is already in use.")


def no_free_address() -> AwsError:
    return AwsError(
        "InsufficientFreeAddressesInSubnet",
        "The specified subnet does not have enough free addresses to satisfy the request.",
    )


def allocate_public_ip(call: Call) -> IPv4Address:
    """A random public address that nobody holds, in any account and region. Raises InsufficientAddressCapacity.

    It is held only once a record with it (an Elastic IP, an interface) is put in the same transaction.
    """
    # The reserved /24 is the end of the pool, and .0.0 is left out because it reads like a network.
    size = PUBLIC_POOL.num_addresses - _PUBLIC_RESERVED.num_addresses - 1
    first = int(PUBLIC_POOL.network_address) + 1
    start = int(call.ids.hex(8), 16) % size
    for draw in range(size):
        offset = int(call.ids.hex(8), 16) % size if draw < _DRAWS else (start + draw) % size
        address = IPv4Address(first + offset)
        if not is_public_taken(call.tx, address):
            return address
    raise AwsError("InsufficientAddressCapacity", "Insufficient capacity to satisfy your address request.", status=500)


def is_public_taken(reader: Reader, address: IPv4Address) -> bool:
    text = str(address)
    return bool(reader.keys(ELASTIC_IPS_BY_PUBLIC_IP, text)) or bool(reader.keys(INTERFACES_BY_PUBLIC_IP, text))


def elastic_ip_of(reader: Reader, interface: str, private_ip: IPv4Address) -> ec2.ElasticIp | None:
    """The Elastic IP that is associated with one private address of an interface."""
    for eip in reader.find(ELASTIC_IPS_BY_INTERFACE, interface):
        if eip.private_ip == private_ip:
            return eip
    return None


def public_ip_of(reader: Reader, eni: ec2.NetworkInterface, private_ip: IPv4Address | None) -> IPv4Address | None:
    """The public address behind which `private_ip` appears on the internet, if it has one (None has none).

    An Elastic IP replaces the automatic one (EC2 User Guide, "Elastic IP addresses").
    """
    if private_ip is None:
        return None
    eip = elastic_ip_of(reader, eni.id, private_ip)
    if eip is not None:
        return eip.public_ip
    return eni.auto_public_ip if private_ip == eni.private_ip else None


def mac_of(interface: str) -> str:
    """The MAC address of an interface: locally administered, made from the end of its id."""
    digits = f"{interface.rpartition('-')[2]:0>10}"[-10:]
    return "02:" + ":".join(digits[i : i + 2] for i in range(0, 10, 2))
