"""Amazon EC2's networking: what each call means for the stored records.

Owns the records of `ecsnet.model.ec2`; promises that what it answers is either stored fact or derived from what the
agent observed. It reads and writes only through the call's transaction and must not import the gateway, compile,
fabric or agent packages. Other services use `ecsnet.services.ec2.ops`.
"""

from __future__ import annotations

from ecsnet.services.call import Operation
from ecsnet.services.ec2 import (
    absent,
    account,
    address,
    attachment,
    availability_zone,
    dhcp_options,
    egress_only_gateway,
    flow_log,
    instance,
    instance_attribute,
    instance_type,
    internet_gateway,
    managed_prefix_list,
    nat_addresses,
    nat_gateway,
    network_acl,
    network_interface,
    prefix_list,
    route_table,
    security_group,
    security_group_rule,
    stale_security_group,
    subnet,
    subnet_cidr,
    tags,
    vpc,
    vpc_cidr,
    vpc_endpoint,
    vpc_peering,
)

OPERATIONS: tuple[Operation, ...] = (
    *vpc.OPERATIONS,
    *vpc_cidr.OPERATIONS,
    *subnet.OPERATIONS,
    *subnet_cidr.OPERATIONS,
    *internet_gateway.OPERATIONS,
    *egress_only_gateway.OPERATIONS,
    *route_table.OPERATIONS,
    *nat_gateway.OPERATIONS,
    *nat_addresses.OPERATIONS,
    *address.OPERATIONS,
    *security_group.OPERATIONS,
    *security_group_rule.OPERATIONS,
    *stale_security_group.OPERATIONS,
    *network_interface.OPERATIONS,
    *attachment.OPERATIONS,
    *instance.OPERATIONS,
    *instance_attribute.OPERATIONS,
    *instance_type.OPERATIONS,
    *network_acl.OPERATIONS,
    *dhcp_options.OPERATIONS,
    *vpc_endpoint.OPERATIONS,
    *prefix_list.OPERATIONS,
    *managed_prefix_list.OPERATIONS,
    *flow_log.OPERATIONS,
    *vpc_peering.OPERATIONS,
    *tags.OPERATIONS,
    *availability_zone.OPERATIONS,
    *account.OPERATIONS,
    *absent.OPERATIONS,
)
