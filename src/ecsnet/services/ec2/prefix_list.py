"""The prefix list calls; only AWS's own lists exist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ecsnet.services.call import Call, Operation, Reply, Request, read
from ecsnet.services.ec2.filters import Filters
from ecsnet.services.ec2.listing import drop_empty
from ecsnet.services.ec2.paging import page
from ecsnet.services.ec2.prefix_lists import PrefixList, prefix_list, service_lists
from ecsnet.services.ec2.regions import partition

_OWNER = "AWS"

_FILTERS: Filters[PrefixList] = Filters(
    fields={
        "owner-id": lambda call, r: (_OWNER,),
        "prefix-list-id": lambda call, r: (r.id,),
        "prefix-list-name": lambda call, r: (r.name,),
    }
)


def _chosen(call: Call, request: Request) -> tuple[Sequence[PrefixList], str | None]:
    tests = _FILTERS.parse(request)
    named = request.get("PrefixListIds")
    lists = [prefix_list(call, key) for key in named] if named else service_lists(call.region)
    chosen = {one.id: one for one in lists if all(test.matches(call, one) for test in tests)}
    keys, token = page(request, sorted(chosen))
    return [chosen[key] for key in keys], token


def describe_prefix_lists(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DescribePrefixLists."""
    lists, token = _chosen(call, request)
    items = [{"PrefixListId": one.id, "PrefixListName": one.name, "Cidrs": []} for one in lists]
    return drop_empty({"PrefixLists": items, "NextToken": token})


def describe_managed_prefix_lists(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DescribeManagedPrefixLists."""
    lists, token = _chosen(call, request)
    return drop_empty({"PrefixLists": [_managed_item(call.region, one) for one in lists], "NextToken": token})


def _managed_item(region: str, one: PrefixList) -> Mapping[str, Any]:
    return {
        "PrefixListId": one.id,
        "PrefixListName": one.name,
        "PrefixListArn": f"arn:{partition(region)}:ec2:{region}:aws:prefix-list/{one.id}",
        "AddressFamily": "IPv4",
        "State": "create-complete",
        "OwnerId": _OWNER,
        "Tags": [],
    }


def get_managed_prefix_list_entries(call: Call, request: Request) -> Reply:
    """Source: EC2 API, GetManagedPrefixListEntries."""
    prefix_list(call, request["PrefixListId"])
    return {"Entries": []}


OPERATIONS: tuple[Operation, ...] = (
    read("DescribePrefixLists", describe_prefix_lists),
    read("DescribeManagedPrefixLists", describe_managed_prefix_lists),
    read("GetManagedPrefixListEntries", get_managed_prefix_list_entries),
)
