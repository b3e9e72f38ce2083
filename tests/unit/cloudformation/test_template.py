"""Template text to values: short forms, scalars, and clear errors."""

from __future__ import annotations

import pytest

from ecsnet.services.cloudformation.errors import ValidationError
from ecsnet.services.cloudformation.s3_url import Location, locate
from ecsnet.services.cloudformation.template import parse


def test_short_forms_become_functions() -> None:
    body = parse(
        "a: !Ref X\nb: !GetAtt R.Outputs.Y\nc: !Sub ['${z}', {z: !Ref Z}]\nd: !Condition C\ne: !GetAtt [R, Arn]"
    ).body
    assert body == {
        "a": {"Ref": "X"},
        "b": {"Fn::GetAtt": ["R", "Outputs.Y"]},
        "c": {"Fn::Sub": ["${z}", {"z": {"Ref": "Z"}}]},
        "d": {"Condition": "C"},
        "e": {"Fn::GetAtt": ["R", "Arn"]},
    }


def test_dates_and_base_60_stay_strings() -> None:
    assert parse("v: 2010-09-09\np: 22:22\nn: 80\nb: yes\nq: '80'").body == {
        "v": "2010-09-09",
        "p": "22:22",
        "n": 80,
        "b": True,
        "q": "80",
    }


def test_the_last_of_two_equal_keys_wins_with_a_warning() -> None:
    document = parse("a: 1\nb: 2\na: 3")
    assert document.body == {"a": 3, "b": 2}
    assert document.warnings == ("line 3: key 'a' is given twice; the last one counts",)
    assert parse('{"a": 1, "a": 2}').warnings == ("key 'a' is given twice; the last one counts",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1,\nb: c", r"YAML not well-formed\. \(line 3, column 1\)"),
        ('{"a": 1,}', r"JSON not well-formed\. \(line 1, column 9\)"),
        ("a: !Foo 1", "unknown short form !Foo at line 1"),
        ("a: &x 1\nb: *x", r"aliases are not allowed in CloudFormation templates \(line 1\)"),
        ("- a", "unsupported structure"),
        ("", "the template is empty"),
        ("a: 1\n---\nb: 2", "more than one document"),
        ("? [a]\n: b", r"a key must be a string \(line 1\)"),
        ("[" * 100_000, "nested deeper than 100 levels"),
        ("- " * 100_000, "nested deeper than 100 levels"),
        ('{"a":' * 100_000, "nested deeper than 100 levels"),
    ],
)
def test_malformed_templates_are_named(text: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        parse(text)


def test_a_template_has_a_size_limit() -> None:
    assert parse("a: " + "x" * 90, max_bytes=100).body
    with pytest.raises(ValidationError, match="may not exceed 100 bytes"):
        parse("a: " + "x" * 98, max_bytes=100)


@pytest.mark.parametrize(
    "url",
    [
        "https://s3.amazonaws.com/b/k/x.yml",
        "https://s3.eu-west-1.amazonaws.com/b/k/x.yml",
        "https://s3-eu-west-1.amazonaws.com/b/k/x.yml",
        "https://b.s3.amazonaws.com/k/x.yml",
        "https://b.s3.eu-west-1.amazonaws.com/k/x.yml",
        "http://localhost:4566/b/k/x.yml",
        "http://127.0.0.1:4566/b/k/x.yml",
        "s3://b/k/x.yml",
    ],
)
def test_template_urls(url: str) -> None:
    assert locate(url) == Location(bucket="b", key="k/x.yml")


@pytest.mark.parametrize("url", ["vpc.yml", "ftp://b/k", "https://s3.amazonaws.com/b", "https://ec2.amazonaws.com/b/k"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="not a supported S3 URL"):
        locate(url)
