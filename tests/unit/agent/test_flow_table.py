"""What events of one router add up to."""

from __future__ import annotations

import struct
from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st

from ecsnet.agent.flows.conntrack import Entry
from ecsnet.agent.flows.table import FlowTable
from ecsnet.agent.nflog import ACCEPTS, DROPS, Logged
from ecsnet.hostplan.flows import Part

CLIENT, SERVER = ip_address("10.0.1.10").packed, ip_address("10.0.2.20").packed
KEY = (6, CLIENT, SERVER, 40000, 80)
SYN, SYN_ACK = 2, 18
ESTABLISHED, TIME_WAIT, CLOSE = 3, 7, 8
NAMES = {0: "", 7: "eclient", 8: "eserver"}


def table(now: float = 100.0) -> FlowTable:
    return FlowTable(NAMES.__getitem__, now)


def entry(
    *counters: int, ended: bool = False, state: int | None = ESTABLISHED, number: int = 1, started: float = 101.0
) -> Entry:
    padded = (*counters, 0, 0, 0, 0)[:4]
    return Entry(
        key=KEY,
        id=number,
        counters=(padded[0], padded[1], padded[2], padded[3]),
        started=started,
        stopped=150.0 if ended else None,
        tcp_state=state,
        ended=ended,
    )


def logged(prefix: str, *, reply: bool = False, flags: int = SYN, length: int = 60) -> Logged:
    source, destination = (SERVER, CLIENT) if reply else (CLIENT, SERVER)
    ports = (80, 40000) if reply else (40000, 80)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, length, 0, 0, 64, 6, 0, source, destination)
    tcp = struct.pack("!HHIIBBHHH", *ports, 0, 0, 0x50, flags, 0, 0, 0)
    return Logged(
        netns="r1",
        group=ACCEPTS if prefix.startswith("A ") else DROPS,
        prefix=prefix,
        mark=0,
        in_link=8 if reply else 7,
        out_link=7 if reply else 8,
        payload=header + tcp,
    )


def summary(parts: tuple[Part, ...]) -> list[tuple[bool, str, int, int, int, int]]:
    return [(part.reply, part.denied, part.sent_packets, part.sent_bytes, part.packets, part.size) for part in parts]


def test_an_interval_tells_what_was_counted_since_the_last_one() -> None:
    flows = table()
    flows.admitted(logged("A sgr-out"))
    flows.admitted(logged("A sgr-in"))
    flow = flows.connection(entry(), 101.0)
    assert flow is not None
    begun = flow.first_packet()
    assert (begun.in_link, begun.out_link, begun.rules) == ("eclient", "eserver", ("sgr-out", "sgr-in"))
    flows.refresh([entry(3, 300, 2, 200)])
    start, parts = flows.interval(160.0)
    assert start == 100.0
    assert summary(parts) == [(False, "", 3, 300, 3, 300), (True, "", 2, 200, 2, 200)]
    answer = parts[1]
    assert (answer.source, answer.source_port, answer.in_link, answer.out_link) == (SERVER, 80, "eserver", "eclient")
    assert [(part.start, part.end) for part in parts] == [(101.0, 160.0)] * 2
    flows.refresh([entry(3, 300, 2, 200)])
    assert flows.interval(220.0)[1] == ()
    flows.connection(entry(4, 350, 2, 200, ended=True), 221.0)
    flows.refresh([])
    assert summary(flows.interval(280.0)[1]) == [(False, "", 1, 50, 1, 50)]


def test_what_was_there_before_is_not_told() -> None:
    flows = table()
    flows.begin(entry(100, 10000, 90, 9000))
    flows.refresh([entry(101, 10050, 90, 9000)])
    assert summary(flows.interval(160.0)[1]) == [(False, "", 1, 50, 1, 50)]


def test_a_denied_answer_is_counted_by_the_kernel_and_not_admitted() -> None:
    flows = table()
    flows.connection(entry(state=1), 101.0)
    denied = flows.denied(logged("D acl-1/out/*", reply=True, flags=SYN_ACK), 102.0)
    assert denied is not None
    told = denied.last_packet()
    assert (told.denied, told.packets, told.flags, told.reply) == ("acl-1/out/*", 1, SYN_ACK, True)
    flows.refresh([entry(1, 60, 1, 60, state=1)])
    _, parts = flows.interval(160.0)
    assert summary(parts) == [(False, "", 1, 60, 1, 60), (True, "acl-1/out/*", 0, 0, 1, 60)]


def test_what_the_receiver_denies_was_sent_all_the_same() -> None:
    flows = table()
    flows.admitted(logged("A sgr-out"))
    for _ in range(3):
        flows.denied(logged("D sg-in eni-1"), 102.0)
    flows.refresh([])
    _, parts = flows.interval(160.0)
    assert summary(parts) == [(False, "sg-in eni-1", 0, 0, 3, 180), (False, "", 3, 180, 0, 0)]
    assert parts[1].rules == ("sgr-out",)
    flows.denied(logged("D sg-out eni-1"), 161.0)
    assert summary(flows.interval(220.0)[1]) == [(False, "sg-out eni-1", 0, 0, 1, 60)]


def test_flags_are_what_the_states_prove_and_otherwise_unknown() -> None:
    def flags(*states: int | None) -> list[list[int | None]]:
        flows, told = table(), []
        for number, state in enumerate(states, 1):
            flows.refresh([entry(number, number, number, number, state=state)])
            told.append([part.flags for part in flows.interval(100.0 + number)[1]])
        return told

    assert flags(ESTABLISHED) == [[2, 18]]
    assert flags(TIME_WAIT) == [[3, 19]]
    assert flags(ESTABLISHED, ESTABLISHED, TIME_WAIT) == [[2, 18], [0, 0], [1, 1]]
    assert flags(1) == [[2, 0]]
    assert flags(ESTABLISHED, CLOSE) == [[2, 18], [None, None]], "a reset may be either side's"
    assert flags(4) == [[None, None]], "one half has ended; which, is not known"
    assert flags(None) == [[None, None]]


def test_a_port_used_again_and_a_lost_end_are_flows_of_their_own() -> None:
    flows = table()
    flows.connection(entry(), 101.0)
    flows.refresh([entry(5, 500, number=2)])  # the first one's end was lost
    assert summary(flows.interval(160.0)[1]) == [(False, "", 5, 500, 5, 500)]
    flows.connection(entry(6, 600, number=2, ended=True), 161.0)
    flows.connection(entry(number=3), 162.0)
    flows.refresh([entry(6, 600, number=2), entry(1, 100, number=3)])
    assert summary(flows.interval(220.0)[1]) == [(False, "", 1, 100, 1, 100)] * 2
    for _ in range(2):
        flows.refresh([])
        assert flows.interval(280.0)[1] == ()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["admitted", "denied", "interval", "late"]), st.integers(40, 1500))))
def test_what_is_told_adds_up_whatever_the_order(steps: list[tuple[str, int]]) -> None:
    """`late` is a drop that the log tells only after the table has counted its packet."""
    flows = table()
    counted = denied = (0, 0)
    told = refused = (0, 0)
    pending: list[int] = []

    def tell(now: float) -> None:
        nonlocal told, refused
        flows.refresh([entry(*counted)])
        while pending:
            flows.denied(logged("D sg-in eni-1", length=pending.pop()), now)
        for part in flows.interval(now)[1]:
            if part.denied:
                refused = (refused[0] + part.packets, refused[1] + part.size)
            else:
                told = (told[0] + part.packets, told[1] + part.size)

    flows.connection(entry(), 101.0)
    for number, (what, size) in enumerate(steps):
        if what != "interval":
            counted = (counted[0] + 1, counted[1] + size)
        if what in ("denied", "late"):
            denied = (denied[0] + 1, denied[1] + size)
        match what:
            case "denied":
                flows.denied(logged("D sg-in eni-1", length=size), 102.0)
            case "late":
                pending.append(size)
            case "interval":
                tell(110.0 + number)
    tell(1000.0)
    assert refused == denied
    assert told == (counted[0] - denied[0], counted[1] - denied[1])
