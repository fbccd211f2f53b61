"""`resources=` and `max_memory=`: what a caller writes, over what a profile says."""

from __future__ import annotations

from typing import Any

import pytest

from localbox import InvalidArgumentException, PolicyError
from localbox.engine.resources import check_memory, cpus_of, parse_cpus, with_resources
from localbox.policy import load_profile

MIB = 1 << 20
DEFAULT = load_profile("default")


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ({"memory": "512MiB"}, "memory_bytes", 512 * MIB),
        ({"memory": "512MB"}, "memory_bytes", 512_000_000),
        ({"memory": 512 * MIB}, "memory_bytes", 512 * MIB),
        ({"pids": 64}, "pids", 64),
        ({"pids": "64"}, "pids", 64),
        ({"wall_time": "5m"}, "wall_time_s", 300.0),
        ({"wall_time": 2.5}, "wall_time_s", 2.5),
        ({"wall_time": None}, "wall_time_s", None),
        ({"cpu_time": "unlimited"}, "cpu_time_s", None),
        ({"output": "1KiB"}, "output_bytes", 1024),
    ],
)
def test_values_are_read_as_in_a_profile(given: dict[str, Any], field: str, value: object) -> None:
    resources = with_resources(DEFAULT, given).resources
    assert getattr(resources, field) == value


def test_what_is_not_given_stays_as_the_profile_has_it() -> None:
    strict = load_profile("strict")
    assert with_resources(strict, {}) == strict
    changed = with_resources(strict, {"pids": 32, "cpus": 1})
    assert changed.resources.pids == 32
    assert changed.resources.memory_bytes == strict.resources.memory_bytes
    assert changed.filesystem == strict.filesystem


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"memory_mb": 512}, r"resources\['memory_mb'\]: unknown key"),
        ({"cpu": 2}, r'unknown key; did you mean "cpus"\?'),
        ({"pids": 1.5}, r"resources\['pids'\]: expected a whole number, not '1.5'"),
        ({"pids": 1}, r"resources\['pids'\]: 1 processes is outside 4 to"),
        ({"memory": []}, r"resources\['memory'\]: expected a size"),
        ({"memory": True}, r"resources\['memory'\]: expected a size"),
        ({"cpu_time": 1.5}, r"resources\['cpu_time'\]: .* whole seconds"),
        ({"rlimits": [1]}, r"resources\['rlimits'\]: expected a list"),
        ({3: 4}, r"resources\['3'\]: unknown key"),
    ],
)
def test_errors_name_the_key(given: dict[Any, Any], complaint: str) -> None:
    with pytest.raises(PolicyError, match=complaint):
        with_resources(DEFAULT, given)


def test_resources_are_a_mapping() -> None:
    given: Any = ["memory"]
    with pytest.raises(InvalidArgumentException, match="must be a dict"):
        with_resources(DEFAULT, given)


def test_processors_are_numbers_in_any_form() -> None:
    assert [parse_cpus(value, "max_cpu") for value in ("1", 1, 0.5, "1.5")] == [1, 1, 0.5, 1.5]
    assert cpus_of({"cpus": "2"}) == 2
    assert cpus_of({"memory": "1GiB"}) is None


@pytest.mark.parametrize("value", [0, -1, "", "one", float("nan"), float("inf"), True, None, [1]])
def test_what_is_no_number_of_processors_is_refused(value: object) -> None:
    with pytest.raises(InvalidArgumentException, match="max_cpu must be a number of processors"):
        parse_cpus(value, "max_cpu")


def test_memory_is_text_or_bytes() -> None:
    assert check_memory(DEFAULT, "512MiB") == check_memory(DEFAULT, 512 * MIB) == 512 * MIB
    assert check_memory(DEFAULT, None) is None
    with pytest.raises(InvalidArgumentException, match='an int counts bytes, write "512MiB"'):
        check_memory(DEFAULT, 512)
    with pytest.raises(InvalidArgumentException, match=r"max_memory: .* is outside"):
        check_memory(DEFAULT, "1MiB")
