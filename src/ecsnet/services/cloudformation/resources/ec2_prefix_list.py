"""Customer-managed prefix lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ecsnet.services.call import AwsError
from ecsnet.services.cloudformation.resources.base import Env, Made, Native, Properties, delete_if_there
from ecsnet.services.cloudformation.resources.ec2 import retag, tagged

_PER_CALL = 100
"""Entries that one call takes (EC2 API, CreateManagedPrefixList)."""


def _entries(p: Properties) -> list[Mapping[str, Any]]:
    return list(p.get("Entries") or ())


def _size(p: Properties) -> int:
    """The schema leaves it optional: as many as there are entries then."""
    return int(p["MaxEntries"]) if p.get("MaxEntries") is not None else max(1, len(_entries(p)))


def _create(env: Env, p: Properties) -> Made:
    entries = _entries(p)
    members = {
        "PrefixListName": p["PrefixListName"],
        "AddressFamily": p["AddressFamily"],
        "MaxEntries": _size(p),
        "Entries": entries[:_PER_CALL],
        "TagSpecifications": tagged(env, p, "prefix-list"),
    }
    key = env.run("ec2", "CreateManagedPrefixList", members)["PrefixList"]["PrefixListId"]
    _change(env, key, "AddEntries", entries[_PER_CALL:])
    return _made(env, key)


def _update(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    """Removals first, as an entry with another description is one that goes and one that comes."""
    if after["PrefixListName"] != before["PrefixListName"]:
        _modify(env, id_, {"PrefixListName": after["PrefixListName"]})
    old, new = _entries(before), _entries(after)
    gone = [{"Cidr": one["Cidr"]} for one in old if one not in new]
    fresh = [one for one in new if one not in old]
    _change(env, id_, "RemoveEntries", gone)
    if _size(after) != _size(before):
        _modify(env, id_, {"MaxEntries": _size(after)})
    _change(env, id_, "AddEntries", fresh)
    retag(env, id_, before, after)
    return _made(env, id_)


def _change(env: Env, key: str, member: str, entries: Sequence[Mapping[str, Any]]) -> None:
    for batch in _batches(entries):
        _modify(env, key, {member: batch})


def _batches(entries: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[Mapping[str, Any]]]:
    for start in range(0, len(entries), _PER_CALL):
        yield entries[start : start + _PER_CALL]


def _modify(env: Env, key: str, change: Mapping[str, Any]) -> None:
    """A size that a rule or route cannot bear is a state for the API, no error; the stack must fail with it."""
    listed = env.run("ec2", "ModifyManagedPrefixList", {"PrefixListId": key, **change})["PrefixList"]
    if listed["State"] == "modify-failed":
        raise AwsError("InvalidParameterValue", listed["StateMessage"])


def _made(env: Env, key: str) -> Made:
    (row,) = env.run("ec2", "DescribeManagedPrefixLists", {"PrefixListIds": [key]})["PrefixLists"]
    shown = row.build()
    return Made(
        id=key,
        attributes={
            "PrefixListId": key,
            "Arn": shown["PrefixListArn"],
            "OwnerId": shown["OwnerId"],
            "Version": shown["Version"],
        },
    )


def _delete(env: Env, id_: str, p: Properties) -> None:
    delete_if_there(env, "ec2", "DeleteManagedPrefixList", {"PrefixListId": id_})


PROVISIONERS = (Native(type="AWS::EC2::PrefixList", create=_create, update=_update, delete=_delete),)
