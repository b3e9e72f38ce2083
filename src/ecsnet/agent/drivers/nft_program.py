"""The nft commands that lead from what a namespace's rule set holds to what it must hold. Pure.

The order makes every prefix of the program safe, because a transaction that is too long for an ordinary user's socket
is cut into several: tables, sets and chains first (base chains with their policy, all others empty), then rules, then
removals, then elements, and last the elements that publish an interface.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from ecsnet.hostplan.kernel import HostObject, NftChain, NftElement, NftRule, NftSet, NftTable, set_key

NftObject = NftTable | NftSet | NftChain | NftElement
NFT_KINDS: tuple[type[HostObject], ...] = (NftTable, NftSet, NftChain, NftElement)


class Command(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One or more lines that stand and fall together."""

    text: str
    keys: tuple[str, ...]
    """The objects that it serves."""
    makes: tuple[NftObject, ...] = ()
    """What the rule set holds once it is in force (a chain's first command makes it without rules)."""
    drops: tuple[str, ...] = ()
    """The keys that the rule set no longer holds."""
    parts: tuple[Command, ...] = ()
    """The same as single commands, to find out which one is refused."""


def _quoted(words: str) -> str:
    """A comment as nft takes it: printable ASCII without quotes, at most 127 bytes."""
    clean = "".join(letter if " " <= letter <= "~" and letter not in '"\\' else "?" for letter in words)
    return f'"{clean[:127]}"'


def _table(item: NftTable) -> str:
    return f"add table {item.family} {item.name} {{ comment {_quoted(item.owner)}; }}"


def set_text(item: NftSet) -> str:
    value = f" : {item.value}" if item.value else ""
    flags = f" flags {','.join(item.flags)};" if item.flags else ""
    size = f" size {item.size};" if item.size else ""
    return f"add {_sort(item)} {item.family} {item.table} {item.name} {{ type {item.type}{value};{flags}{size} }}"


def _sort(item: NftSet) -> str:
    return "map" if item.value else "set"


def _chain(item: NftChain) -> str:
    hook = item.hook
    spec = f" {{ type {hook.type} hook {hook.hook} priority {hook.priority}; policy {hook.policy}; }}" if hook else ""
    return f"add chain {item.family} {item.table} {item.name}{spec}"


def rule_text(item: NftChain, rule: NftRule) -> str:
    comment = f" comment {_quoted(rule.comment)}" if rule.comment else ""
    return f"add rule {item.family} {item.table} {item.name} {rule.text}{comment}"


def _flush(item: NftChain) -> str:
    return f"flush chain {item.family} {item.table} {item.name}"


def _make(text: str, item: NftObject) -> Command:
    return Command(text=text, keys=(item.key,), makes=(item,))


def _drop(text: str, key: str) -> Command:
    return Command(text=text, keys=(key,), drops=(key,))


def _empty(item: NftChain) -> NftChain:
    return msgspec.structs.replace(item, rules=())


def _skeleton(item: NftChain, old: NftObject | None) -> Command:
    """The chain without rules, or with those that it has."""
    rules = old.rules if isinstance(old, NftChain) else ()
    return _make(_chain(item), msgspec.structs.replace(item, rules=rules))


def _refill(item: NftChain, old: NftObject | None) -> Command:
    """All rules anew; where the new ones come behind those that are there, these alone, so that no counter is lost.

    A chain of which no rule is known may have some all the same.
    """
    known = old.rules if isinstance(old, NftChain) else ()
    if known and item.rules[: len(known)] == known:
        return _make("\n".join(rule_text(item, rule) for rule in item.rules[len(known) :]), item)
    lines = [_flush(item)] if old is not None else []
    return _make("\n".join((*lines, *(rule_text(item, rule) for rule in item.rules))), item)


def _add_elements(items: list[NftElement]) -> list[Command]:
    def text(item: NftElement) -> str:
        return item.element if item.value is None else f"{item.element} : {item.value}"

    def command(head: str, group: tuple[NftElement, ...]) -> Command:
        body = ", ".join(text(item) for item in group)
        return Command(text=f"add {head} {{ {body} }}", keys=tuple(item.key for item in group), makes=group)

    return _by_set(items, command)


def _delete_elements(items: list[NftElement]) -> list[Command]:
    def command(head: str, group: tuple[NftElement, ...]) -> Command:
        keys = tuple(item.key for item in group)
        body = ", ".join(item.element for item in group)
        return Command(text=f"delete {head} {{ {body} }}", keys=keys, drops=keys)

    return _by_set(items, command)


def _by_set(items: list[NftElement], command: Callable[[str, tuple[NftElement, ...]], Command]) -> list[Command]:
    """One command per set (a transaction costs per command, hardly per element)."""
    groups: dict[str, list[NftElement]] = {}
    for item in items:
        groups.setdefault(f"element {item.family} {item.table} {item.set}", []).append(item)
    commands = []
    for head, group in groups.items():
        whole = command(head, tuple(group))
        parts = tuple(command(head, (item,)) for item in group) if len(group) > 1 else ()
        commands.append(msgspec.structs.replace(whole, parts=parts))
    return commands


def program(put: list[NftObject], remove: list[NftObject], present: Mapping[str, NftObject]) -> list[Command]:
    """The commands, in order, for one namespace. `present` is what its rule set holds by key."""
    sets = [item for item in put if isinstance(item, NftSet) and present.get(item.key) != item]
    chains = [item for item in put if isinstance(item, NftChain)]
    elements = [item for item in put if isinstance(item, NftElement)]
    dropped = {item.name for item in remove if isinstance(item, NftTable)}
    inside = [item for item in remove if not isinstance(item, NftTable) and item.table not in dropped]

    older_sets = [old for item in sets if isinstance(old := present.get(item.key), NftSet)]
    older_chains = [
        old for item in chains if isinstance(old := present.get(item.key), NftChain) and not _same_hook(old, item)
    ]
    remade = {item.key for item in older_chains}
    lost = {item.key for item in older_sets}

    commands: list[Command] = []
    for item in put:
        if isinstance(item, NftTable):
            commands += _tables(item, present.get(item.key))
    if older_sets or older_chains:
        commands += [_make(_flush(item), _empty(item)) for item in chains if item.key in present]
        commands += [_delete_chain(item) for item in older_chains]
        commands += [_delete_set(item, present) for item in older_sets]
    commands += [_make(set_text(item), item) for item in sets]
    commands += [_skeleton(item, None if item.key in remade else present.get(item.key)) for item in chains]
    emptied = bool(older_sets or older_chains)
    commands += [
        _refill(item, old if old is None or not emptied else _empty(item))
        for item in chains
        if ((old := present.get(item.key)) is not None or item.rules) and (emptied or old != item)
    ]
    stale = [
        old
        for item in elements
        if isinstance(old := present.get(item.key), NftElement)
        and old.value != item.value
        and set_key(item.netns, item.table, item.set) not in lost
    ]
    commands += _delete_elements([item for item in inside if isinstance(item, NftElement)] + stale)
    gone = [item for item in inside if isinstance(item, NftChain)]
    commands += [_make(_flush(item), _empty(item)) for item in gone]
    commands += [_delete_chain(item) for item in gone]
    commands += [_delete_set(item, present) for item in inside if isinstance(item, NftSet)]
    for item in remove:
        if isinstance(item, NftTable):
            within = f":{item.netns}/{item.name}/"
            drops = (item.key, *(key for key in present if within in key))
            commands.append(Command(text=f"delete table {item.family} {item.name}", keys=(item.key,), drops=drops))
    commands += _add_elements([item for item in elements if not item.publish])
    commands += _add_elements([item for item in elements if item.publish])
    return commands


def _tables(item: NftTable, old: NftObject | None) -> list[Command]:
    commands = [_make(_table(item), item)]
    if isinstance(old, NftTable) and old.family != item.family:
        commands.insert(0, _drop(f"delete table {old.family} {old.name}", item.key))
    return commands


def _same_hook(old: NftChain, new: NftChain) -> bool:
    """Whether `add chain` can lead from one to the other (it changes the policy of a base chain, nothing else)."""
    if old.hook is None or new.hook is None:
        return old.hook == new.hook
    return msgspec.structs.replace(old.hook, policy=new.hook.policy) == new.hook


def _delete_chain(item: NftChain) -> Command:
    return _drop(f"delete chain {item.family} {item.table} {item.name}", item.key)


def _delete_set(item: NftSet, present: Mapping[str, NftObject]) -> Command:
    within = f"nft-element:{item.netns}/{item.table}/{item.name}/"
    drops = (item.key, *(key for key in present if key.startswith(within)))
    text = f"delete {_sort(item)} {item.family} {item.table} {item.name}"
    return Command(text=text, keys=(item.key,), drops=drops)
