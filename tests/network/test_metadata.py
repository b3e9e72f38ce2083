"""The task metadata endpoint with real packets: each task reads its own documents and nobody else's."""

from __future__ import annotations

import json

import pytest
from sandbox import command, namespace, sandboxed, wire

from ecsnet.agent.drivers.metadata import MetadataDriver
from ecsnet.agent.namespaces import NamespaceFiles
from ecsnet.hostplan.workload import MetadataPages, Page

pytestmark = pytest.mark.network

ONE = MetadataPages(
    netns="r1",
    peer="10.0.1.10",
    pages=(
        Page(paths=("/v4/aaaa", "/v3/aaaa"), body=b'{"Name":"web"}'),
        Page(paths=("/v4/aaaa/task", "/v3/aaaa/task"), body=b'{"Family":"shop"}'),
        Page(paths=("/v2/credentials/0-1",), body=b'{"AccessKeyId":"123456789012"}'),
    ),
    owner="task-1",
)


def get(netns: str, path: str, *arguments: str) -> tuple[int, str]:
    out = command(
        "ip", "netns", "exec", netns, "curl", "-s", "--max-time", "30", "-w", "\n%{http_code}", *arguments,
        f"http://169.254.170.2{path}",
    )  # fmt: skip
    body, _, status = out.rpartition("\n")
    return int(status), body


def router(name: str, *tasks: str) -> None:
    namespace(name)
    command("ip", "-n", name, "address", "add", "169.254.170.2/32", "dev", "lo")
    for number, task in enumerate(tasks):
        namespace(task)
        wire(task, name, f"e{task}", f"10.0.{number + 1}.10", f"10.0.{number + 1}.1")


@sandboxed
def test_each_task_reads_its_own_documents() -> None:
    router("r1", "t1", "t2")
    router("r2", "t3")
    driver = MetadataDriver(NamespaceFiles())
    other_vpc = MetadataPages(
        netns="r2", peer="10.0.1.10", pages=(Page(paths=("/v4/cc",), body=b"{}"),), owner="task-3"
    )
    assert driver.apply((ONE, other_vpc), ()) == {}
    assert get("t1", "/v4/aaaa") == (200, '{"Name":"web"}')
    assert get("t1", "/v3/aaaa/") == (200, '{"Name":"web"}')
    assert json.loads(get("t1", "/v4/aaaa/task")[1]) == {"Family": "shop"}
    assert get("t1", "/v2/credentials/0-1")[0] == 200
    # The neighbour has another address, the task of the other VPC the same address in another router.
    for stranger in ("t2", "t3"):
        status, text = get(stranger, "/v4/aaaa")
        assert (status, text) == (404, "V4 container metadata handler: unable to get container ID from request: aaaa")
        status, text = get(stranger, "/v2/credentials/0-1")
        assert (status, json.loads(text)["code"]) == (400, "InvalidIdInRequest")
    assert get("t3", "/v4/cc")[0] == 200
    driver.close()


@sandboxed
def test_what_is_unknown_is_refused_in_the_agents_words() -> None:
    router("r1", "t1")
    driver = MetadataDriver(NamespaceFiles())
    driver.apply((ONE,), ())
    assert get("t1", "/v4/bbbb/task") == (
        404,
        "V4 task metadata handler: unable to get container ID from request: bbbb",
    )
    assert get("t1", "/v4/aaaa/stats")[0] == 501
    assert get("t1", "/v2/credentials")[0] == 400
    assert get("t1", "/elsewhere")[0] == 404
    assert get("t1", "/v4/aaaa", "-X", "POST")[0] == 405
    driver.close()


@sandboxed
def test_follows_changes_and_leaves_the_namespace() -> None:
    router("r1", "t1")
    driver = MetadataDriver(NamespaceFiles())
    driver.apply((ONE,), ())
    newer = MetadataPages(netns="r1", peer="10.0.1.10", pages=(Page(paths=("/v4/aaaa",), body=b"[]"),), owner="task-1")
    driver.apply((newer,), ())
    assert get("t1", "/v4/aaaa") == (200, "[]")
    assert get("t1", "/v4/aaaa/task")[0] == 404
    assert driver.observe({ONE.key: newer}) == {ONE.key: newer}
    driver.apply((), (ONE.key,))
    assert command("ip", "netns", "exec", "r1", "ss", "-Hlnt") == ""
    missing = MetadataPages(netns="r9", peer="10.0.1.10", pages=(), owner="task-9")
    assert driver.apply((missing,), ()) == {
        "metadata:r9/10.0.1.10/task-9": "cannot serve task metadata at 169.254.170.2: No such file or directory"
    }
    driver.close()
