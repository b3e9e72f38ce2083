"""Walks of single packets through a lab, as the kernel tells them (nft's trace), and as documents.

```python
hops = walk(lab, "icmp type echo-request", lambda: lab.net.ping(one.netns, other.address))
assert [(hop.owner, hop.end) for hop in hops] == [(vpc_one, "accept"), (vpc_two, "accept")]
check("peering", intro, {"The request": hops})          # compares docs/walks/peering.md
```

A hop is one passage through one namespace that forwards (router, gateway). Passages are ordered by TTL, which every
one of them decrements, so that nothing depends on when which listener was read. `check` rewrites the document when
ECSNET_UPDATE_GOLDEN is set.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address
from pathlib import Path

import pytest
from vpc_lab import Lab

from ecsnet.hostplan.kernel import Namespace
from ecsnet.testing.world import TestWorld, wait_until

DOCUMENTS = Path(__file__).parents[2] / "docs" / "walks"

_SENTINEL_PORT = 9
"""A datagram from a namespace to itself at this port is traced too: what was traced before it has been read.

Each has an address of its own, because several may be on their way before the first is read."""

_SENTINEL = re.compile(rf"ip daddr (127\.\S+) .*udp dport {_SENTINEL_PORT} ")

_LINE = re.compile(
    r"trace id (?P<id>\w+) \w+ (?P<table>\w+) (?P<chain>\w+) "
    r"(?:packet: (?P<packet>.*)|rule (?P<rule>.*) \(verdict (?P<verdict>[^)]*)\)|policy (?P<policy>\w+).*)"
)

_MEANING: Mapping[str, str] = {
    "pre_raw": "anti-spoofing; the packet's mark becomes its source subnet, 0 from outside",
    "pcx_apart": "tracked apart from other peers of the same addresses",
    "pcx_guard": "between the two peered networks?",
    "border": "destination check; network ACLs at the subnet's border",
    "gate_e": "the sender's security groups",
    "gate_i": "the receiver's security groups",
    "igw_raw": "has the sender a public address?",
    "igw_dnat": "public to private address",
    "igw_fwd": "between VPC and internet",
    "igw_snat": "private to public address",
    "igw6_fwd": "is the VPC's end one of its own addresses?",
    "eigw_fwd": "begun from inside?",
    "nat_fwd": "from the gateway's own VPC?",
    "nat_post": "to the gateway's own address",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One rule (or a base chain's policy) that said something about the packet."""

    chain: str
    by: str
    """The rule's comment, which is an AWS id, or its log prefix; empty for rules of the skeleton."""
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One passage through a namespace."""

    netns: str
    owner: str
    """The AWS id for which the namespace exists."""
    came: str
    goes: str
    """Links; `goes` is empty when the packet was not forwarded."""
    ttl: int
    steps: tuple[Step, ...]

    @property
    def end(self) -> str:
        """ "accept", or the log prefix under which the packet was dropped."""
        last = self.steps[-1]
        return (last.by or last.verdict) if last.verdict == "drop" else "accept"


@dataclass
class _Passage:
    """A hop while its lines come in."""

    came: str = ""
    goes: str = ""
    ttl: int = 0
    steps: list[Step] = field(default_factory=list)


def walk(lab: Lab, match: str, send: Callable[[], object]) -> list[Hop]:
    """What became of the first packet that `match` (nft's words, for example "tcp dport 80") describes.

    `send` causes it. Namespaces that forward are those of routers and gateways.
    """
    forwarding = ("r", "g", "x", "n")
    owners = {
        item.name: item.owner for item in lab.plan() if isinstance(item, Namespace) and item.name.startswith(forwarding)
    }
    with ExitStack() as stack:
        listeners = [stack.enter_context(_listening(lab.net, netns, match)) for netns in owners]
        send()
        for listener in listeners:
            listener.read_up_to_now()
    first: dict[int, Hop] = {}
    for listener in listeners:
        for passage in listener.passages():
            hop = Hop(
                netns=listener.netns,
                owner=owners[listener.netns],
                came=passage.came,
                goes=passage.goes,
                ttl=passage.ttl,
                steps=tuple(passage.steps),
            )
            first.setdefault(hop.ttl, hop)
    return [first[ttl] for ttl in sorted(first, reverse=True)]


class _Listener:
    """`nft monitor trace` in one namespace."""

    def __init__(self, net: TestWorld, netns: str, process: subprocess.Popen[str]) -> None:
        self.netns = netns
        self._net = net
        self._process = process
        self._lines: list[str] = []
        self._sent = int(IPv4Address("127.0.0.1"))
        self._latest = 0
        """The greatest address of a sentinel that has been read."""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if not line.endswith("\n"):
                return  # nft was ended in the middle of a sentinel
            self._lines.append(line)
            sentinel = _SENTINEL.search(line)
            if sentinel:
                self._latest = max(self._latest, int(ip_address(sentinel[1])))

    def read_up_to_now(self) -> None:
        """Return when everything that was traced until now has been read."""
        first = self._sent + 1

        def seen() -> bool:
            self._sent += 1
            self._net.udp(self.netns, str(IPv4Address(self._sent)), _SENTINEL_PORT, timeout=0.01)
            return self._latest >= first

        wait_until(seen, 60.0, f"nft monitor trace says nothing in {self.netns}")

    def passages(self) -> Iterator[_Passage]:
        found: dict[str, _Passage] = {}
        for line in self._lines:
            read = _LINE.match(line)
            if read is None:
                continue
            passage = found.setdefault(read["id"], _Passage())
            if read["packet"] is not None:
                _note_packet(passage, read["packet"])
            elif read["table"] != "walk":
                verdict = read["policy"] or read["verdict"]
                passage.steps.append(Step(chain=read["chain"], by=_by(read["rule"] or ""), verdict=verdict))
        walked = [passage for passage in found.values() if passage.came != "lo"]  # "lo": the sentinels
        assert all(passage.steps for passage in walked), (
            f"a trace without rules in {self.netns}:\n{''.join(self._lines)}"
        )
        return iter(walked)


def _note_packet(passage: _Passage, text: str) -> None:
    links = re.match(r'(?:iif "(\w+)" )?(?:oif "(\w+)" )?', text)
    ttl = re.search(r"ip ttl (\d+)|ip6 hoplimit (\d+)", text)
    assert links is not None
    passage.came = passage.came or links[1] or ""
    passage.goes = links[2] or passage.goes
    if ttl is not None and not passage.ttl:
        passage.ttl = int(ttl[1] or ttl[2])


def _by(rule: str) -> str:
    prefix = re.search(r'log prefix "(D [^"]*)"', rule)
    comment = re.search(r'comment "([^"]*)"', rule)
    return prefix[1] if prefix else comment[1] if comment else ""


@contextmanager
def _listening(net: TestWorld, netns: str, match: str) -> Iterator[_Listener]:
    """Trace what matches while the context lasts, from a table of our own in front of everything."""
    rules = (
        "add table inet walk; add chain inet walk walk_pre { type filter hook prerouting priority -310; }; "
        f"add rule inet walk walk_pre {match} meta nftrace set 1; "
        f'add rule inet walk walk_pre iifname "lo" udp dport {_SENTINEL_PORT} meta nftrace set 1'
    )
    done = net.run(netns, "nft", rules)
    assert done.returncode == 0, done.stderr
    inside = ["nsenter", f"--net=/run/netns/{netns}", "--", "nft", "monitor", "trace"]
    process = subprocess.Popen(net.world.enter_command(inside), stdout=subprocess.PIPE, text=True)
    try:
        listener = _Listener(net, netns, process)
        listener.read_up_to_now()
        yield listener
    finally:
        process.kill()
        process.wait()
        net.run(netns, "nft", "delete table inet walk")


# ── documents ────────────────────────────────────────────────────────────────────────────────────────────────────────


def table(hops: Sequence[Hop]) -> str:
    """The hops as Markdown: what each base chain asked, and which rules answered."""
    lines: list[str] = []
    for number, hop in enumerate(hops, start=1):
        way = f"`{hop.came}` → `{hop.goes}`" if hop.goes else f"`{hop.came}`"
        lines += [f"{number}. `{hop.netns}` of {hop.owner}, {way}", ""]
        lines += ["   | chain | rule | verdict |", "   |---|---|---|"]
        lines += [f"   | {_chain(step.chain)} | {step.by} | {step.verdict} |" for step in hop.steps]
        lines.append("")
    lines.append(f"End: {hops[-1].end if hops[-1].end != 'accept' else 'delivered'}.")
    return "\n".join(lines)


def _chain(name: str) -> str:
    return f"{name}: {_MEANING[name]}" if name in _MEANING else name


def check(name: str, introduction: str, walks: Mapping[str, Sequence[Hop]]) -> None:
    """Compare docs/walks/<name>.md with what was just seen."""
    parts = [introduction.strip(), *(f"## {title}\n\n{table(hops)}" for title, hops in walks.items())]
    text = "\n\n".join(parts) + "\n"
    path = DOCUMENTS / f"{name}.md"
    if os.environ.get("ECSNET_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    if not path.exists() or path.read_text() != text:
        pytest.fail(f"{path} does not tell what was seen; ECSNET_UPDATE_GOLDEN=1 rewrites it:\n{text}")
