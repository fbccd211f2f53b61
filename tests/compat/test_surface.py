"""All of E2B's surface against localbox's: what is here is compatible, what is not is listed.

The item `Sandbox.kill` is compatible if both of its forms, `sandbox.kill()` and `Sandbox.kill(id)`,
are: parameters with kinds and defaults, return type, and whether it is awaited.
"""

from __future__ import annotations

from fnmatch import fnmatch

import pytest

from tests.compat import surface

# What no program in this process has a use for: E2B's way to its servers.
NOT_HERE = {
    "ApiClient": "the HTTP client of E2B's servers",
    "ApiClient.*": "the HTTP client of E2B's servers",
}
# Compatible for whoever uses them as documented, but not equal.
DIFFERENT = {
    "Sandbox.__init__": "makes a sandbox, as before E2B 1.0; E2B's is deprecated",
    "AsyncSandbox.__init__": "E2B's is deprecated and takes its parts",
    "*Sandbox.files.__init__": "reached through a sandbox only",
    "*Sandbox.commands.__init__": "reached through a sandbox only",
    "*Sandbox.pty.__init__": "reached through a sandbox only",
    "*CommandHandle.__init__": "made by commands.run only",
    "*CommandInputHandle.__init__": "made by stream_input only",
    "*WatchHandle.__init__": "made by watch_dir only",
    "*Params.proxy": "Any: its type would need httpx",
    "ProxyTypes": "Any: its types are httpx's",
    "McpServer": "any dictionary: E2B's lists the servers of its gateway",
    "SandboxNetworkTransformContext.iam": "the class of its value has a private name in E2B",
}
# The same, in the interpreter's package alone.
DIFFERENT_IN_INTERPRETER = {
    "*Sandbox.default_template": "E2B's base; the interpreter's loads more, if asked for",
    "OutputHandler": "says what a handler returns",
    "Result.*": "says what is in a dictionary",
}
PACKAGES = {
    "e2b": {**NOT_HERE, **DIFFERENT},
    "e2b_code_interpreter": {**NOT_HERE, **DIFFERENT, **DIFFERENT_IN_INTERPRETER},
}
# Parameters of ours, all keyword-only.
OWN_KEYWORDS: dict[str, set[str]] = {
    "Sandbox.create": {"profile", "resources"},
    "AsyncSandbox.create": {"profile", "resources"},
    "Execution.__init__": {"truncated"},
    "Sandbox.fork": {"mode"},
    "AsyncSandbox.fork": {"mode"},
    "Template.build": {"profile"},
    "AsyncTemplate.build": {"profile"},
    "Template.build_in_background": {"profile"},
    "AsyncTemplate.build_in_background": {"profile"},
}
# What is still to be made; `python -m tests.compat.surface` says what of it is wrong.
NOT_YET: set[str] = set()


def listed(name: str, table: dict[str, str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in table)


@pytest.fixture(params=PACKAGES)
def package(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def gaps(package: str) -> dict[str, str]:
    return surface.gaps(*surface.both(package))


def test_every_item_of_e2b_is_here_and_compatible(package: str, gaps: dict[str, str]):
    wrong = {name: why for name, why in gaps.items() if not listed(name, PACKAGES[package])}
    assert {name: why for name, why in wrong.items() if name not in NOT_YET} == {}


def test_what_is_here_now_is_no_longer_listed_as_missing(gaps: dict[str, str]):
    assert NOT_YET - set(gaps) == set()


def test_every_exception_to_the_rule_is_still_one(package: str, gaps: dict[str, str]):
    for pattern in PACKAGES[package]:
        assert any(fnmatch(name, pattern) for name in gaps), pattern


def test_the_count_is_the_whole_surface():
    theirs, ours = surface.both()
    gaps = surface.gaps(theirs, ours)
    here = len(theirs) - len(gaps)
    absent = [name for name in theirs if listed(name, NOT_HERE)]
    different = [name for name in gaps if listed(name, DIFFERENT)]
    print(
        f"{here} of {len(theirs)} items of E2B's are here and compatible, "
        f"{len(different)} differ, {len(NOT_YET)} are missing, {len(absent)} are E2B's HTTP client"
    )
    # E2B's surface as this test walks it; a walk that loses items must not pass for success.
    assert len(theirs) >= 796
    assert len(absent) == 13
    assert here + len(different) + len(NOT_YET) + len(absent) == len(theirs)


def test_own_parameters_are_the_known_ones():
    found = surface.own_keywords(*surface.both("e2b_code_interpreter"))
    own = {name: names for name, names in found.items() if not listed(name, DIFFERENT)}
    assert own == OWN_KEYWORDS


def test_a_shorter_signature_would_be_noticed():
    package = surface.Package.load("localbox")

    def theirs(self, a, b=1, **opts): ...
    def ours(self, a, *, b=1, profile=None, **opts): ...
    def same(self, a, b=1, *, profile=None, **opts): ...

    expected, shorter, longer = (
        surface.call_shape(package, function, bound=True) for function in (theirs, ours, same)
    )
    assert surface.differences(expected, shorter) != []
    assert surface.differences(expected, longer) == []


def test_own_keywords_need_a_default():
    package = surface.Package.load("localbox")

    def theirs(self, a, **opts): ...
    def ours(self, a, *, profile, **opts): ...

    expected, demanding = (
        surface.call_shape(package, function, bound=True) for function in (theirs, ours)
    )
    assert surface.differences(expected, demanding) != []
