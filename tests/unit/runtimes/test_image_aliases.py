"""`ecsnet deploy --images`: a present image stands for one that a task definition names."""

from __future__ import annotations

import json
from pathlib import Path

from ecsnet.agent.runtimes.podman_store import Store, read_aliases, write_aliases


def store_with(directory: Path, *names: str) -> Store:
    index = directory / "storage" / "overlay-images"
    index.mkdir(parents=True)
    (index / "images.json").write_text(json.dumps([{"id": "0" * 63 + "1", "names": list(names)}]))
    return Store(directory=directory)


def test_a_present_image_stands_for_an_absent_one(tmp_path: Path) -> None:
    store = store_with(tmp_path, "localhost/mine:1")
    assert store.image("nginx") is None
    write_aliases(tmp_path, {"nginx": "localhost/mine:1"})
    assert store.image("nginx") == "0" * 63 + "1"
    assert store.image("httpd") is None


def test_aliases_add_up_and_the_newest_counts(tmp_path: Path) -> None:
    write_aliases(tmp_path, {"a": "1", "b": "2"})
    write_aliases(tmp_path, {"b": "3"})
    assert read_aliases(tmp_path) == {"a": "1", "b": "3"}
