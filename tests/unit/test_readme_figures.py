"""The README's figures are those of bench/results, and nothing else."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "bench"))

import readme  # noqa: E402


def test_the_readme_says_what_was_measured() -> None:
    if os.environ.get("ECSNET_UPDATE_GOLDEN"):
        readme.main()
    text = readme.README.read_text()
    assert readme.with_table(text, readme.table(readme.results())) == text
