"""EC2 networking quotas (VPC User Guide, "Amazon VPC quotas"). Every default is AWS's; a user may override each."""

from __future__ import annotations

from ecsnet.services.call import Call

DEFAULTS = {
    "vpcs_per_region": 5,
    "subnets_per_vpc": 200,
    "cidrs_per_vpc": 5,
    "ipv6_cidrs_per_vpc": 5,
    "internet_gateways_per_region": 5,
    "egress_only_internet_gateways_per_region": 5,
    "route_tables_per_vpc": 200,
    "routes_per_table": 500,
    "elastic_ips_per_region": 5,
    "nat_gateways_per_zone": 5,
    "groups_per_region": 2500,
    "rules_per_group": 60,
    "groups_per_interface": 5,
    "gateway_endpoints_per_region": 20,
    "acls_per_vpc": 200,
    "entries_per_acl": 20,
    "prefix_lists_per_region": 100,
    "entries_per_prefix_list": 1000,
    "active_peerings_per_vpc": 50,
    "outstanding_peerings_per_vpc": 25,
    "interfaces_per_region": 5000,
    "addresses_per_interface": 50,
}
"""`rules_per_group` counts per direction and address family, `entries_per_acl` per direction.

`addresses_per_interface` is the largest that any instance type has; an ENI on its own has no tighter limit.
"""


def quota(call: Call, name: str) -> int:
    """The quota in force: the user's setting, else AWS's default."""
    return call.settings.quotas.get(name, DEFAULTS[name])
