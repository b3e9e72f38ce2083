"""The answer of `verify` as JUnit XML, for CI servers: a suite per sender, a case per receiver and port."""

from __future__ import annotations

import itertools
import re
from typing import Any
from xml.etree import ElementTree as Xml

_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""A tag's value may hold what XML 1.0 has no way to write (section 2.2)."""


def document(result: dict[str, Any]) -> bytes:
    """The file; a case fails when the judges differ about one of its packets."""
    cells = result["matrix"]
    root = Xml.Element(
        "testsuites",
        name="ecsnet verify",
        tests=str(len(cells)),
        failures=str(sum(cell["disagreements"] > 0 for cell in cells)),
        time=str(result["seconds"]),
    )
    for sender, group in itertools.groupby(sorted(cells, key=_sender), key=_sender):
        own = list(group)
        failures = sum(cell["disagreements"] > 0 for cell in own)
        suite = Xml.SubElement(
            root, "testsuite", name=_text(f"from {sender}"), tests=str(len(own)), failures=str(failures)
        )
        for cell in own:
            _case(suite, cell, [item for item in result["disagreements"] if _is_of(item, cell)])
    Xml.indent(root)
    text: bytes = Xml.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _case(suite: Xml.Element, cell: dict[str, Any], differences: list[dict[str, Any]]) -> None:
    case = Xml.SubElement(
        suite, "testcase", classname=_text(f"from {cell['from']}"), name=_text(f"to {cell['to']} {cell['service']}")
    )
    if differences:
        first = f"{differences[0]['difference']}"
        failure = Xml.SubElement(case, "failure", type="disagreement", message=_text(first))
        failure.text = _text("\n\n".join(both(item) for item in differences))
    Xml.SubElement(case, "system-out").text = _text(
        ", ".join(f"{count} {what}" for what, count in (*cell["outcomes"].items(), *cell["deciders"].items()))
    )


def both(item: dict[str, Any]) -> str:
    """A difference with both answers."""
    return (
        f"{item['source']} → {item['destination']} {item['service']}\n"
        f"  kernel: {item['kernel']}\n  reach: {item['reach']}\n  differ: {item['difference']}"
    )


def _sender(cell: dict[str, Any]) -> str:
    return str(cell["from"])


def _is_of(item: dict[str, Any], cell: dict[str, Any]) -> bool:
    return all(item[key] == cell[key] for key in ("from", "to", "service"))


def _text(text: str) -> str:
    return _NOT_XML.sub("�", text)
