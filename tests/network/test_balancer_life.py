"""The proxy's own life: stickiness, TLS, rejected parts, restarts of the agent and of the proxy, removal."""

from __future__ import annotations

import os
import signal
import ssl
from pathlib import Path

import msgspec
import pytest
from balancer_lab import (
    ADDRESS,
    BALANCER,
    LISTENER,
    NODE,
    Lab,
    eventually,
    forward,
    front_end,
    in_lab,
    members,
    pool,
    routing,
    rule,
    share,
)

from ecsnet.agent.namespaces import NamespaceFiles
from ecsnet.fabric.kernel.balancer import LOWERINGS
from ecsnet.hostplan.balancer import EnvoyResource
from ecsnet.logical.balancer import Certificate, Forward, Match, Tls

pytestmark = pytest.mark.network


def cookie(cookies: list[str], name: str) -> str:
    (found,) = [text for text in cookies if text.startswith(f"{name}=")]
    return found.partition(";")[0]


@in_lab
def test_stickiness_to_a_target_and_to_a_group(lab: Lab) -> None:
    targets = [lab.target(number) for number in (1, 2, 3)]
    sticky = Forward(shares=(share(1, cookie_seconds=60), share(2)), sticky_seconds=60)
    lab.apply(
        *(pool(1), members(1, *targets[:2]), pool(2), members(2, targets[2])),
        *(routing(rule(sticky)), front_end()),
    )
    for target in targets[:2]:
        lab.wait_health(1, target, True)
    lab.wait_health(2, targets[2], True)
    first = lab.get("/")
    while first.body == "t3":
        first = lab.get("/")
    sent = "; ".join([cookie(first.cookies, "AWSALBTG"), cookie(first.cookies, "AWSALB"), "other=1"])
    assert {lab.get("/", headers={"Cookie": sent}).body for _ in range(12)} == {first.body}
    group_only = cookie(first.cookies, "AWSALBTG")
    assert {lab.get("/", headers={"Cookie": group_only}).body for _ in range(12)} == {"t1", "t2"}
    assert {lab.get("/").body for _ in range(30)} == {"t1", "t2", "t3"}
    garbage = {lab.get("/", headers={"Cookie": "AWSALBTG=x; AWSALB=y"}).status for _ in range(5)}
    assert garbage == {200}


@in_lab
def test_tls_is_terminated_with_a_certificate_of_the_local_authority(lab: Lab) -> None:
    one = lab.target(1)
    arn = "arn:aws:acm:us-east-1:123456789012:certificate/12345678-1234-1234-1234-123456789012"
    tls = Tls(certificates=(arn,), lowest="TLSv1.2", highest="TLSv1.3", ciphers=(), http2=True)
    certificate = Certificate(balancer=BALANCER, id=arn, names=("shop-1.us-east-1.elb.amazonaws.com",))
    failed = lab.apply(
        *(certificate, pool(1), members(1, one)),
        *(routing(forward(1), port=443, secure=True), front_end(443, tls=tls)),
    )
    assert failed == {}
    lab.wait_health(1, one, True)
    context = ssl.create_default_context(cafile=str(lab.state / "envoy" / "tls" / "authority.crt"))
    connection = lab.connect(443)
    connection.sock = context.wrap_socket(connection.sock, server_hostname=certificate.names[0])
    answer = lab.get("/", connection=connection)
    assert (answer.status, answer.body) == (200, "t1")
    assert one.seen[-1].headers["X-Forwarded-Proto"] == "https"
    assert one.seen[-1].headers["X-Forwarded-Port"] == "443"
    plain = lab.connect(443)
    with pytest.raises(ssl.SSLCertVerificationError):
        context.wrap_socket(plain.sock, server_hostname="other.test")
    plain.close()


@in_lab
def test_a_rejected_part_is_named_and_holds_up_nothing_else(lab: Lab) -> None:
    one = lab.target(1)
    assert lab.apply(pool(1), members(1, one), routing(forward(1)), front_end()) == {}
    lab.wait_health(1, one, True)
    other = msgspec.structs.replace(NODE, port="eni-0cc0000000000000c")
    elsewhere = BALANCER.replace("0123456789abcdef", "fedcba9876543210")
    bad = front_end(81, nodes=(other,), balancer=elsewhere)  # its namespace does not exist
    failed = lab.apply(front_end(), bad)
    assert list(failed) == list(lab.keys(bad))
    assert "netns" in failed[lab.keys(bad)[0]]
    assert lab.get("/").status == 200

    # A routing table that Envoy cannot take, beside a good change of another.
    (good,) = LOWERINGS[type(routing())](routing(forward(1, Match(on="path", values=("/only",)))))
    assert isinstance(good, EnvoyResource)
    broken = EnvoyResource(
        kind="scoped_route", name="bad", body=good.body.replace(b'"path":"/only"', b'"safe_regex":{"regex":"("}')
        .replace(b'0000aa-0bb0000000000000b', b'0000aa-0bb0000000000000c'), owner=BALANCER
    )  # fmt: skip
    failed = dict(lab.driver.apply([good, broken], []))
    assert list(failed) == [broken.key]
    assert lab.get("/only").status == 200
    assert lab.get("/").status == 404
    assert lab.apply(routing(forward(1))) == {}
    assert lab.get("/").status == 200


@in_lab
def test_a_new_agent_adopts_what_runs(lab: Lab) -> None:
    one = lab.target(1)
    lab.apply(pool(1), members(1, one), routing(forward(1)), front_end())
    lab.wait_health(1, one, True)
    pid = (lab.state / "envoy" / "envoy.pid").read_text()
    connection = lab.connect()
    assert lab.get(connection=connection).status == 200
    lab.restart_agent()
    assert lab.driver.observe(lab.plan) == lab.plan
    assert lab.get(connection=connection).status == 200
    lab.health.clear()
    lab.wait_health(1, one, True)
    gone = set(lab.plan)
    wanted = {key: item for key, item in lab.plan.items() if "listener" not in key}
    assert {key for key, item in lab.driver.observe(wanted).items() if item is None} == gone - set(wanted)
    two = lab.target(2)
    assert lab.apply(members(1, two)) == {}
    lab.wait_health(1, two, True)
    assert lab.get(connection=connection).body == "t2"
    assert (lab.state / "envoy" / "envoy.pid").read_text() == pid


@in_lab
def test_killed_processes_come_back(lab: Lab) -> None:
    one, two = lab.target(1), lab.target(2)
    lab.apply(pool(1), members(1, one), routing(forward(1)), front_end())
    lab.wait_health(1, one, True)
    folder = lab.state / "envoy"
    discovery = folder.joinpath("discovery.pid").read_text()
    os.kill(int(discovery.split()[0]), signal.SIGKILL)
    assert lab.get("/").status == 200, "requests do not need the discovery process"
    eventually(lambda: folder.joinpath("discovery.pid").read_text() not in (discovery, ""))
    lab.apply(members(1, two))
    lab.wait_health(1, two, True)
    eventually(lambda: lab.get("/").body == "t2")

    os.kill(int(folder.joinpath("envoy.pid").read_text().split()[0]), signal.SIGKILL)
    assert lab.woken.wait(60)
    assert lab.driver.observe(lab.plan) == {}
    assert lab.driver.apply(list(lab.plan.values()), []) == {}
    eventually(lambda: lab.get("/").body == "t2")


@in_lab
def test_removal_in_one_step_frees_the_namespace(lab: Lab) -> None:
    one = lab.target(1)
    lab.apply(pool(1), members(1, one), routing(forward(1)), front_end())
    lab.wait_health(1, one, True)
    assert lab.get("/").status == 200
    assert lab.driver.apply([], list(lab.plan)) == {}
    with pytest.raises(ConnectionRefusedError):
        lab.get("/")
    assert lab.driver.observe({}) == {}
    with NamespaceFiles().inside("b0123456789ab"):
        sockets = Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]
    listening = [line for line in sockets if line.split()[3] == "0A"]
    assert listening == []


def test_ids_used_here_are_what_the_laboratory_has() -> None:
    """A guard for the byte replacement above."""
    assert LISTENER.endswith("0000aa")
    assert NODE.port.endswith("0bb0000000000000b")
    assert str(NODE.address) == ADDRESS
