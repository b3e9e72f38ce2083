"""Who is asked for what, what becomes of the answers, and when a difference is looked at again."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_address
from xml.etree import ElementTree as Xml

import msgspec
import pytest
import rows

from ecsnet.cli import junit
from ecsnet.cli.verify import summary, told
from ecsnet.control.probe import UnsendableError, parse_port
from ecsnet.control.verify.matrix import Json, Judges, Matrix
from ecsnet.control.verify.questions import Question, Service, declared, parties, questions, renewed
from ecsnet.control.verify.run import verify
from ecsnet.fabric.kernel import naming
from ecsnet.hostplan.probes import Decision, Probe, ProbeBatch, ProbeReports, Reply, Report
from ecsnet.model import ecs, elbv2
from ecsnet.model import tables as t
from ecsnet.reach.flow import TCP, Flow
from ecsnet.reach.trace import trace
from ecsnet.store.snapshot import Snapshot
from ecsnet.store.store import Store

HTTP = Service("tcp", 8080)
BALANCER, TASKS, NAT = "load balancer web", "family:web", f"NAT gateway {rows.identifier('nat', 1)}"
INTERNET = "the internet"


@pytest.fixture
def store() -> Store:
    store = Store(None, t.SCHEMA)
    with store.transaction() as tx:
        rows.put_storefront(tx)
    return store


def asked(store: Store, *services: Service, vpcs: tuple[str, ...] = (rows.VPC,)) -> list[Question]:
    found = parties(store.snapshot, vpcs)
    return list(questions(store.snapshot, found, services or (HTTP,)))


# ── who is asked ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_pair_but_those_that_no_packet_can_ask(store: Store) -> None:
    found = asked(store)
    pairs = {(one.source.interface, one.destination.interface) for one in found}
    keys: list[str | None] = [None, *(rows.identifier("eni", number) for number in (1, 2, 3, 4))]
    nat = keys[4]
    assert pairs == {(a, b) for a, b in itertools.product(keys, keys) if a != b and a != nat}
    assert {one.source.name for one in found} == {INTERNET, BALANCER, TASKS}
    assert {one.destination.name for one in found} == {INTERNET, BALANCER, TASKS, NAT}


def test_the_internet_calls_public_addresses_and_others_private_ones(store: Store) -> None:
    found = {(one.source.name, one.destination.name): str(one.address) for one in asked(store)}
    assert (found[INTERNET, BALANCER], found[TASKS, BALANCER]) == ("198.18.0.1", "10.0.1.10")
    assert (found[INTERNET, NAT], found[TASKS, INTERNET]) == ("198.18.0.2", "198.19.255.254")


def test_an_address_that_means_somebody_else_is_not_asked(store: Store) -> None:
    """Two VPCs with one block: from the first, 10.0.1.10 of the second is its own load balancer."""
    other = rows.identifier("vpc", 2)
    with store.transaction() as tx:
        tx.put(t.VPCS, rows.vpc(2))
        tx.put(t.SUBNETS, rows.subnet(9, "10.0.1.0/24", vpc=other))
        rows.put_interface(tx, rows.interface(9, "10.0.1.10", 9, vpc=other, owner=("task", rows.task_arn(9))))
        tx.put(t.TASKS, rows.task(9, 9))
    found = asked(store, vpcs=(rows.VPC, other))
    senders = {one.source.place.vpc for one in found if one.destination.place.vpc == other}
    assert senders == {None}


def test_declared_ports_and_one_that_nobody_declares(store: Store) -> None:
    containers = ecs.ContainerDefinition(
        name="app",
        image="absent",
        ports=(
            ecs.PortMapping(container_port=9, host_port=9),
            ecs.PortMapping(container_port=53, host_port=53, protocol="udp"),
        ),
    )
    with store.transaction() as tx:
        tx.put(
            t.TASK_DEFINITIONS,
            ecs.TaskDefinition(
                arn="web:1", account=rows.ACCOUNT, region=rows.REGION, family="web", number=1, network_mode="awsvpc",
                containers=(containers,), registered=0.0, body="{}",
            ),
        )  # fmt: skip
        tx.put(
            t.LISTENERS,
            elbv2.Listener(
                arn="listener", load_balancer=rows.load_balancer_arn(1), port=443, protocol="HTTPS", default_actions=()
            ),
        )
    services = declared(store.snapshot, parties(store.snapshot, [rows.VPC]))
    assert [str(service) for service in services] == ["tcp/443", "tcp/9", "udp/53", "tcp/10"]


@pytest.mark.parametrize("text", ["tcp/80", "80/tcp", "80"])
def test_ports_in_either_order(text: str) -> None:
    assert parse_port(text) == ("tcp", 80)


def test_no_port(store: Store) -> None:
    with pytest.raises(UnsendableError):
        parse_port("tcp/web")


def test_a_second_look_asks_about_who_is_still_there(store: Store) -> None:
    before = asked(store)
    with store.transaction() as tx:
        tx.delete(t.INTERFACES, rows.identifier("eni", 3))
    again = list(renewed(parties(store.snapshot, [rows.VPC]), before))
    gone = rows.identifier("eni", 3)
    assert len(again) == sum(gone not in (one.source.interface, one.destination.interface) for one in before)


# ── what becomes of the answers ──────────────────────────────────────────────────────────────────────────────────────


def obedient(snapshot: Snapshot, probe: Probe) -> Report:
    """What a kernel sees that does what the settings say."""
    by_address = {str(row.private_ip): row for row in snapshot.rows(t.INTERFACES)}
    sender = by_address.get(probe.source)
    flow = Flow(
        source=None if sender is None else sender.id, destination=ip_address(probe.destination), protocol=TCP,
        port=probe.port or 0,
    )  # fmt: skip
    expected = trace(snapshot, flow)
    nowhere = expected.first is not None and expected.first.component == "internet"
    judge = naming.INTERNET if nowhere else naming.router_namespace(rows.VPC)

    def decision(prefix: str, direction: str = "forward") -> Decision:
        return Decision(
            netns=judge, prefix=prefix, direction=direction, in_link="", out_link="",  # type: ignore[arg-type]
            source=probe.source, destination=probe.destination,
        )  # fmt: skip

    admitted = tuple(decision(f"A {min(rules)}") for rules in (expected.egress, expected.ingress) if rules)
    if expected.first is not None:
        direction = "forward" if expected.first.direction == "forward" else "reply"
        return Report(number=probe.number, dropped=decision(str(expected.deciding), direction))
    namespaces = {
        str(address): party.place.namespace or ""
        for party in parties(snapshot, [rows.VPC])
        for address in (*party.place.addresses, *(public for end in party.place.ends for public in end.public))
    }
    reply = Reply(kind="syn-ack", source=probe.destination)
    return Report(number=probe.number, arrived=(namespaces[probe.destination],), reply=reply, accepted=admitted)


def lost(_: Snapshot, probe: Probe) -> Report:
    return Report(number=probe.number)


def one_answer(store: Store, source: str, destination: str, kernel: Callable[[Snapshot, Probe], Report]) -> Matrix:
    """The matrix of the first question between two names."""
    question = next(
        one for one in asked(store) if (one.source.name, one.destination.name) == (source, destination)
    )  # fmt: skip
    matrix, probe = Matrix(), _probe(question)
    matrix.add(Judges(store.snapshot, (rows.VPC,)).judged(question, probe, kernel(store.snapshot, probe)))
    return matrix


def _probe(question: Question) -> Probe:
    source = next(str(one) for one in question.source.place.addresses if one.version == 4)
    return Probe(
        number=0, netns=question.source.place.namespace or "", device="", source=source,
        destination=str(question.address), protocol="tcp", port=question.service.port,
    )  # fmt: skip


def test_a_cell_says_who_dropped(store: Store) -> None:
    result = one_answer(store, INTERNET, BALANCER, obedient).result()
    (cell,) = result["matrix"]
    assert (cell["outcomes"], cell["deciders"], cell["disagreements"]) == ({"dropped": 1}, {"in group-1": 1}, 0)
    assert str(told(cell)) == "dropped\nin group-1"


def test_a_difference_has_both_answers(store: Store) -> None:
    (item,) = one_answer(store, INTERNET, BALANCER, lost).result()["disagreements"]
    assert item["source"] == "the internet 198.19.255.254"
    assert item["destination"] == "load balancer web 198.18.0.1"
    assert "was not seen again" in item["kernel"]
    assert item["reach"].startswith(f"blocked at {rows.identifier('eni', 1)} (D sg-in")


def test_an_answer_from_elsewhere_did_not_reach_it(store: Store) -> None:
    def elsewhere(snapshot: Snapshot, probe: Probe) -> Report:
        return msgspec.structs.replace(obedient(snapshot, probe), arrived=("t999900000000",))

    (cell,) = one_answer(store, BALANCER, TASKS, elsewhere).result()["matrix"]
    assert cell["outcomes"] == {"elsewhere": 1}


def test_a_network_load_balancer_is_reached_whatever_becomes_of_the_packet_behind_it(store: Store) -> None:
    def beyond(snapshot: Snapshot, probe: Probe) -> Report:
        report = obedient(snapshot, probe)
        return report if report.dropped else msgspec.structs.replace(report, reply=None)

    with store.transaction() as tx:
        row = store.snapshot.get(t.INTERFACES, rows.identifier("eni", 1))
        assert row is not None
        tx.put(t.INTERFACES, msgspec.structs.replace(row, interface_type="network_load_balancer", groups=()))
    result = one_answer(store, TASKS, BALANCER, beyond).result()
    assert (result["matrix"][0]["outcomes"], result["disagreements"]) == ({"reached": 1}, [])


# ── the run ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Network:
    """A kernel and what happens around it; counts what it is asked."""

    def __init__(self, store: Store, kernel: Callable[[Snapshot, Probe], Report], *, missed: int = 0) -> None:
        self.store = store
        self.kernel = kernel
        self.missed = missed
        self.asked: list[int] = []

    async def ask(self, argument: bytes) -> bytes:
        batch = msgspec.json.decode(argument, type=ProbeBatch)
        self.asked.append(len(batch.probes))
        reports = tuple(self.kernel(self.store.snapshot, probe) for probe in batch.probes)
        return msgspec.json.encode(ProbeReports(reports=reports, missed=self.missed, seconds=0.25))

    def run(self) -> Json:
        """The result, after a look at the progress before it."""

        async def in_force(revision: int) -> bool:
            return True

        async def lines() -> list[Json]:
            found: AsyncIterator[Json] = verify(lambda: self.store.snapshot, in_force, self.ask, [rows.VPC], (HTTP,))
            return [line async for line in found]

        *progress, result = asyncio.run(lines())
        assert progress[-1] == {"done": self.asked[0], "of": self.asked[0]}
        return result


def test_all_agree_at_the_first_look(store: Store) -> None:
    network = Network(store, obedient)
    result = network.run()
    assert (result["probes"], result["disagreements"], result["looked_again"]) == (len(asked(store)), [], 0)
    assert network.asked == [len(asked(store))]
    assert "kernel and settings agree" in summary(result)


def test_what_nothing_was_seen_of_is_looked_at_twice_more(store: Store) -> None:
    network = Network(store, lost)
    result = network.run()
    assert network.asked == [len(asked(store))] * 3
    assert len(result["disagreements"]) == result["probes"] == len(asked(store))


def test_a_difference_that_was_seen_counts_at_once(store: Store) -> None:
    def closed(snapshot: Snapshot, probe: Probe) -> Report:
        report = obedient(snapshot, probe)
        if report.dropped is not None or not probe.destination.startswith("10.0.2."):
            return report
        interface = rows.identifier("eni", 2 if probe.destination == "10.0.2.10" else 3)
        drop = Decision(
            netns=naming.router_namespace(rows.VPC), prefix=f"D sg-in {interface}", direction="forward", in_link="",
            out_link="", source=probe.source, destination=probe.destination,
        )  # fmt: skip
        return Report(number=probe.number, dropped=drop)

    network = Network(store, closed)
    result = network.run()
    assert len(network.asked) == 1
    assert {item["to"] for item in result["disagreements"]} == {TASKS}
    assert {item["reach"] for item in result["disagreements"]} == {"reachable"}


def test_a_difference_of_one_pair_is_found_among_its_equals(store: Store) -> None:
    """The tasks have the same groups, subnet and rules; for one ordered pair only the kernel does something else."""
    with store.transaction() as tx:
        for number in range(20, 26):
            owner = ("task", rows.task_arn(number))
            rows.put_interface(tx, rows.interface(number, f"10.0.2.{number}", 2, groups=(2,), owner=owner))
            tx.put(t.TASKS, rows.task(number, number))

    def one_hole(snapshot: Snapshot, probe: Probe) -> Report:
        report = obedient(snapshot, probe)
        if (probe.source, probe.destination) != ("10.0.2.22", "10.0.2.24"):
            return report
        return msgspec.structs.replace(report, dropped=None, reply=Reply(kind="syn-ack", source=probe.destination))

    (item,) = Network(store, one_hole).run()["disagreements"]
    assert item["source"].endswith("10.0.2.22")
    assert item["destination"].endswith("10.0.2.24")
    assert "which answered" in item["kernel"]
    assert item["reach"].startswith(f"blocked at {rows.identifier('eni', 24)} (D sg-in")


def test_what_the_network_changed_under_is_asked_anew(store: Store) -> None:
    """The rule is revoked while the packets are under way: they met the old settings, the answer is of the new ones."""
    old = store.snapshot

    def late(snapshot: Snapshot, probe: Probe) -> Report:
        if len(network.asked) == 1 and store.snapshot is old:
            with store.transaction() as tx:
                tx.delete(t.GROUP_RULES, rows.identifier("sgr", 2))
        return obedient(store.snapshot, probe)

    network = Network(store, late)
    result = network.run()
    assert result["disagreements"] == []
    assert result["looked_again"] > 0
    assert result["revision"] == store.snapshot.revision


def test_what_came_faster_than_it_was_read_proves_nothing(store: Store) -> None:
    network = Network(store, lost, missed=3)
    assert "3 observations were missed" in network.run()["disagreements"][0]["kernel"]
    assert len(network.asked) == 3


# ── JUnit ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_junit_has_a_case_per_cell_and_a_failure_where_the_judges_differ(store: Store) -> None:
    result = Network(store, lost).run()
    root = Xml.fromstring(junit.document(result))
    cases = list(root.iter("testcase"))
    assert {(case.get("classname"), case.get("name")) for case in cases} == {
        (f"from {cell['from']}", f"to {cell['to']} {cell['service']}") for cell in result["matrix"]
    }
    failed = [case for case in cases if case.find("failure") is not None]
    assert str(len(failed)) == root.get("failures") == str(len(result["matrix"]))
    text = failed[0].findtext("failure") or ""
    assert "kernel: tcp/8080 was not seen again" in text
    assert "reach:" in text


def test_junit_can_write_any_name(store: Store) -> None:
    result = Network(store, obedient).run()
    result["matrix"][0]["from"] = "\x00<&\x1b\ud800]]>"
    suites = Xml.fromstring(junit.document(result)).iter("testsuite")
    assert "from �<&��]]>" in {suite.get("name") for suite in suites}
