"""What a probe sends and where it is looked for; and every piece of evidence in the user's words."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
import rows

from ecsnet.control.places import resolve
from ecsnet.control.probe import UnsendableError, batch, parse_port, probe, vpcs_around, wanted
from ecsnet.control.verdict import Verdict, Words
from ecsnet.decision import Drop, What, parse
from ecsnet.fabric.kernel import naming
from ecsnet.hostplan.probes import Decision, ProbeBatch, ProbeReports, Reply, Report, RouteSeen, Tap
from ecsnet.model import tables as t
from ecsnet.store.store import Store

ROUTER, GATEWAY = naming.router_namespace(rows.VPC), naming.gateway_namespace(rows.IGW)
WEB, API = "10.0.2.10", "10.0.2.11"


@pytest.fixture
def store() -> Store:
    store = Store(None, t.SCHEMA)
    with store.transaction() as tx:
        rows.put_storefront(tx)
    return store


def judged(store: Store, report: Report, *, port: str = "443/tcp", missed: int = 0) -> Verdict:
    """The verdict on a probe from one task to the other of which `report` was seen."""
    item = wanted(store.snapshot, WEB, API, port)
    (sent,) = batch(store.snapshot, [item], deadline=1.0).probes
    words = Words(store.snapshot, vpcs_around(store.snapshot, [item]))
    return words.verdict(item.source, item.destination, sent, report, missed)


def drop(prefix: str, netns: str = ROUTER, **more: object) -> Report:
    fields = {
        "netns": netns,
        "prefix": prefix,
        "direction": "forward",
        "in_link": naming.interface_link(rows.identifier("eni", 2)),
        "out_link": naming.interface_link(rows.identifier("eni", 3)),
        "source": WEB,
        "destination": API,
    }
    return Report(number=0, dropped=Decision(**(fields | more)))  # type: ignore[arg-type]


def test_what_is_sent_and_watched(store: Store) -> None:
    made = batch(store.snapshot, [wanted(store.snapshot, WEB, API, "443/tcp", 40000)], deadline=0.25)
    (sent,) = made.probes
    assert (sent.source, sent.destination, sent.protocol, sent.port) == (WEB, API, "tcp", 443)
    assert (sent.device, sent.source_port, made.deadline) == ("eth0", 40000, 0.25)
    destination = resolve(store.snapshot, API)
    assert destination.namespace is not None
    assert made.arrivals == (Tap(netns=destination.namespace, device="eth0"),)
    assert set(made.deciders) >= {"internet", ROUTER, GATEWAY, naming.nat_gateway_namespace(rows.identifier("nat", 1))}


def test_the_internet_sends_to_public_addresses_from_its_own(store: Store) -> None:
    nat = rows.identifier("nat", 1)
    made = batch(store.snapshot, [wanted(store.snapshot, "internet", nat, "443")], deadline=1.0)
    (public,) = resolve(store.snapshot, nat).ends[0].public
    assert (made.probes[0].source, made.probes[0].destination) == ("198.19.255.254", str(public))
    private = batch(store.snapshot, [wanted(store.snapshot, "internet", API, "443")], deadline=1.0)
    assert private.probes[0].destination == API


@pytest.mark.parametrize(
    ("text", "expected"),
    [("443/tcp", ("tcp", 443)), ("443", ("tcp", 443)), ("53/UDP", ("udp", 53)), ("icmp", ("icmp", None)),
     ("13/icmp", ("icmp", 13))],
)  # fmt: skip
def test_ports(text: str, expected: tuple[str, int | None]) -> None:
    assert parse_port(text) == expected


@pytest.mark.parametrize("text", ["", "http", "65536/tcp", "-1", "1/gre", "256/icmp", "tcp/web", "²/tcp"])
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(UnsendableError):
        parse_port(text)


@pytest.mark.parametrize("what", [what for what in What if what is not What.ACL])
def test_every_decision_has_words(store: Store, what: What) -> None:
    drop_ = Drop(what)
    try:
        parse(str(drop_))
    except ValueError:
        drop_ = Drop(what, "x-1")
    verdict = judged(store, drop(str(drop_)))
    assert verdict.verdict == "dropped"
    assert verdict.sentence.startswith("tcp/443 was dropped: ")
    assert verdict.sentence.endswith(".")
    assert verdict.rule
    assert verdict.where
    assert verdict.sentence != f"tcp/443 was dropped: {what.value}."


def test_a_network_acl_by_entry_and_by_default(store: Store) -> None:
    assert judged(store, drop("D acl-7/in/100")).sentence == (
        "tcp/443 was dropped: inbound entry 100 of acl-7 denies it."
    )
    back = judged(store, drop("D acl-7/out/*", direction="reply"))
    assert (back.rule, back.direction) == ("acl-7/out/*", "reply")
    assert "the answer was dropped on its way back: acl-7 has no outbound entry for it" in back.sentence


@pytest.mark.parametrize(
    ("seen", "rule"),
    [
        (RouteSeen(kind="unicast", table=254, prefix="10.0.0.0/16", device="void0"), "{table} 10.0.0.0/16 local"),
        (RouteSeen(kind="unicast", table=999, prefix="0.0.0.0/0", device="void0"), "{table} no route"),
        (RouteSeen(kind="none"), "no route"),
    ],
)
def test_a_missing_route(store: Store, seen: RouteSeen, rule: str) -> None:
    (own,) = store.snapshot.find(t.ASSOCIATIONS_BY_SUBNET, rows.identifier("subnet", 2))
    assert judged(store, drop("D route", route=seen)).rule == rule.format(table=own.route_table)


def test_a_black_hole(store: Store) -> None:
    gone = rows.route("198.51.100.0/24", "nat", "nat-gone")
    table = rows.route_table(9, gone)
    with store.transaction() as tx:
        tx.put(t.ROUTE_TABLES, table)
    seen = RouteSeen(kind="unicast", table=naming.table_number(table.ordinal), prefix="198.51.100.0/24")
    verdict = judged(store, drop("D route", route=seen))
    assert verdict.rule == f"{table.id} 198.51.100.0/24 blackhole"
    assert "(target nat-gone) is a black hole" in verdict.sentence


def test_answers(store: Store) -> None:
    def answered(port: str, **reply: object) -> tuple[str, str]:
        fields = {"source": API, **reply}
        report = Report(number=0, arrived=("x",), reply=Reply(**fields))  # type: ignore[arg-type]
        verdict = judged(store, report, port=port)
        return verdict.verdict, verdict.sentence

    assert answered("443/tcp", kind="syn-ack")[0] == "reached"
    assert answered("icmp", kind="echo-reply")[0] == "reached"
    assert answered("443/tcp", kind="reset")[0] == "refused"
    assert answered("53/udp", kind="unreachable", type=3, code=3)[0] == "refused"
    outcome, sentence = answered("443/tcp", kind="unreachable", type=3, code=13, source="192.0.2.1")
    assert (outcome, "192.0.2.1 with ICMP type 3 code 13" in sentence) == ("refused", True)


def test_silence_is_never_more_than_silence(store: Store) -> None:
    assert judged(store, Report(number=0, arrived=("x",)), port="53/udp").verdict == "reached"
    assert judged(store, Report(number=0, arrived=("x",))).verdict == "lost"
    nothing = judged(store, Report(number=0), missed=3)
    assert (nothing.verdict, nothing.rule) == ("lost", None)
    assert "3 observations were missed" in nothing.sentence
    unsent = judged(store, Report(number=0, error="Network is unreachable"))
    assert (unsent.verdict, "could not be sent" in unsent.sentence) == ("lost", True)


def test_probes_are_asked_in_their_order(store: Store) -> None:
    items = [wanted(store.snapshot, WEB, API, f"{port}/tcp") for port in (80, 81)]

    async def ask(argument: bytes) -> bytes:
        asked = msgspec.json.decode(argument, type=ProbeBatch)
        reports = tuple(
            Report(number=one.number, reply=Reply(kind="syn-ack" if one.port == 80 else "reset", source=API))
            for one in asked.probes
        )
        return msgspec.json.encode(ProbeReports(reports=reports))

    verdicts = asyncio.run(probe(store.snapshot, items, ask))
    assert [(verdict.probe.port, verdict.verdict) for verdict in verdicts] == [(80, "reached"), (81, "refused")]


def test_nothing_starts_where_nobody_is(store: Store) -> None:
    with pytest.raises(UnsendableError, match="nothing can be sent from"):
        batch(store.snapshot, [wanted(store.snapshot, "10.0.9.9", API, "80")], deadline=1.0)
