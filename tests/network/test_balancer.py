"""The proxy with real packets: which rule decides, what targets see, what the balancer itself answers."""

from __future__ import annotations

import socket
import threading
from ipaddress import IPv4Address

import msgspec
import pytest
from balancer_lab import (
    ADDRESS,
    CLIENT,
    NETNS,
    NODE,
    Lab,
    Target,
    forward,
    front_end,
    in_lab,
    members,
    pool,
    routing,
    rule,
    share,
)
from sandbox import command

from ecsnet.agent.namespaces import NamespaceFiles
from ecsnet.logical.balancer import Forward, Match, Redirect, Respond

pytestmark = pytest.mark.network


@in_lab
def test_two_targets_answer_in_turn(lab: Lab) -> None:
    one, two = lab.target(1), lab.target(2)
    assert lab.apply(pool(1), members(1, one, two), routing(forward(1)), front_end()) == {}
    lab.wait_health(1, one, True)
    lab.wait_health(1, two, True)
    answers = [lab.get("/hello?x=1") for _ in range(10)]
    assert {answer.status for answer in answers} == {200}
    assert sorted(answer.body for answer in answers) == ["t1"] * 5 + ["t2"] * 5
    assert {seen.path for seen in one.seen} == {"/hello?x=1"}


@in_lab
def test_each_kind_of_condition_both_ways(lab: Lab) -> None:
    one, two = lab.target(1), lab.target(2)
    lab.apply(pool(1), pool(2), members(1, one), members(2, two), routing(forward(2)), front_end())
    lab.wait_health(1, one, True)
    lab.wait_health(2, two, True)

    def decides(match: Match) -> None:
        assert lab.apply(routing(forward(1, match), forward(2))) == {}

    def goes_to_first(path: str = "/", host: str | None = None, method: str = "GET", **headers: str) -> bool:
        answer = lab.get(path, host=host, method=method, headers=headers)
        assert answer.status == 200, answer
        return answer.body == "t1"

    decides(Match(on="path", values=("/img/*",)))
    assert goes_to_first("/img/picture.jpg")
    assert goes_to_first("/img/?a=/b")
    assert not goes_to_first("/IMG/picture.jpg")
    assert not goes_to_first("/other?/img/x")
    decides(Match(on="path", values=("/exact",)))
    assert goes_to_first("/exact?q")
    assert not goes_to_first("/exact/more")
    decides(Match(on="path", values=("/a?c/*/end", "/b.c")))
    assert goes_to_first("/abc/x/y/end")
    assert not goes_to_first("/ac/x/end")
    assert goes_to_first("/b.c")
    assert not goes_to_first("/bxc")
    decides(Match(on="host", values=("*.example.com", "a.test")))
    assert goes_to_first(host="Shop.EXAMPLE.com")
    assert goes_to_first(host="a.test:8080")
    assert not goes_to_first(host="example.com")
    assert not goes_to_first(host="shop.exampleXcom")
    decides(Match(on="header", header="User-Agent", values=("*Chrome*", "curl/?.1")))
    assert goes_to_first(**{"User-Agent": "Mozilla chrome 1"})
    assert goes_to_first(**{"User-Agent": "curl/8.1"})
    assert not goes_to_first(**{"User-Agent": "curl/81"})
    assert not goes_to_first()
    decides(Match(on="method", values=("PURGE",)))
    assert goes_to_first(method="PURGE")
    assert not goes_to_first(method="GET")
    decides(Match(on="query", pairs=(("version", "v1"), (None, "*any*"))))
    assert goes_to_first("/?version=V1")
    assert goes_to_first("/p?a=b&VERSION=v1&c=d")
    assert goes_to_first("/?x=ManyMore")
    assert not goes_to_first("/?version=v12")
    assert not goes_to_first("/?xversion=v1")
    assert not goes_to_first("/version=v1")
    decides(Match(on="query", pairs=(("star", r"\*"),)))
    assert goes_to_first("/?star=*")
    assert not goes_to_first("/?star=a")
    decides(Match(on="source", values=("192.0.2.0/24", f"{CLIENT}/32")))
    assert goes_to_first()
    decides(Match(on="source", values=("192.0.2.0/24",)))
    assert not goes_to_first(**{"X-Forwarded-For": "192.0.2.1"})
    both = (Match(on="path", values=("/p",)), Match(on="method", values=("POST",)))
    assert lab.apply(routing(forward(1, *both), forward(2))) == {}
    assert goes_to_first("/p", method="POST")
    assert not goes_to_first("/p")
    assert not goes_to_first("/q", method="POST")


@in_lab
def test_a_changed_rule_is_used_by_an_open_connection(lab: Lab) -> None:
    one, two = lab.target(1), lab.target(2)
    lab.apply(pool(1), pool(2), members(1, one), members(2, two), routing(forward(1)), front_end())
    lab.wait_health(1, one, True)
    lab.wait_health(2, two, True)
    connection = lab.connect()
    first = lab.get(connection=connection)
    assert (first.body, first.headers.get("connection")) == ("t1", None)
    assert lab.apply(routing(forward(2))) == {}
    second = lab.get(connection=connection)
    assert (second.body, second.headers.get("connection")) == ("t2", None)


@in_lab
def test_a_client_cannot_choose_the_routes_of_another_listener(lab: Lab) -> None:
    other = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/shop/0123456789abcdef/00000000000000bb"
    private = rule(Respond(status=200, content_type="text/plain", body="private"))
    public = rule(Respond(status=200, content_type="text/plain", body="public"))
    assert lab.apply(routing(public), front_end()) == {}
    assert lab.apply(routing(private, front_end=other), front_end(8081, id=other)) == {}
    scope = lab.keys(front_end(8081, id=other))[0].rpartition("/")[2]
    assert lab.get(port=8081).body == "private"
    assert lab.get(headers={"x-ecsnet-lb": scope}).body == "public"


@in_lab
def test_weights_split_and_zero_gets_nothing(lab: Lab) -> None:
    targets = [lab.target(number) for number in (1, 2, 3)]
    pools = [item for number in (1, 2, 3) for item in (pool(number), members(number, targets[number - 1]))]
    split = Forward(shares=(share(1, 300), share(2, 100), share(3, 0)))
    assert lab.apply(*pools, routing(rule(split)), front_end()) == {}
    for number in (1, 2, 3):
        lab.wait_health(number, targets[number - 1], True)
    connection = lab.connect()
    bodies = [lab.get(connection=connection).body for _ in range(400)]
    assert 240 <= bodies.count("t1") <= 360
    assert bodies.count("t1") + bodies.count("t2") == 400


@in_lab
def test_fixed_response_and_redirect(lab: Lab) -> None:
    fixed = rule(Respond(status=503, content_type="application/json", body='{"a": "100%"}'), _path("/fixed"))
    empty = rule(Respond(status=204, content_type=None, body=""), _path("/empty"))
    moved = Redirect(status=301, protocol="HTTPS", host="#{host}", port="443", path="/#{path}", query="#{query}")
    composed = Redirect(
        status=302,
        protocol="#{protocol}",
        host="www.#{host}",
        port="#{port}",
        path="/new/#{path}/x",
        query="q=#{query}&h=#{host}&p=#{protocol}",
    )
    rules = (fixed, empty, rule(composed, _path("/old/*")), rule(moved))
    assert lab.apply(routing(*rules), front_end()) == {}
    answer = lab.get("/fixed")
    assert (answer.status, answer.body) == (503, '{"a": "100%"}')
    assert (answer.headers["content-type"], answer.headers["server"]) == ("application/json", "awselb/2.0")
    assert lab.get("/empty").status == 204
    answer = lab.get("/some/where?a=1&b=2", host="shop.test:80")
    assert (answer.status, answer.headers["location"]) == (301, "https://shop.test:443/some/where?a=1&b=2")
    assert (answer.headers["server"], answer.headers["content-length"]) == ("awselb/2.0", "134")
    answer = lab.get("/old/thing?k=v", host="shop.test")
    assert answer.status == 302
    assert answer.headers["location"] == "http://www.shop.test:80/new/old/thing/x?q=k=v&h=shop.test&p=http"
    assert lab.get("/", host="shop.test").headers["location"] == "https://shop.test:443/"
    assert lab.get("/fixed", method="TRACE").status == 405


def _path(value: str) -> Match:
    return Match(on="path", values=(value,))


@in_lab
def test_what_targets_see(lab: Lab) -> None:
    one = lab.target(1)
    lab.apply(pool(1), members(1, one), routing(forward(1)), front_end())
    lab.wait_health(1, one, True)
    lab.get("/", host="Shop.Test:80", headers={"X-Forwarded-For": "127.0.0.4", "X-My-HEADER": "a", "x-ecsnet-lb": "b"})
    seen = one.seen[-1]
    assert seen.peer == ADDRESS
    names = {name.lower(): value for name, value in seen.headers.items()}
    assert names["x-forwarded-for"].replace(" ", "") == f"127.0.0.4,{CLIENT}"
    assert (names["x-forwarded-proto"], names["x-forwarded-port"]) == ("http", "80")
    assert names["host"] == "Shop.Test"
    assert {"X-Forwarded-For", "X-Forwarded-Proto", "X-My-HEADER"} <= set(seen.headers)
    assert not [name for name in names if "envoy" in name or "ecsnet" in name]
    lab.get("/")
    assert one.seen[-1].headers["X-Forwarded-For"] == CLIENT

    for mode, given, expected in (
        ("preserve", "127.0.0.4", "127.0.0.4"),
        ("preserve", None, None),
        ("remove", "127.0.0.4", None),
    ):
        lab.apply(routing(forward(1), forwarded_for=mode), front_end(forwarded_for=mode))
        lab.get("/", headers={"X-Forwarded-For": given} if given else None)
        assert one.seen[-1].headers.get("X-Forwarded-For") == expected
    lab.apply(routing(forward(1), forwarded_for="append-with-port"), front_end(forwarded_for="append-with-port"))
    lab.get("/")
    address, _, port = one.seen[-1].headers["X-Forwarded-For"].partition(":")
    assert address == CLIENT
    assert 1024 < int(port) < 65536
    lab.apply(routing(forward(1)), front_end(preserve_host=True))
    lab.get("/", host="shop.test:80")
    assert one.seen[-1].headers["Host"] == "shop.test:80"


@in_lab
def test_own_answers(lab: Lab) -> None:
    """503 for an empty group, 502 when the target refuses or breaks, 504 when it does not answer."""
    one = lab.target(1)
    lab.apply(pool(1), members(1), routing(forward(1)), front_end())
    answer = lab.get("/")
    assert (answer.status, len(answer.body)) == (503, 162)
    assert (answer.headers["server"], answer.headers["content-type"]) == ("awselb/2.0", "text/html")
    assert "<h1>503 Service Temporarily Unavailable</h1>\r\n" not in answer.body
    assert "<center><h1>503 Service Temporarily Unavailable</h1></center>\r\n" in answer.body

    lab.apply(members(1, one, port=9))  # nothing listens there: refused
    answer = lab.get("/")
    assert (answer.status, len(answer.body)) == (502, 122)

    lab.apply(members(1, one))
    lab.wait_health(1, one, True)
    assert lab.get("/").status == 200
    lab.apply(front_end(idle_seconds=1))
    one.delay.clear()
    answer = lab.get("/slow")
    one.delay.set()
    lab.apply(front_end())
    assert (answer.status, len(answer.body), answer.headers["server"]) == (504, 132, "awselb/2.0")

    one.status = 503
    answer = lab.get("/")
    assert (answer.status, answer.body) == (503, "t1")
    assert answer.headers["server"].startswith("BaseHTTP")


@in_lab
def test_an_upgraded_connection_is_a_pipe_that_outlives_a_rule_change(lab: Lab) -> None:
    """WebSockets: after 101 the bytes pass both ways, and changing the rule does not cut the connection."""
    lab.host("ws", "10.0.2.50")
    ready = threading.Event()

    def echo() -> None:
        with NamespaceFiles().inside("ws"):
            server = socket.create_server(("10.0.2.50", 8080))
        ready.set()
        while True:
            connection, _peer = server.accept()
            head = connection.recv(65536)
            if b"upgrade" not in head.lower():
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                connection.close()
                continue
            connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            while data := connection.recv(100):
                connection.sendall(data[::-1])

    threading.Thread(target=echo, daemon=True).start()
    assert ready.wait(60)
    target = Target(name="ws", address="10.0.2.50")
    lab.apply(pool(1), members(1, target), routing(forward(1)), front_end())
    lab.wait_health(1, target, True)
    client = lab.connect().sock
    client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert client.recv(65536).startswith(b"HTTP/1.1 101 ")
    client.sendall(b"abc")
    assert client.recv(100) == b"cba"
    assert lab.apply(routing(rule(Respond(status=200, content_type=None, body="")))) == {}
    client.sendall(b"def")
    assert client.recv(100) == b"fed"


@in_lab
def test_two_nodes_use_their_own_addresses_and_their_own_members(lab: Lab) -> None:
    """Each node listens on, dials from and probes from its own address; without cross-zone it keeps to its members."""
    one, two = lab.target(1), lab.target(2)
    second = "10.0.1.6"
    command("ip", "-n", NETNS, "address", "add", f"{second}/32", "dev", "eth0")
    command("ip", "-n", "rt", "route", "add", f"{second}/32", "dev", "e0")
    other = msgspec.structs.replace(NODE, port="eni-0cc0000000000000c", address=IPv4Address(second))
    nodes = (NODE, other)
    lab.apply(
        *(pool(1, nodes=nodes), members(1, one), msgspec.structs.replace(members(1, two), node=other)),
        *(routing(forward(1), nodes=nodes), front_end(nodes=nodes)),
    )
    lab.wait_health(1, one, True)
    lab.wait_health(1, two, True)
    assert {lab.get("/").body for _ in range(6)} == {"t1"}
    assert {lab.get("/", address=second).body for _ in range(6)} == {"t2"}
    assert {seen.peer for seen in [*one.seen, *one.probes]} == {ADDRESS}
    assert {seen.peer for seen in [*two.seen, *two.probes]} == {second}
    lab.apply(msgspec.structs.replace(members(1), node=other))
    assert lab.get("/", address=second).status == 503
    assert lab.get("/").status == 200
