"""Sizes and times as people write them."""

from __future__ import annotations

import random

import pytest

from localbox.policy.units import parse_size, parse_time


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1024", 1024),
        ("512MiB", 512 << 20),
        ("1GB", 10**9),
        ("1GiB", 1 << 30),
        ("1.5GiB", 3 << 29),
        ("0.1GB", 10**8),
        ("64 KiB", 64 << 10),
        ("8m", 8 << 20),
        ("2T", 2 << 40),
        ("100b", 100),
    ],
)
def test_a_size_is_what_it_says(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("5min", 300),
        ("1.5h", 5400),
        ("250ms", 0.25),
        ("7", 7),
        ("2d", 172800),
    ],
)
def test_a_time_is_what_it_says(text: str, seconds: float) -> None:
    assert parse_time(text) == pytest.approx(seconds)


BAD = ["", " ", "-1", "+1", "1e3", "MiB", "1,5GB", "1_000", "0x10", "nan", "inf", "1 2", "٣",
       "1GB1", "1.GB", ".5GB", "9" * 19, "\0", "1GB\n1"]  # fmt: skip


@pytest.mark.parametrize("text", [*BAD, "10%", "5 parsecs", "1.5", "1.5b", "9999999TiB", "8MiBs"])
def test_what_is_no_size_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        parse_size(text)


@pytest.mark.parametrize("text", [*BAD, "5M", "3 weeks", "1h30m", "10S"])
def test_what_is_no_time_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        parse_time(text)


def test_the_error_says_what_would_be_right() -> None:
    with pytest.raises(ValueError, match="MiB"):
        parse_size("5 megs")
    with pytest.raises(ValueError, match="30s"):
        parse_time("soon")


def test_no_text_raises_anything_but_value_error() -> None:
    dice = random.Random(1)
    for _ in range(3000):
        text = "".join(dice.choices("0123456789.kKmMgGtTiIbBsh- e\0", k=dice.randint(0, 12)))
        for parse in (parse_size, parse_time):
            try:
                value = parse(text)
            except ValueError:
                continue
            assert value >= 0
