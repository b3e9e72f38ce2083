"""EC2 networking quotas (VPC User Guide, "Amazon VPC quotas"). Every default is AWS's; a user may override each."""

from __future__ import annotations

from collections.abc import Mapping

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
    "elastic_ips_per_nat_gateway": 2,
    "addresses_per_nat_gateway": 8,
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


_CEILINGS = {
    "groups_per_interface": 16,
    "entries_per_acl": 40,
    "routes_per_table": 1000,
    "entries_per_prefix_list": 1000,
}
"""What AWS grants at most."""

_RULES_PER_INTERFACE = 1000
"""Groups of an interface times rules of a group."""


def check(overrides: Mapping[str, int]) -> None:
    """Whether AWS would grant these quotas. Raises ValueError saying which it would not."""
    for name, ceiling in _CEILINGS.items():
        if overrides.get(name, 0) > ceiling:
            raise ValueError(f"{name} can be {ceiling} at most")
    chosen = {**DEFAULTS, **overrides}
    if chosen["rules_per_group"] * chosen["groups_per_interface"] > _RULES_PER_INTERFACE:
        raise ValueError(
            f"rules_per_group times groups_per_interface can be {_RULES_PER_INTERFACE} at most, not "
            f"{chosen['rules_per_group']} times {chosen['groups_per_interface']}"
        )


def quota(call: Call, name: str) -> int:
    """The quota in force: the user's setting, else AWS's default."""
    return call.settings.quotas.get(name, DEFAULTS[name])
