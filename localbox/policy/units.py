"""Sizes and times as people write them: `512MiB`, `1GB`, `30s`, `5m`."""

from __future__ import annotations

import re

# Both families mean what they say: MB is 10^6 (as disks are sold), MiB is 2^20 (as memory is).
# Lower case and a missing final B are accepted, because `512m` is how Docker has it;
# a bare letter is binary there, so it is binary here.
_SIZE_UNITS: dict[str, int] = {
    "": 1,
    "b": 1,
    **{f"{letter}b": 1000**power for power, letter in enumerate("kmgt", 1)},
    **{f"{letter}ib": 1024**power for power, letter in enumerate("kmgt", 1)},
    **{letter: 1024**power for power, letter in enumerate("kmgt", 1)},
}
_TIME_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
# ASCII only: str.isdigit and \d take digits of other scripts, which nobody means here.
# At most 18 digits, so that no value leaves 64 bits and none costs quadratic time to convert.
_QUANTITY = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,9}))? ?([a-zA-Z]*)")

MAX_BYTES = 2**62  # still positive wherever the kernel keeps a signed 64-bit count


def parse_size(text: str) -> int:
    """Turn `512MiB`, `1.5GB` or a plain number of bytes into bytes.

    Raises:
        ValueError: it is no size, or not a whole number of bytes.
    """
    whole, fraction, unit = _split(text, "a size such as 512MiB, 1GB or a number of bytes")
    factor = _SIZE_UNITS.get(unit.lower())
    if factor is None:
        raise ValueError(f"{unit!r} is no unit of size; use KiB, MiB, GiB, TiB, KB, MB, GB or TB")
    size = int(whole) * factor
    if fraction:
        part, rest = divmod(int(fraction) * factor, int(10 ** len(fraction)))
        if rest and factor == 1:
            raise ValueError(f"{text!r} is not a whole number of bytes")
        size += part
    if size > MAX_BYTES:
        raise ValueError(f"{text!r} is more than any machine has")
    return size


def parse_time(text: str) -> float:
    """Turn `30s`, `5m`, `1.5h` or a plain number of seconds into seconds.

    Raises:
        ValueError: it is no time.
    """
    whole, fraction, unit = _split(text, "a time such as 30s, 5m, 1h or a number of seconds")
    # Unlike sizes, the case counts: `5M` could be minutes or months, so it is neither.
    factor = _TIME_UNITS.get(unit)
    if factor is None:
        raise ValueError(f"{unit!r} is no unit of time; use ms, s, m, h or d")
    return float(f"{whole}.{fraction or 0}") * factor


def _split(text: str, wanted: str) -> tuple[str, str | None, str]:
    match = _QUANTITY.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"expected {wanted}, not {text!r}")
    return match[1], match[2], match[3]
