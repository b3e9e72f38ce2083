"""Making and changing the account's own prefix lists (VPC User Guide, "Customer-managed prefix lists").

A change is in force when its call is answered, so a list never shows AWS's states of work in progress. What AWS does
not document, and messages without a source in its documentation, follow what clients report.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from ecsnet.model import ec2
from ecsnet.model.base import IpNetwork
from ecsnet.model.tables import PREFIX_LIST_VERSIONS, PREFIX_LIST_VERSIONS_BY_LIST, PREFIX_LISTS
from ecsnet.services.call import AwsError, Call, Operation, Reply, Request, not_implemented, write
from ecsnet.services.ec2 import cidrs, errors, families, idempotency
from ecsnet.services.ec2.prefix_list import dependents, entries_at, managed_item
from ecsnet.services.ec2.prefix_lists import ServiceList, prefix_list
from ecsnet.services.ec2.quotas import quota
from ecsnet.services.ec2.routes import routes_fit
from ecsnet.services.ec2.security_group_rule import rules_fit
from ecsnet.services.ec2.tagging import specified

_FAMILIES: dict[str, Literal[4, 6]] = {"IPv4": 4, "IPv6": 6}
_PER_REQUEST = 100
_TEXT_LIMIT = 255
_RESERVED = "com.amazonaws"
_KEPT_VERSIONS = 1000
"""VPC User Guide, "Amazon VPC quotas": the oldest version is removed when another one would be too many."""


def create_managed_prefix_list(call: Call, request: Request) -> Reply:
    """Source: EC2 API, CreateManagedPrefixList.

    Raises InvalidParameterValue, PrefixListMaxEntriesExceeded, PrefixListLimitExceeded, IdempotentParameterMismatch.
    """
    known = idempotency.earlier(call, "CreateManagedPrefixList", request)
    if known is not None:
        return _reply(call, families.PREFIX_LIST.require(call, known))
    family = _FAMILIES.get(request["AddressFamily"])
    if family is None:
        raise errors.invalid_value("addressFamily", request["AddressFamily"], "Use IPv4 or IPv6.")
    size = _size(call, request["MaxEntries"])
    entries = _added((), _entries(request.get("Entries") or (), family))
    _check_room(entries, size)
    if families.PREFIX_LIST.count(call) >= quota(call, "prefix_lists_per_region"):
        raise errors.limit_exceeded("PrefixListLimitExceeded", "prefix lists")
    made = call.tx.put(
        PREFIX_LISTS,
        ec2.PrefixList(
            id=call.ids.resource("pl"),
            account=call.account,
            region=call.region,
            name=_name(request["PrefixListName"]),
            family=family,
            max_entries=size,
            entries=entries,
            tags=specified(request, families.PREFIX_LIST.noun),
        ),
    )
    idempotency.remember(call, "CreateManagedPrefixList", request, made.id)
    return _reply(call, made)


def modify_managed_prefix_list(call: Call, request: Request) -> Reply:
    """Add and remove entries (a new version), or resize, or rename. Source: EC2 API, ModifyManagedPrefixList.

    A size that a dependent cannot bear leaves the list as it was, in state `modify-failed` with the first ten
    dependents in its message. Raises PrefixListVersionMismatch, InvalidPrefixListModification,
    PrefixListMaxEntriesExceeded, InvalidParameterValue, InvalidParameterCombination.
    """
    listed = _own(call, request["PrefixListId"])
    if request.get("IpamPrefixListResolverSyncEnabled"):
        raise not_implemented("ModifyManagedPrefixList", "IpamPrefixListResolverSyncEnabled")
    _check_version(listed, request.get("CurrentVersion"))
    name = _name(request["PrefixListName"]) if request.get("PrefixListName") is not None else listed.name
    listed = msgspec.structs.replace(listed, name=name, state="modify-complete", state_message=None)
    add, remove = request.get("AddEntries") or (), request.get("RemoveEntries") or ()
    if request.get("MaxEntries") is not None:
        if add or remove:
            raise errors.combination("Entries and the maximum size of a prefix list cannot be changed in one request.")
        return _reply(call, _resized(call, listed, _size(call, request["MaxEntries"])))
    if not add and not remove:
        return _reply(call, call.tx.put(PREFIX_LISTS, listed))
    entries = _changed(listed, _entries(add, listed.family), [one.cidr for one in _entries(remove, listed.family)])
    return _reply(call, _next_version(call, listed, entries))


def restore_managed_prefix_list_version(call: Call, request: Request) -> Reply:
    """The entries of an earlier version as a new version. Source: EC2 API, RestoreManagedPrefixListVersion.

    Raises PrefixListVersionMismatch, InvalidPrefixListVersion.NotFound, PrefixListMaxEntriesExceeded.
    """
    listed = _own(call, request["PrefixListId"])
    _check_version(listed, request["CurrentVersion"])
    entries = entries_at(call, listed, request["PreviousVersion"])
    listed = msgspec.structs.replace(listed, state="restore-complete", state_message=None)
    return _reply(call, _next_version(call, listed, entries))


def delete_managed_prefix_list(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DeleteManagedPrefixList. Raises DependencyViolation while a rule or a route names the list."""
    listed = _own(call, request["PrefixListId"])
    users = dependents(call, listed.id)
    if users:
        raise errors.dependency("prefix list", listed.id, users)
    for key in list(call.tx.keys(PREFIX_LIST_VERSIONS_BY_LIST, listed.id)):
        call.tx.delete(PREFIX_LIST_VERSIONS, key)
    idempotency.forget(call, listed.id)
    call.tx.delete(PREFIX_LISTS, listed.id)
    return {"PrefixList": managed_item(call.region, listed, state="delete-complete")}


def _own(call: Call, key: str) -> ec2.PrefixList:
    listed = prefix_list(call, key)
    if isinstance(listed, ServiceList):
        raise AwsError("OperationNotPermitted", f"The prefix list '{key}' is owned by AWS and cannot be changed.")
    return listed


def _reply(call: Call, listed: ec2.PrefixList) -> Reply:
    return {"PrefixList": managed_item(call.region, listed)}


# ── checks ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _name(text: str) -> str:
    if not 1 <= len(text) <= _TEXT_LIMIT or text.startswith(_RESERVED):
        raise errors.invalid_value(
            "prefixListName", text, f"Use 1 to {_TEXT_LIMIT} characters that do not begin with {_RESERVED}."
        )
    return text


def _size(call: Call, size: int) -> int:
    limit = quota(call, "entries_per_prefix_list")
    if not 1 <= size <= limit:
        raise AwsError("InvalidParameterValue", f"Must specify a max size between 1 and {limit}")
    return size


def _check_room(entries: tuple[ec2.PrefixListEntry, ...], size: int) -> None:
    if len(entries) > size:
        raise AwsError(
            "PrefixListMaxEntriesExceeded", "You've reached the maximum number of entries for the prefix list."
        )


def _check_version(listed: ec2.PrefixList, current: int | None) -> None:
    if current is not None and current != listed.version:
        raise AwsError("PrefixListVersionMismatch", "The prefix list has the incorrect version number.")


# ── entries ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _entries(given: Iterable[Any], family: int) -> list[ec2.PrefixListEntry]:
    """The entries of a request. Raises InvalidParameterValue, also for a block that is named twice."""
    items = list(given)
    if len(items) > _PER_REQUEST:
        raise AwsError(
            "InvalidParameterValue", f"The number of entries per request cannot exceeds limit ({_PER_REQUEST})."
        )
    found: dict[IpNetwork, ec2.PrefixListEntry] = {}
    for item in items:
        block = (cidrs.ipv4 if family == 4 else cidrs.ipv6)(str(item["Cidr"]), "cidr")
        if block in found:
            raise errors.invalid_value("cidr", block, "The request names it twice.")
        text = item.get("Description") or None
        if text is not None and len(text) > _TEXT_LIMIT:
            raise errors.invalid_value("description", text, f"Use at most {_TEXT_LIMIT} characters.")
        found[block] = ec2.PrefixListEntry(cidr=block, description=text)
    return list(found.values())


def _changed(
    listed: ec2.PrefixList, add: list[ec2.PrefixListEntry], remove: list[IpNetwork]
) -> tuple[ec2.PrefixListEntry, ...]:
    present = {one.cidr for one in listed.entries}
    gone = set(remove)
    for one in add:
        if one.cidr in gone:
            raise AwsError(
                "InvalidParameterValue",
                f"Request cannot contain Cidr {one.cidr} in both AddPrefixListEntries and RemovePrefixListEntries",
            )
    for block in remove:
        if block not in present:
            raise AwsError(
                "InvalidPrefixListModification", f"The entry {block} of prefix list '{listed.id}' does not exist."
            )
    return _added(tuple(one for one in listed.entries if one.cidr not in gone), add)


def _added(kept: tuple[ec2.PrefixListEntry, ...], add: list[ec2.PrefixListEntry]) -> tuple[ec2.PrefixListEntry, ...]:
    present = {one.cidr for one in kept}
    for one in add:
        if one.cidr in present:
            raise AwsError("InvalidPrefixListModification", f"The entry {one.cidr} already exists.")
    return tuple(sorted((*kept, *add), key=lambda one: (int(one.cidr.network_address), one.cidr.prefixlen)))


def _next_version(call: Call, listed: ec2.PrefixList, entries: tuple[ec2.PrefixListEntry, ...]) -> ec2.PrefixList:
    """The list with other entries and the next version number; what it held is kept under the old number."""
    _check_room(entries, listed.max_entries)
    call.tx.put(
        PREFIX_LIST_VERSIONS,
        ec2.PrefixListVersion(prefix_list=listed.id, version=listed.version, entries=listed.entries),
    )
    kept = call.tx.keys(PREFIX_LIST_VERSIONS_BY_LIST, listed.id)
    if len(kept) >= _KEPT_VERSIONS:
        call.tx.delete(PREFIX_LIST_VERSIONS, min(kept, key=lambda key: int(key.rpartition("/")[2])))
    return call.tx.put(PREFIX_LISTS, msgspec.structs.replace(listed, version=listed.version + 1, entries=entries))


def _resized(call: Call, listed: ec2.PrefixList, size: int) -> ec2.PrefixList:
    if size < len(listed.entries):
        raise errors.invalid_value("maxEntries", size, f"The prefix list has {len(listed.entries)} entries.")
    resized = call.tx.put(PREFIX_LISTS, msgspec.structs.replace(listed, max_entries=size))
    unfit = [key for key in dependents(call, listed.id) if not _fits(call, key)]
    if not unfit:
        return resized
    message = "The following resources do not support the new maximum size: " + ", ".join(unfit[:10])
    failed = msgspec.structs.replace(listed, state="modify-failed", state_message=message)
    return call.tx.put(PREFIX_LISTS, failed)


def _fits(call: Call, dependent: str) -> bool:
    """Whether a security group or route table that names the list is still within its quota."""
    if dependent.startswith(f"{families.GROUP.prefix}-"):
        return rules_fit(call, dependent, egress=False) and rules_fit(call, dependent, egress=True)
    return routes_fit(call, families.ROUTE_TABLE.require(call, dependent).routes)


OPERATIONS: tuple[Operation, ...] = (
    write("CreateManagedPrefixList", create_managed_prefix_list),
    write("ModifyManagedPrefixList", modify_managed_prefix_list),
    write("RestoreManagedPrefixListVersion", restore_managed_prefix_list_version),
    write("DeleteManagedPrefixList", delete_managed_prefix_list),
)
