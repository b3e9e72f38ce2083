"""The verbs that other services and controllers may call, in their own transaction.

Everything else in this package is the API's business. All take `call: Call` (or a reader) first.
"""

from __future__ import annotations

from ecsnet.model.dnsnames import private_dns_name, public_dns_name
from ecsnet.services.ec2.addressing import (
    allocate_public_ip,
    public_ip_of,
)
from ecsnet.services.ec2.default_vpc import find_default_vpc, seed_account
from ecsnet.services.ec2.instance_launch import launch_instance
from ecsnet.services.ec2.instance_type import instance_type
from ecsnet.services.ec2.instances import (
    INSTANCE_LISTED_AFTER_END,
    begin_terminate,
    finish_stop,
    finish_terminate,
    forget_instance,
    in_force,
    interfaces_of,
    make_running,
    primary_interface,
)
from ecsnet.services.ec2.interfaces import (
    allocate_interface,
    attach_interface,
    detach_interface,
    interface_status,
    is_attached,
    release_interface,
    set_ipv6,
    validate_subnets_and_groups,
    with_groups,
)
from ecsnet.services.ec2.launch_template import chosen as launch_template
from ecsnet.services.ec2.launch_template import version_of as launch_template_version
from ecsnet.services.ec2.nat_addresses import finish_drains
from ecsnet.services.ec2.nat_gateways import (
    begin_nat_delete,
    finish_nat_delete,
    forget_nat_gateway,
    make_nat_available,
)
from ecsnet.services.ec2.security_groups import default_group, number_group_sets, usable_in
from ecsnet.services.ec2.tags import set_tags
from ecsnet.services.ec2.vpc_peerings import follow_clock as follow_peering_clock

__all__ = [
    "INSTANCE_LISTED_AFTER_END",
    "allocate_interface",
    "allocate_public_ip",
    "attach_interface",
    "begin_nat_delete",
    "begin_terminate",
    "default_group",
    "detach_interface",
    "find_default_vpc",
    "finish_drains",
    "finish_nat_delete",
    "finish_stop",
    "finish_terminate",
    "follow_peering_clock",
    "forget_instance",
    "forget_nat_gateway",
    "in_force",
    "instance_type",
    "interface_status",
    "interfaces_of",
    "is_attached",
    "launch_instance",
    "launch_template",
    "launch_template_version",
    "make_nat_available",
    "make_running",
    "number_group_sets",
    "primary_interface",
    "private_dns_name",
    "public_dns_name",
    "public_ip_of",
    "release_interface",
    "seed_account",
    "set_ipv6",
    "set_tags",
    "usable_in",
    "validate_subnets_and_groups",
    "with_groups",
]
