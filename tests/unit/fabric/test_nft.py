"""Rule text builders: what they write, and what they refuse."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_network

import pytest

from ecsnet.fabric.kernel import nft


@pytest.mark.parametrize(
    ("network", "text"),
    [
        ("10.0.0.0/16", "ip saddr 10.0.0.0/16"),
        ("10.0.0.5/32", "ip saddr 10.0.0.5"),
        ("0.0.0.0/0", "meta nfproto ipv4"),
        ("2600:1f00::/24", "ip6 saddr 2600:1f00::/24"),
        ("::/0", "meta nfproto ipv6"),
    ],
)
def test_a_network_always_says_which_ip_version_it_means(network: str, text: str) -> None:
    assert nft.network("saddr", ip_network(network)) == text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((None, None, None), ""),
        ((6, None, None), "meta l4proto 6"),
        ((6, (80, 80), None), "tcp dport 80"),
        ((17, (53, 60), None), "udp dport 53-60"),
        ((1, None, (8, 0)), "icmp type 8 icmp code 0"),
        ((58, None, (128, None)), "icmpv6 type 128"),
        ((50, None, None), "meta l4proto 50"),
    ],
)
def test_protocols(
    arguments: tuple[int | None, tuple[int, int] | None, tuple[int, int | None] | None], text: str
) -> None:
    assert nft.protocol(*arguments) == text


@pytest.mark.parametrize(
    "arguments",
    [(6, (90, 80), None), (6, (0, 65536), None), (1, None, (256, 0)), (1, None, (8, 300)), (256, None, None)],
)
def test_numbers_out_of_range_are_refused(
    arguments: tuple[int | None, tuple[int, int] | None, tuple[int, int | None] | None],
) -> None:
    with pytest.raises(ValueError, match="not a"):
        nft.protocol(*arguments)


@pytest.mark.parametrize("text", ["accept; drop", "accept\ndrop", "accept # x", "accept $(id)", "äccept", ""])
def test_a_rule_with_other_characters_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an nft rule"):
        nft.rule(text)


@pytest.mark.parametrize("comment", ['x"', "x" * 129, "x;y"])
def test_a_comment_that_nft_would_not_take_is_refused(comment: str) -> None:
    with pytest.raises(ValueError, match="comment"):
        nft.rule("accept", comment=comment)


@pytest.mark.parametrize("name", ["1a", "A", "a-b", "a b", ""])
def test_names_are_generated_ones(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        nft.name(name)


def test_a_log_prefix_is_short_enough_for_the_kernel() -> None:
    assert nft.deny("x" * 125).startswith('log prefix "D xxx')
    with pytest.raises(ValueError, match="too long"):
        nft.deny("x" * 126)


def test_elements_are_written_as_nft_prints_them() -> None:
    assert (
        nft.concat(nft.link("e1"), "02:00:00:00:00:01", IPv4Address("10.0.0.1"))
        == '"e1" . 02:00:00:00:00:01 . 10.0.0.1'
    )
    assert nft.mark(7) == "0x00000007"


def test_a_chain_knows_the_sets_and_chains_that_it_names() -> None:
    table = nft.Table("r1", "inet", "ecs")
    chain = table.chain(
        "c_one", nft.rule("ip saddr @m4_a jump c_two"), nft.rule("oifname vmap @gate"), nft.rule("goto c_three")
    )
    assert chain.uses_sets == ("gate", "m4_a")
    assert chain.uses_chains == ("c_three", "c_two")
    assert chain.needs == (
        "nft-table:r1/ecs",
        "nft-set:r1/ecs/gate",
        "nft-set:r1/ecs/m4_a",
        "nft-chain:r1/ecs/c_three",
        "nft-chain:r1/ecs/c_two",
    )
