"""Prefix list → one AddressList per router whose group rules name it, and one AddressListEntry per block of it.

Rules hold only the name of the set, so that an entry that comes or goes changes one element and no rule, group or port.
"""

from __future__ import annotations

from collections.abc import Iterator

from ecsnet.compile import facts
from ecsnet.compile.view import FragmentSpec, Query, View
from ecsnet.logical.base import LogicalObject
from ecsnet.logical.network import AddressList, AddressListEntry
from ecsnet.model.base import IpNetwork
from ecsnet.model.ec2 import PrefixList
from ecsnet.model.tables import GROUP_RULES, PREFIX_LISTS, RULES_BY_PREFIX_LIST


def _find_users(view: View, key: str) -> frozenset[str]:
    groups = {
        view.project("group", lambda rule: rule.group, GROUP_RULES, rule)
        for rule in view.keys(RULES_BY_PREFIX_LIST, key)
    }
    vpcs = {vpc for group in groups if group is not None for vpc in view.ask(facts.GROUP_VPCS, group)}
    return frozenset(vpc for vpc in vpcs if facts.has_router(view, vpc))


USERS = Query(name="prefix_list_users", run=_find_users)
"""The routers with a group rule that names the list. Only a rule that comes or goes asks anew."""


def _blocks(listed: PrefixList) -> tuple[IpNetwork, ...]:
    return tuple(sorted({entry.cidr for entry in listed.entries}, key=_order))


def _order(block: IpNetwork) -> tuple[int, int]:
    return int(block.network_address), block.prefixlen


def blocks(view: View, key: str) -> tuple[IpNetwork, ...]:
    """What the list holds, in the order of addresses, each block before those inside it; empty without such a list."""
    return view.project("blocks", _blocks, PREFIX_LISTS, key) or ()


def outermost(found: tuple[IpNetwork, ...]) -> Iterator[IpNetwork]:
    """The blocks that lie in no other one: elements of a kernel set must not overlap. `found` is ordered as `blocks`.

    Neighbours are not joined, so that an entry stays an element of its own.
    """
    last: IpNetwork | None = None
    for block in found:
        if last is None or int(block.network_address) > int(last.broadcast_address):
            last = block
            yield block


def address_lists(view: View, key: str) -> Iterator[LogicalObject]:
    family = view.project("family", lambda listed: listed.family, PREFIX_LISTS, key)
    if family is None:
        return
    for router in view.ask(USERS, key):
        yield AddressList(router=router, id=key, version=family)
        for block in outermost(blocks(view, key)):
            yield AddressListEntry(router=router, list=key, network=block)


FRAGMENTS = (FragmentSpec(name="address_list", table=PREFIX_LISTS, run=address_lists),)
