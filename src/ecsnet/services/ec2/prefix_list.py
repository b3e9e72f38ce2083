"""Reading prefix lists: AWS's own ones and the account's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from ecsnet.model import ec2
from ecsnet.model.tables import (
    GROUP_RULES,
    PREFIX_LIST_VERSIONS,
    ROUTE_TABLES_BY_PREFIX_LIST,
    RULES_BY_PREFIX_LIST,
    prefix_list_version_key,
)
from ecsnet.services.call import AwsError, Cached, Call, Operation, Reply, Request, read
from ecsnet.services.ec2 import families
from ecsnet.services.ec2.filters import Filters
from ecsnet.services.ec2.listing import drop_empty
from ecsnet.services.ec2.paging import page
from ecsnet.services.ec2.prefix_lists import AnyList, ServiceList, prefix_list, service_lists
from ecsnet.services.ec2.regions import arn, partition
from ecsnet.services.ec2.tagging import tag_set

_AWS = "AWS"


def _owner(listed: AnyList) -> str:
    return listed.account if isinstance(listed, ec2.PrefixList) else _AWS


_FILTERS: Filters[AnyList] = Filters(
    fields={
        "owner-id": lambda call, r: (_owner(r),),
        "prefix-list-id": lambda call, r: (r.id,),
        "prefix-list-name": lambda call, r: (r.name,),
    },
    tags=lambda r: r.tags if isinstance(r, ec2.PrefixList) else (),
)


def _chosen(call: Call, request: Request, lists: Iterable[AnyList]) -> tuple[list[AnyList], str | None]:
    tests = _FILTERS.parse(request)
    chosen = {one.id: one for one in lists if all(test.matches(call, one) for test in tests)}
    keys, token = page(request, sorted(chosen))
    return [chosen[key] for key in keys], token


def _lists(call: Call, request: Request) -> list[AnyList]:
    named = request.get("PrefixListIds")
    if named:
        return [prefix_list(call, key) for key in named]
    return [*service_lists(call.region), *families.PREFIX_LIST.all(call)]


def describe_prefix_lists(call: Call, request: Request) -> Reply:
    """AWS's own lists with their blocks. Source: EC2 API, DescribePrefixLists."""
    own = [one for one in _lists(call, request) if isinstance(one, ServiceList)]
    lists, token = _chosen(call, request, own)
    items = [{"PrefixListId": one.id, "PrefixListName": one.name, "Cidrs": []} for one in lists]
    return drop_empty({"PrefixLists": items, "NextToken": token})


def describe_managed_prefix_lists(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DescribeManagedPrefixLists."""
    lists, token = _chosen(call, request, _lists(call, request))
    return drop_empty({"PrefixLists": [_cached(call.region, one) for one in lists], "NextToken": token})


def _cached(region: str, listed: AnyList) -> Cached:
    return Cached(key=("pl", region, listed.id), sources=(listed,), build=partial(managed_item, region, listed))


def managed_item(region: str, listed: AnyList, state: str | None = None) -> Mapping[str, Any]:
    """The wire form (EC2 API, shape ManagedPrefixList). AWS shows neither size nor version of its own lists."""
    if isinstance(listed, ServiceList):
        return {
            "PrefixListId": listed.id,
            "PrefixListName": listed.name,
            "PrefixListArn": f"arn:{partition(region)}:ec2:{region}:aws:prefix-list/{listed.id}",
            "AddressFamily": "IPv4",
            "State": "create-complete",
            "OwnerId": _AWS,
            "Tags": [],
        }
    return drop_empty(
        {
            "PrefixListId": listed.id,
            "PrefixListName": listed.name,
            "PrefixListArn": arn(region, listed.account, f"prefix-list/{listed.id}"),
            "AddressFamily": f"IPv{listed.family}",
            "State": state or listed.state,
            "StateMessage": listed.state_message,
            "MaxEntries": listed.max_entries,
            "Version": listed.version,
            "OwnerId": listed.account,
            "Tags": tag_set(listed.tags),
        }
    )


def entries_at(call: Call, listed: AnyList, version: int | None) -> tuple[ec2.PrefixListEntry, ...]:
    """What the list holds, or held at a version. Raises InvalidPrefixListVersion for one that there never was."""
    if isinstance(listed, ServiceList):
        return ()
    if version is None or version == listed.version:
        return listed.entries
    row = call.tx.get(PREFIX_LIST_VERSIONS, prefix_list_version_key(listed.id, version))
    if row is None:
        raise AwsError(
            "InvalidPrefixListVersion.NotFound", f"The prefix list '{listed.id}' does not have a version {version}"
        )
    return row.entries


def get_managed_prefix_list_entries(call: Call, request: Request) -> Reply:
    """Source: EC2 API, GetManagedPrefixListEntries."""
    listed = prefix_list(call, request["PrefixListId"])
    entries = {str(one.cidr): one for one in entries_at(call, listed, request.get("TargetVersion"))}
    keys, token = page(request, sorted(entries))
    items = [drop_empty({"Cidr": key, "Description": entries[key].description}) for key in keys]
    return drop_empty({"Entries": items, "NextToken": token})


def dependents(call: Call, key: str) -> list[str]:
    """The security groups and route tables that name the list."""
    rules = (call.tx.get(GROUP_RULES, one) for one in call.tx.keys(RULES_BY_PREFIX_LIST, key))
    return sorted({rule.group for rule in rules if rule} | {*call.tx.keys(ROUTE_TABLES_BY_PREFIX_LIST, key)})


def get_managed_prefix_list_associations(call: Call, request: Request) -> Reply:
    """Source: EC2 API, GetManagedPrefixListAssociations."""
    listed = families.PREFIX_LIST.require(call, request["PrefixListId"])
    keys, token = page(request, dependents(call, listed.id))
    items = [{"ResourceId": key, "ResourceOwner": listed.account} for key in keys]
    return drop_empty({"PrefixListAssociations": items, "NextToken": token})


OPERATIONS: tuple[Operation, ...] = (
    read("DescribePrefixLists", describe_prefix_lists),
    read("DescribeManagedPrefixLists", describe_managed_prefix_lists),
    read("GetManagedPrefixListEntries", get_managed_prefix_list_entries),
    read("GetManagedPrefixListAssociations", get_managed_prefix_list_associations),
)
