"""What `ecsnet modes` writes from a report: every word follows from what the report says."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest
from modes_report import awsvpc, bridge, host, report, rounds
from rich.console import Console

from ecsnet.cli.modes import chart, document, svg, text
from ecsnet.cli.modes.advice import advice
from ecsnet.cli.modes.figures import alike
from ecsnet.cli.modes.report import ModeReport, Report
from ecsnet.cli.modes.rows import Row, columns, rows

_SVG = "{http://www.w3.org/2000/svg}"
DOCS = Path(__file__).resolve().parents[3] / "docs"
ALL = report(bridge(), host(), awsvpc())


def row(title: str, of: Report = ALL) -> Row:
    return next(one for one in rows(of) if title in one.title)


def chosen(of: Report = ALL) -> dict[str, tuple[str, ...]]:
    return {one.need: one.modes for one in advice(of)}


def test_every_row_has_a_cell_per_column_and_a_reason() -> None:
    assert columns(ALL) == ("bridge", "host", "awsvpc", "bare veth", "loopback")
    for one in rows(ALL):
        assert len(one.cells) == len(columns(ALL))
        assert one.why


def test_modes_with_one_reason_share_it() -> None:
    why = row("localhost").why
    assert why == (
        "bridge: 127.0.0.1 is the second container's own, where nothing listens; "
        "host, awsvpc: one stack has one loopback"
    )


def test_translations_are_told_from_what_both_ends_say() -> None:
    assert row("listens").cells[:2] == ("172.17.0.2:8080 (not in the VPC)", "10.40.1.10:8080 (instance)")
    assert (
        row("listens").why == "bridge: the server's instance translates address and port; host, awsvpc: not translated"
    )
    moved = msgspec.structs.replace(bridge(), client=bridge().peer)
    assert "bridge, host: the client's own" in row("sees its client", report(moved, host())).why


def test_who_reads_the_instances_metadata() -> None:
    shown = row("metadata")
    assert shown.cells[:3] == (
        "no answer to the request for the token",
        "answers for its instance",
        "answers for its instance",
    )
    assert shown.why.startswith("bridge: a token travels 1 hop, and the container stands behind its instance")


def test_what_contradicts_the_expectation_is_said() -> None:
    odd = msgspec.structs.replace(host(), localhost="refused")
    assert row("localhost", report(odd)).why == "host: the stack is shared, and yet: refused"
    unseen = msgspec.structs.replace(
        host(), filter=msgspec.structs.replace(host().filter, admitted_by="", rule="", denied_by="", owner="")
    )
    shown = row("who filters", report(unseen))
    assert shown.cells[1] == "nobody was seen"
    assert "no rule admitted the open port, no group dropped a packet to the closed one" in shown.why


@pytest.mark.parametrize(
    ("better", "of", "same"), [(5, 5, True), (6, 6, False), (7, 8, True), (8, 9, False), (2, 9, True), (1, 9, False)]
)
def test_the_sign_test(better: int, of: int, same: bool) -> None:
    """Two-sided, 5 %: critical numbers of the binomial distribution, for example 8 of 9 (p = 0.039)."""
    first = [2.0] * better + [0.0] * (of - better)
    assert alike(first, [1.0] * of) is same
    assert alike([1.0] * of, first) is same
    assert alike(first, first)


def test_modes_that_win_in_turn_are_not_told_apart() -> None:
    assert row("throughput").why.endswith("; this run does not tell apart host and awsvpc")
    assert chosen()["speed"] == ("host", "awsvpc")


@pytest.mark.parametrize("count", [1, 5])
def test_a_few_rounds_prove_no_difference(count: int) -> None:
    def short(one: ModeReport, gbit: float) -> ModeReport:
        return msgspec.structs.replace(
            one, traffic=msgspec.structs.replace(one.traffic, rounds=rounds(*[gbit] * count))
        )

    found = report(short(bridge(), 1.0), short(host(), 9.0), short(awsvpc(), 5.0))
    assert row("throughput", found).why.endswith("; this run does not tell apart any of them")
    assert chosen(found)["speed"] == ("bridge", "host", "awsvpc")


def test_recommendations_follow_the_report() -> None:
    assert chosen() == {
        "isolation": ("awsvpc",), "density": ("bridge",), "speed": ("host", "awsvpc"), "security": ("awsvpc",),
    }  # fmt: skip
    dense = msgspec.structs.replace(awsvpc(), density=msgspec.structs.replace(awsvpc().density, tasks=120))
    assert chosen(report(bridge(), dense))["density"] == ("awsvpc",)
    assert advice(report(awsvpc())) == (), "there is nothing to choose from"


def test_a_mode_that_did_not_run_keeps_its_column_and_says_why() -> None:
    found = report(host(), awsvpc(), missing={"bridge": "after 20 s its tasks are PENDING"})
    assert row("localhost", found).cells[0] == "–"
    assert "`bridge` did not run: after 20 s its tasks are PENDING" in document.page(found)
    assert "bridge did not run" in terminal(found)


def terminal(of: Report) -> str:
    out = io.StringIO()
    text.show(of, Console(file=out, width=200))
    return out.getvalue()


def test_the_terminal_shows_every_row_and_need() -> None:
    shown = " ".join(terminal(ALL).split())
    for one in rows(ALL):
        assert one.title.split()[0] in shown
    for need in ("isolation", "density", "speed", "security"):
        assert need in shown


def test_the_picture_has_a_bar_per_place_and_stays_in_its_frame() -> None:
    root = ET.fromstring(chart.draw(ALL))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    bars = root.findall(f"{_SVG}rect")[1:]
    assert len(bars) == sum(len(panel.bars) for panel in chart.panels(ALL)) == 3 * 5 + 2 * 3
    for bar in bars:
        assert 0 <= float(bar.attrib["x"]) <= float(bar.attrib["x"]) + float(bar.attrib["width"]) <= width
        assert 0 <= float(bar.attrib["y"]) <= float(bar.attrib["y"]) + float(bar.attrib["height"]) <= height


def test_bars_are_as_long_as_their_values() -> None:
    root = ET.fromstring(chart.draw(ALL))
    throughput = [float(bar.attrib["width"]) for bar in root.findall(f"{_SVG}rect")[1:6]]
    assert throughput[3] * 2 == pytest.approx(throughput[4], abs=0.2)
    assert throughput[0] * 2 == pytest.approx(throughput[3], abs=0.2)


def test_text_in_a_picture_is_escaped() -> None:
    drawn = svg.picture(10, 10, "a < b", [svg.words(1, 2, 'R&D "<script>"')])
    assert ET.fromstring(drawn).find(f"{_SVG}text").text == 'R&D "<script>"'  # type: ignore[union-attr]
    assert "<script>" not in drawn


def test_the_page_is_a_function_of_the_report() -> None:
    again = msgspec.json.decode(document.encode(ALL), type=Report)
    assert again == ALL
    assert document.page(again) == document.page(ALL)
    lines = document.page(ALL).splitlines()
    table = [line for line in lines if line.startswith("| **")]
    assert len(table) == len(rows(ALL))
    assert {line.count(" | ") for line in table} == {len(columns(ALL))}


def test_the_page_in_docs_is_what_the_code_writes_from_the_report_beside_it() -> None:
    kept = msgspec.json.decode((DOCS / "network-modes.json").read_bytes(), type=Report)
    assert kept.missing == {}
    assert {one.mode for one in kept.modes} == {"bridge", "host", "awsvpc"}
    assert (DOCS / "network-modes.md").read_text() == document.page(kept), "write it anew: make modes"
    assert (DOCS / "network-modes.svg").read_text() == chart.draw(kept), "write it anew: make modes"
