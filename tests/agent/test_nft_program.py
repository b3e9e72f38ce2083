"""From host objects to nft commands, and from listings back."""

from __future__ import annotations

import json

import msgspec

from ecsnet.agent.drivers.nft import execute
from ecsnet.agent.drivers.nft_listing import canonical, compare, read
from ecsnet.agent.drivers.nft_program import NftObject, program
from ecsnet.agent.drivers.nft_rules import Rule, difference, requests
from ecsnet.agent.libnftables import NftError
from ecsnet.agent.netlink import attributes
from ecsnet.hostplan.kernel import NftChain, NftElement, NftHook, NftRule, NftSet, NftTable

TABLE = NftTable(netns="r1", family="inet", name="ecs", owner='vpc-1 "quoted"\n')
GATES = NftSet(netns="r1", family="inet", table="ecs", name="gates", type="ifname", value="verdict")
KNOWN = NftSet(netns="r1", family="inet", table="ecs", name="known", type="ipv4_addr", flags=("interval",), size=9)
OWN = NftChain(
    netns="r1", family="inet", table="ecs", name="own", rules=(NftRule(text="tcp dport 80 accept", comment="sgr-1"),)
)
GATE = NftChain(
    netns="r1",
    family="inet",
    table="ecs",
    name="gate",
    hook=NftHook(type="filter", hook="forward", priority=-10, policy="drop"),
    rules=(NftRule(text="iifname vmap @gates"),),
    uses_sets=("gates",),
)
PUBLISH = NftElement(
    netns="r1",
    family="inet",
    table="ecs",
    set="gates",
    element='"e1"',
    value="goto own",
    uses_chain="own",
    publish=True,
)
MEMBERS = [
    NftElement(netns="r1", family="inet", table="ecs", set="known", element=text)
    for text in ("10.0.0.1", "10.1.0.0/16")
]
ALL: list[NftObject] = [PUBLISH, OWN, *MEMBERS, GATE, KNOWN, GATES, TABLE]


def lines(put: list[NftObject], remove: list[NftObject], present: list[NftObject]) -> list[str]:
    commands = program(put, remove, {item.key: item for item in present})
    return "\n".join(command.text for command in commands).splitlines()


def test_a_first_load_is_a_skeleton_that_drops_then_rules_then_publication() -> None:
    assert lines(ALL, [], []) == [
        'add table inet ecs { comment "vpc-1 ?quoted??"; }',
        "add set inet ecs known { type ipv4_addr; flags interval; size 9; }",
        "add map inet ecs gates { type ifname : verdict; }",
        "add chain inet ecs own",
        "add chain inet ecs gate { type filter hook forward priority -10; policy drop; }",
        'add rule inet ecs own tcp dport 80 accept comment "sgr-1"',
        "add rule inet ecs gate iifname vmap @gates",
        "add element inet ecs known { 10.0.0.1, 10.1.0.0/16 }",
        'add element inet ecs gates { "e1" : goto own }',
    ]


def test_a_changed_chain_is_emptied_and_filled_in_one_transaction() -> None:
    changed = msgspec.structs.replace(OWN, rules=(NftRule(text="drop"),))
    assert lines([changed], [], ALL) == [
        "add chain inet ecs own",
        "flush chain inet ecs own",
        "add rule inet ecs own drop",
    ]


def test_rules_behind_those_that_are_there_are_added_and_touch_no_counter() -> None:
    longer = msgspec.structs.replace(OWN, rules=(*OWN.rules, NftRule(text="drop")))
    assert lines([longer], [], ALL) == ["add chain inet ecs own", "add rule inet ecs own drop"]


def test_a_chain_whose_rules_are_not_known_is_emptied() -> None:
    read = msgspec.structs.replace(OWN, rules=())
    made = lines([OWN], [], [read if item is OWN else item for item in ALL])
    assert made[1].startswith("flush chain inet ecs own")


def test_withdrawing_takes_the_publication_before_the_chain_before_the_set() -> None:
    assert lines([], [GATES, OWN, PUBLISH], ALL) == [
        'delete element inet ecs gates { "e1" }',
        "flush chain inet ecs own",
        "delete chain inet ecs own",
        "delete map inet ecs gates",
    ]


def test_a_removed_table_takes_everything_in_it() -> None:
    (command,) = program([], list(ALL), {item.key: item for item in ALL})
    assert command.text == "delete table inet ecs"
    assert set(command.drops) == {item.key for item in ALL}


def test_a_map_element_with_a_new_value_is_deleted_first() -> None:
    changed = msgspec.structs.replace(PUBLISH, value="drop")
    assert lines([changed], [], ALL) == [
        'delete element inet ecs gates { "e1" }',
        'add element inet ecs gates { "e1" : drop }',
    ]


def test_a_set_of_another_type_is_made_again_after_its_chains_are_emptied() -> None:
    other = msgspec.structs.replace(GATES, type="mark")
    made = lines([other, GATE], [], ALL)
    assert made[:3] == ["flush chain inet ecs gate", "delete map inet ecs gates", made[2]]
    assert made[2] == "add map inet ecs gates { type mark : verdict; }"
    assert made[-1] == "add rule inet ecs gate iifname vmap @gates"


def test_a_base_chain_at_another_hook_is_made_again_but_a_policy_is_changed_in_place() -> None:
    assert GATE.hook is not None
    moved = msgspec.structs.replace(GATE, hook=msgspec.structs.replace(GATE.hook, priority=0))
    assert "delete chain inet ecs gate" in lines([moved], [], ALL)
    opened = msgspec.structs.replace(GATE, hook=msgspec.structs.replace(GATE.hook, policy="accept"))
    assert "delete chain inet ecs gate" not in lines([opened], [], ALL)


class Picky:
    """A context that refuses lines with certain words, and transactions above a length."""

    def __init__(self, *refused: str, longest: int = 10_000) -> None:
        self.refused = refused
        self.longest = longest
        self.ran: list[str] = []

    def run(self, text: str) -> str:
        if len(text) > self.longest:
            raise NftError("too long", line=None, too_long=True)
        for number, line in enumerate(text.splitlines()):
            if any(word in line for word in self.refused):
                raise NftError("refused", line=number)
        self.ran.append(text)
        return ""


def run(context: Picky) -> tuple[dict[str, str], set[str]]:
    present: dict[str, NftObject] = {}

    def committed(done: object) -> None:
        for command in done:  # type: ignore[attr-defined]
            present.update({item.key: item for item in command.makes})

    commands = program(ALL, [], {})
    failures = execute(context, commands, {item.key: item for item in ALL}, committed)  # type: ignore[arg-type]
    return failures, {key for key, item in present.items() if item in ALL}


def test_a_refused_element_stays_out_alone() -> None:
    context = Picky("10.1.0.0/16")
    failures, present = run(context)
    assert failures == {MEMBERS[1].key: "refused"}
    assert present == {item.key for item in ALL} - {MEMBERS[1].key}
    assert len(context.ran) == 1, "still one transaction"


def test_a_refused_set_takes_along_what_needs_it() -> None:
    failures, present = run(Picky("add map"))
    assert set(failures) == {GATES.key, GATE.key, PUBLISH.key}
    assert OWN.key in present


def test_a_refused_rule_leaves_its_chain_empty_so_that_nothing_passes() -> None:
    failures, present = run(Picky("dport 80"))
    assert set(failures) == {OWN.key}
    assert PUBLISH.key in present, "an empty chain's caller denies by default"


def test_a_transaction_that_is_too_long_is_cut_in_order() -> None:
    context = Picky(longest=200)
    failures, present = run(context)
    assert not failures
    assert present == {item.key for item in ALL}
    assert len(context.ran) > 1
    assert "goto own" in context.ran[-1]


def listing(*entries: object) -> str:
    return json.dumps({"nftables": [{"table": {"family": "inet", "name": "ecs", "handle": 1}}, *entries]})


def rule(handle: int, *protocols: str) -> dict[str, object]:
    match = {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": {"set": list(protocols)}}}
    return {"rule": {"family": "inet", "table": "ecs", "chain": "own", "handle": handle, "expr": [match]}}


OWN_CHAIN = {"chain": {"family": "inet", "table": "ecs", "name": "own", "handle": 2}}


def test_two_listings_agree_whatever_their_handles_and_the_order_of_anonymous_sets() -> None:
    real = read("r1", listing(OWN_CHAIN, rule(7, "tcp", "udp")))
    twin = read("r1", listing(OWN_CHAIN, rule(3, "udp", "tcp")))
    assert compare(real, twin, {OWN.key: OWN})[OWN.key] is OWN


def test_a_rule_too_many_is_seen() -> None:
    real = read("r1", listing(OWN_CHAIN, rule(7, "tcp"), rule(8, "udp")))
    twin = read("r1", listing(OWN_CHAIN, rule(3, "tcp")))
    assert compare(real, twin, {OWN.key: OWN})[OWN.key] != OWN


def test_elements_are_recognised_in_every_form_in_which_nft_prints_them() -> None:
    entry = {
        "map": {
            "family": "inet",
            "name": "marks",
            "table": "ecs",
            "type": ["ifname", "mark"],
            "map": "verdict",
            "elem": [
                [{"concat": ["e1", 7]}, {"goto": {"target": "own"}}],
                [{"concat": ["e2", {"prefix": {"addr": "10.0.0.0", "len": 8}}]}, {"accept": None}],
            ],
        }
    }
    found = read("r1", listing(entry)).objects
    head = "nft-element:r1/ecs/marks/"
    assert {key for key in found if key.startswith(head)} == {head + "e1 . 7", head + "e2 . 10.0.0.0/8"}
    assert canonical(f'{head}"e1" . 0x00000007') == f"{head}e1 . 7"
    assert [item.value for item in found.values() if isinstance(item, NftElement)] == ["goto own", "accept"]


def test_elements_that_the_packet_path_adds_are_not_ours() -> None:
    entry = {
        "set": {"family": "inet", "name": "lim", "table": "ecs", "type": "ifname", "flags": ["dynamic"], "elem": ["e1"]}
    }
    assert not [key for key in read("r1", listing(entry)).objects if key.startswith("nft-element")]


# ── single rules ─────────────────────────────────────────────────────────────────────────────────────────────────────


def rules(words: str) -> tuple[NftRule, ...]:
    return tuple(NftRule(text=letter) for letter in words)


def test_the_difference_of_two_lists_of_rules_is_between_what_they_share() -> None:
    for old, new, start, end, more in (
        ("abcd", "abxcd", 2, 2, "x"),
        ("abcd", "abcdx", 4, 4, "x"),
        ("abcd", "xabcd", 0, 0, "x"),
        ("abcd", "abd", 2, 3, ""),
        ("aaaa", "aaa", 3, 4, ""),
        ("aba", "aa", 1, 2, ""),
        ("abcd", "axcy", 1, 4, "xcy"),
        ("", "ab", 0, 0, "ab"),
        ("ab", "", 0, 2, ""),
    ):
        found = difference(rules(old), rules(new))
        assert (found.start, found.end, found.new) == (start, end, rules(more))


def test_new_rules_come_before_the_first_that_stays_and_go_by_their_handles() -> None:
    there = [Rule(bytes([number]), b"old", b"") for number in range(4)]
    made = [Rule(b"", text, b"comment") for text in (b"one", b"two")]
    in_the_middle = requests(OWN, difference(rules("abcd"), rules("axyd")), there, made)
    fields = [attributes(message.body[4:]) for message in in_the_middle]
    assert [(found.get(4), found.get(6), found.get(3)) for found in fields] == [
        (b"one", bytes([3]), None),
        (b"two", bytes([3]), None),
        (None, None, bytes([1])),
        (None, None, bytes([2])),
    ]
    (at_the_end,) = requests(OWN, difference(rules("abcd"), rules("abcdx")), there, made[:1])
    assert 6 not in attributes(at_the_end.body[4:])
    assert at_the_end.flags & 0x800
