"""The packet filter: one libnftables context per namespace, one transaction per namespace and tick."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from ecsnet.agent.drivers import nft_elements
from ecsnet.agent.drivers.nft_listing import compare, read
from ecsnet.agent.drivers.nft_program import NFT_KINDS, Command, NftObject, program
from ecsnet.agent.drivers.nft_rules import MOST, SUBSYSTEM, Assembler, Difference, difference, listed, requests
from ecsnet.agent.libnftables import NftContext, NftError
from ecsnet.agent.namespaces import NamespaceFiles
from ecsnet.agent.netlink import NETLINK_NETFILTER, Netlink, NetlinkError, Request
from ecsnet.hostplan.kernel import HostObject, NftChain, NftElement, NftSet, NftTable, set_key
from ecsnet.netns import set_namespace

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_GET_GENERATION = 10 << 8 | 16
"""NFNL_SUBSYS_NFTABLES, NFT_MSG_GETGEN."""
_MOST_ATTEMPTS = 50


class _RuleSet:
    """What the driver knows of one namespace."""

    def __init__(self, context: NftContext, netlink: Netlink, generation: int) -> None:
        self.context = context
        self.netlink = netlink
        """Kept open: closing a socket that has just deleted rules waits for the kernel's clean-up of them (10 ms)."""
        self.generation = generation
        """The kernel's count of committed transactions; another number than expected means that somebody else wrote."""
        self.present: dict[str, NftObject] = {}


class NftDriver:
    """Implements `driver.Driver` for tables, sets, chains and elements."""

    kinds: tuple[type[HostObject], ...] = NFT_KINDS

    def __init__(self, files: NamespaceFiles) -> None:
        self._files = files
        self._rule_sets: dict[str, _RuleSet] = {}
        self._assembler: Assembler | None = None
        files.on_removed(self._forget)

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────

    def observe(self, desired: Mapping[str, HostObject]) -> Mapping[str, HostObject | None]:
        wanted: dict[str, dict[str, HostObject]] = {}
        for key, item in desired.items():
            wanted.setdefault(namespace_of(key), {})[key] = item
        found: dict[str, HostObject | None] = {}
        for name in self._files.names():
            found.update(self._look(name, wanted.get(name, {})))
        return found

    def suspects(self, desired: Mapping[str, HostObject]) -> Collection[str]:
        """The tables of namespaces in which somebody else wrote: told by the kernel's count of transactions alone."""
        written = {}
        for name, rule_set in tuple(self._rule_sets.items()):
            expected = rule_set.generation
            try:
                written[name] = self._generation(name) != expected
            except FileNotFoundError:
                continue  # its driver will see that
        return [key for key, item in desired.items() if isinstance(item, NftTable) and written.get(item.netns)]

    def _look(self, name: str, wanted: dict[str, HostObject]) -> Mapping[str, HostObject]:
        known = self._rule_sets.get(name)
        generation = self._generation(name)
        if known is not None and known.generation == generation:
            return known.present
        if known is None and generation == 1 and not wanted:
            return {}  # nothing was ever written here: the usual case of a task's namespace
        with self._files.inside(name):
            text = _list()
        real = read(name, text)
        if not real.objects and not wanted:
            return {}
        with _throw_away():
            twin_text = _load_and_list([item for item in wanted.values() if isinstance(item, NFT_OBJECT)])
        found = compare(real, read(name, twin_text), wanted)
        rule_set = self._rule_set(name)
        rule_set.present = {key: item for key, item in found.items() if isinstance(item, NFT_OBJECT)}
        rule_set.generation = generation
        return found

    def _generation(self, name: str) -> int:
        with self._files.inside(name), Netlink(NETLINK_NETFILTER) as netlink:
            body = netlink.get(Request(type=_GET_GENERATION, flags=0, body=struct.pack("=BBH", 0, 0, 0)))
        assert body is not None
        generation: int = struct.unpack_from(">I", body, 8)[0]
        return generation

    # ── changing ─────────────────────────────────────────────────────────────────────────────────────────────────

    def apply(self, put: Sequence[HostObject], remove: Sequence[str]) -> Mapping[str, str]:
        puts: dict[str, list[NftObject]] = {}
        removals: dict[str, list[str]] = {}
        for item in put:
            assert isinstance(item, NFT_OBJECT)
            puts.setdefault(item.netns, []).append(item)
        for key in remove:
            removals.setdefault(namespace_of(key), []).append(key)
        failures: dict[str, str] = {}
        for name in puts.keys() | removals.keys():
            failures.update(self._change(name, puts.get(name, []), removals.get(name, [])))
        return failures

    def _change(self, name: str, put: list[NftObject], remove: list[str]) -> dict[str, str]:
        try:
            rule_set = self._rule_set(name)
        except FileNotFoundError:
            return {item.key: f"namespace {name} does not exist" for item in put}
        gone = [rule_set.present[key] for key in remove if key in rule_set.present]
        if self._in_place(rule_set, put, gone):
            return {}
        commands = program(put, gone, rule_set.present)
        objects = {item.key: item for item in put}

        def committed(done: Sequence[Command]) -> None:
            rule_set.generation += 1
            for command in done:
                for key in command.drops:
                    rule_set.present.pop(key, None)
                for item in command.makes:
                    rule_set.present[item.key] = item

        return execute(rule_set.context, commands, objects, committed)

    def _in_place(self, rule_set: _RuleSet, put: Sequence[NftObject], gone: Sequence[NftObject]) -> bool:
        """Put chains that differ in a few rules only, put and remove elements of sets that are there. False when
        anything else is to change, or the kernel refuses: then nothing has changed, and the whole way, which finds out
        what is refused, is to be gone."""
        chains = [item for item in put if isinstance(item, NftChain)]
        added = [item for item in put if isinstance(item, NftElement)]
        removed = [item for item in gone if isinstance(item, NftElement)]
        if len(chains) + len(added) < len(put) or len(removed) < len(gone):
            return False
        try:
            messages = self._of_chains(rule_set, chains)
            more = _of_elements(rule_set.present, added, removed)
            if messages is None or more is None:
                return False
            if messages or more:
                rule_set.netlink.transaction(SUBSYSTEM, rule_set.generation, messages + more)
                rule_set.generation += 1
        except (NftError, NetlinkError, ValueError):
            return False
        for item in removed:
            rule_set.present.pop(item.key, None)
        rule_set.present.update((item.key, item) for item in put)
        return True

    def _of_chains(self, rule_set: _RuleSet, chains: Sequence[NftChain]) -> list[Request] | None:
        """The messages for chains that differ in a few rules only; None when one of them differs in more."""
        changes: list[tuple[NftChain, NftChain, Difference]] = []
        for item in chains:
            old = rule_set.present.get(item.key)
            if not isinstance(old, NftChain) or old.hook or item.hook:
                return None
            changes.append((old, item, difference(old.rules, item.rules)))
        if sum(change.size for _old, _item, change in changes) > MOST:
            return None
        if any(change.has_sets for _old, _item, change in changes):
            return None
        messages: list[Request] = []
        for old, item, change in changes:
            if not change.size:
                continue
            # Behind the known rules nothing needs to be looked up; a chain without known rules may have some.
            at_the_end = 0 < change.start == len(old.rules)
            there = [] if at_the_end else listed(rule_set.netlink, item)
            if not at_the_end and len(there) != len(old.rules):
                return None
            named = [rule_set.present.get(set_key(item.netns, item.table, each)) for each in change.sets(item)]
            sets = [each for each in named if isinstance(each, NftSet)]
            made = self._assemble().made(item, change.new, sets) if change.new else []
            messages += requests(item, change, there, made)
        return messages

    def _assemble(self) -> Assembler:
        if self._assembler is None:
            with _throw_away():
                self._assembler = Assembler()
        return self._assembler

    def _rule_set(self, name: str) -> _RuleSet:
        known = self._rule_sets.get(name)
        if known is None:
            with self._files.inside(name):
                context, netlink = NftContext(), Netlink(NETLINK_NETFILTER)
            known = self._rule_sets[name] = _RuleSet(context, netlink, self._generation(name))
        return known

    def _forget(self, name: str) -> None:
        known = self._rule_sets.pop(name, None)
        if known is not None:
            known.context.close()
            known.netlink.close()

    def close(self) -> None:
        for name in tuple(self._rule_sets):
            self._forget(name)
        if self._assembler is not None:
            self._assembler.close()

    # ── asks ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def listing(self, name: str) -> str:
        """The rule set of one namespace as `nft list ruleset` prints it, with counters (any thread)."""
        with self._files.inside(name):
            return _list(json=False)


def _of_elements(
    present: Mapping[str, NftObject], added: Sequence[NftElement], removed: Sequence[NftElement]
) -> list[Request] | None:
    """The messages for elements; None when there are many, or a set is not there or of a kind for libnftables."""
    known = {item.key: old for item in added if isinstance(old := present.get(item.key), NftElement)}
    new = [item for item in added if item.key not in known or known[item.key].value != item.value]
    leaving = [*removed, *(known[item.key] for item in new if item.key in known)]
    if len(new) + len(leaving) > nft_elements.MOST:
        return None
    pairs = {}
    for item in (*new, *leaving):
        kind = present.get(set_key(item.netns, item.table, item.set))
        if not isinstance(kind, NftSet) or not nft_elements.can(kind):
            return None
        pairs[item.key] = kind
    return nft_elements.requests(
        [(pairs[item.key], item) for item in new], [(pairs[item.key], item) for item in leaving]
    )


NFT_OBJECT = (NftTable, NftSet, NftChain, NftElement)


def namespace_of(key: str) -> str:
    """The namespace in the key of a kernel object."""
    return key.partition(":")[2].partition("/")[0]


def execute(
    context: NftContext,
    commands: Sequence[Command],
    objects: Mapping[str, NftObject],
    committed: Callable[[Sequence[Command]], None],
) -> dict[str, str]:
    """Run commands as one transaction (several when it is too long), leaving out what the kernel refuses.

    A refused object takes those that need it with it. `committed` hears the commands of each transaction that is in
    force. The answer names what was left out: key → sentence.
    """
    failures: dict[str, str] = {}
    left = list(commands)
    for _attempt in range(_MOST_ATTEMPTS):
        if not left:
            return failures
        try:
            context.run("\n".join(command.text for command in left))
        except NftError as error:
            if error.too_long and len(left) > 1:
                middle = len(left) // 2
                failures.update(execute(context, left[:middle], objects, committed))
                rest = _without(left[middle:], set(failures), objects, failures)
                return failures | execute(context, rest, objects, committed)
            blamed = _blamed(left, error.line)
            if blamed is None:
                return failures | {key: error.text for command in left for key in command.keys}
            if blamed.parts:
                place = left.index(blamed)
                left[place : place + 1] = blamed.parts
                continue
            failures.update((key, error.text) for key in blamed.keys)
            left.remove(blamed)
            left = _without(left, set(blamed.keys), objects, failures)
        else:
            committed(left)
            return failures
    return failures | {key: "too many refused objects in one change" for command in left for key in command.keys}


def _blamed(commands: Sequence[Command], line: int | None) -> Command | None:
    if line is None:
        return None
    for command in commands:
        line -= command.text.count("\n") + 1
        if line < 0:
            return command
    return None


def _without(
    commands: Sequence[Command], refused: set[str], objects: Mapping[str, NftObject], failures: dict[str, str]
) -> list[Command]:
    """The commands without those whose object needs a refused table or set; these are added to `failures`.

    A refused chain exists without its rules, so what names it can stay: nothing passes an empty chain's default deny.
    """
    lost = {key for key in refused if key.startswith(("nft-table:", "nft-set:"))}
    if not lost:
        return list(commands)
    kept: list[Command] = []
    for command in commands:
        for part in command.parts or (command,):
            needed = {need for key in part.keys if key in objects for need in objects[key].needs} & lost
            if needed:
                lost |= {key for key in part.keys if key.startswith("nft-set:")}
                failures.update((key, f"needs {min(needed)}, which failed") for key in part.keys)
            else:
                kept.append(part)
    return kept


def _list(*, json: bool = True) -> str:
    """List the rule set of the calling thread's namespace in a context of its own, which forgets it afterwards."""
    context = NftContext()
    try:
        return context.run("list ruleset", json=json)
    finally:
        context.close()


def _load_and_list(objects: list[NftObject]) -> str:
    context = NftContext()
    try:
        execute(context, program(objects, [], {}), {item.key: item for item in objects}, lambda _done: None)
        return context.run("list ruleset", json=True)
    finally:
        context.close()


@contextmanager
def _throw_away() -> Iterator[None]:
    """Run the calling thread in a new namespace that vanishes afterwards."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _LIBC.unshare(_CLONE_NEWNET) != 0:
            error = ctypes.get_errno()
            raise OSError(error, f"unshare: {os.strerror(error)}")
        try:
            yield
        finally:
            set_namespace(home)
    finally:
        os.close(home)
