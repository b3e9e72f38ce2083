"""The DNS names that Amazon gives to addresses (VPC User Guide, "DNS attributes for your VPC")."""

from __future__ import annotations

from ipaddress import IPv4Address


def private_domain(region: str) -> str:
    """The domain of a region's private names."""
    return "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"


def private_dns_name(region: str, address: IPv4Address) -> str:
    """The address-based private name, for example ip-10-0-1-25.ec2.internal."""
    return f"ip-{str(address).replace('.', '-')}.{private_domain(region)}"


def public_domain(region: str) -> str:
    """The domain of a region's public names."""
    return "compute-1.amazonaws.com" if region == "us-east-1" else f"{region}.compute.amazonaws.com"


def public_dns_name(region: str, address: IPv4Address) -> str:
    """The public name, for example ec2-198-18-4-9.compute-1.amazonaws.com."""
    return f"ec2-{str(address).replace('.', '-')}.{public_domain(region)}"
