"""What a namespace's rule set holds, read from libnftables' JSON listing into host objects.

Two listings are compared instead of a listing and a text: nft prints rules in a form of its own, so the wanted objects
are loaded into a throw-away namespace and both rule sets are read the same way.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ecsnet.agent.drivers.nft_program import NftObject
from ecsnet.hostplan.kernel import HostObject, NftChain, NftElement, NftHook, NftSet, NftTable, is_own_table

_CHANGING = frozenset({"dynamic", "timeout"})
"""Sets whose elements the packet path adds by itself."""


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """A rule set: each object as far as it can be told from the listing, and the detail that decides equality."""

    objects: dict[str, NftObject]
    details: dict[str, Any]


def canonical(key: str) -> str:
    """An element's key in the form in which listings are compared: no quotes, numbers in decimal.

    The element may itself hold a slash (a prefix), so the name of its set ends at the third one.
    """
    namespace, table, name, element = key.split("/", 3)
    return f"{namespace}/{table}/{name}/{' . '.join(_word(word) for word in element.split(' . '))}"


def _word(word: str) -> str:
    bare = word.strip().strip('"')
    if bare.startswith("0x"):
        return str(int(bare, 16))
    return bare


def _text(value: Any) -> str:
    """An element's key from JSON, in the canonical form."""
    match value:
        case {"concat": parts}:
            return " . ".join(_text(part) for part in parts)
        case {"prefix": {"addr": address, "len": length}}:
            return f"{address}/{length}"
        case {"range": [low, high]}:
            return f"{_text(low)}-{_text(high)}"
        case {"elem": {"val": inner}}:
            return _text(inner)
        case _:
            return str(value)


def _value(value: Any) -> str | None:
    """A map's value from JSON as nft takes it."""
    match value:
        case None:
            return None
        case {"goto": {"target": chain}}:
            return f"goto {chain}"
        case {"jump": {"target": chain}}:
            return f"jump {chain}"
        case {"accept": None}:
            return "accept"
        case {"drop": None}:
            return "drop"
        case {"return": None}:
            return "return"
        case _:
            return _text(value)


def _settled(value: Any) -> Any:
    """A rule's expression with anonymous sets in one order (the kernel keeps them in a hash with a random seed)."""
    match value:
        case {"set": [*members]}:
            return {"set": sorted((_settled(member) for member in members), key=msgspec.json.encode)}
        case dict():
            return {name: _settled(inner) for name, inner in value.items()}
        case list():
            return [_settled(inner) for inner in value]
        case _:
            return value


def read(netns: str, text: str) -> Listing:
    """The rule set in a JSON listing of `list ruleset`; tables of other owners are left out."""
    objects: dict[str, NftObject] = {}
    details: dict[str, Any] = {}
    for entry in msgspec.json.decode(text)["nftables"]:
        if not _is_own(entry):
            continue
        match entry:
            case {"table": {"family": family, "name": name}}:
                _keep(objects, details, NftTable(netns=netns, family=family, name=name, owner=""), family)
            case {"chain": chain}:
                item = _chain(netns, chain)
                _keep(objects, details, item, {"hook": item.hook, "rules": []})
            case {"rule": {"table": table, "chain": name, "expr": expression, **rest}}:
                rule = (_settled(expression), rest.get("comment"))
                details[f"nft-chain:{netns}/{table}/{name}"]["rules"].append(rule)
            case {"set": found} | {"map": found}:
                _read_set(netns, found, objects, details)
            case _:
                continue
    return Listing(objects=objects, details=details)


def _is_own(entry: dict[str, Any]) -> bool:
    (kind, body), *_ = entry.items()
    table = body.get("name" if kind == "table" else "table")
    return table is not None and is_own_table(table)


def _keep(objects: dict[str, NftObject], details: dict[str, Any], item: NftObject, detail: Any) -> None:
    objects[item.key] = item
    details[item.key] = detail


def _chain(netns: str, chain: dict[str, Any]) -> NftChain:
    hook = None
    if "hook" in chain:
        hook = NftHook(type=chain["type"], hook=chain["hook"], priority=chain["prio"], policy=chain["policy"])
    return NftChain(netns=netns, family=chain["family"], table=chain["table"], name=chain["name"], hook=hook, rules=())


def _read_set(netns: str, found: dict[str, Any], objects: dict[str, NftObject], details: dict[str, Any]) -> None:
    kind = found["type"] if isinstance(found["type"], str) else " . ".join(found["type"])
    value = found.get("map")
    flags = tuple(sorted(found.get("flags", ())))
    item = NftSet(
        netns=netns,
        family=found["family"],
        table=found["table"],
        name=found["name"],
        type=kind,
        value=value if value is None or isinstance(value, str) else " . ".join(value),
        flags=flags,
        size=found.get("size"),
    )
    _keep(objects, details, item, (item.type, item.value, item.flags, item.size))
    if _CHANGING & set(flags):
        return
    for entry in found.get("elem", ()):
        element, mapped = entry if value is not None else (entry, None)
        member = NftElement(
            netns=netns,
            family=item.family,
            table=item.table,
            set=item.name,
            element=_text(element),
            value=_value(mapped),
        )
        _keep(objects, details, member, member.value)


def compare(real: Listing, twin: Listing, desired: dict[str, HostObject]) -> dict[str, HostObject]:
    """What the real rule set holds, by key: the wanted object where both listings agree, else what was read."""
    names = {canonical(key) if key.startswith("nft-element") else key: key for key in desired}
    found: dict[str, HostObject] = {}
    for key, item in real.objects.items():
        wanted = names.get(key)
        if wanted is not None and key in twin.details and twin.details[key] == real.details[key]:
            found[wanted] = desired[wanted]
        else:
            found[wanted or key] = item
    return found
