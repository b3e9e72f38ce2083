"""The vocabulary of docs/decisions.md: every line of it is a value, and every value is a line again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ecsnet.decision import Admit, Drop, What, parse

DOCUMENT = (Path(__file__).parents[3] / "docs" / "decisions.md").read_text()
PREFIXES = re.findall(r"`(D [^`]+)`", "\n".join(line for line in DOCUMENT.splitlines() if line.startswith("| `D")))


@pytest.mark.parametrize("prefix", [prefix.replace("…", "0a1b") for prefix in PREFIXES] + ["A sgr-0a1b"])
def test_a_documented_prefix_is_read_and_written(prefix: str) -> None:
    assert str(parse(prefix)) == prefix


def test_values() -> None:
    assert parse("D acl-1/in/100 ") == Drop(What.ACL, "acl-1/in/100")
    assert parse("D sg-in eni-1") == Drop(What.SG_IN, "eni-1")
    assert parse("D sg-in") == Drop(What.SG_IN)  # its interface is gone
    assert parse("D acl missing") == Drop(What.ACL_MISSING)
    assert parse("A sgr-1") == Admit("sgr-1")


@pytest.mark.parametrize(
    "text", ["", "D", "A", "D nonsense", "D acl missing x", "D route rtb-1", "X sg-in eni-1", "D acl"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no decision"):
        parse(text)
