"""What the account as a whole has."""

from __future__ import annotations

from ecsnet.services.call import Call, Operation, Reply, Request, read
from ecsnet.services.ec2 import errors
from ecsnet.services.ec2.default_vpc import find_default_vpc
from ecsnet.services.ec2.quotas import quota


def describe_account_attributes(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DescribeAccountAttributes (the attributes about networking)."""
    vpc = find_default_vpc(call)
    addresses = str(quota(call, "elastic_ips_per_region"))
    attributes = {
        "supported-platforms": "VPC",
        "default-vpc": vpc.id if vpc is not None else "none",
        "vpc-max-security-groups-per-interface": str(quota(call, "groups_per_interface")),
        "max-elastic-ips": addresses,
        "vpc-max-elastic-ips": addresses,
    }
    wanted = request.get("AttributeNames") or tuple(attributes)
    for name in wanted:
        if name not in attributes:
            raise errors.invalid_value("attributeName", name, f"Use one of: {', '.join(attributes)}.")
    return {
        "AccountAttributes": [
            {"AttributeName": name, "AttributeValues": [{"AttributeValue": attributes[name]}]} for name in wanted
        ]
    }


OPERATIONS: tuple[Operation, ...] = (read("DescribeAccountAttributes", describe_account_attributes),)
