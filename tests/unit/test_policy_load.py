"""Profiles by name and path: inheritance, errors that point at the line, and no stale reads."""

from __future__ import annotations

import dataclasses
import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from localbox.errors import PolicyError
from localbox.policy import Mount, Policy, load_profile, merge_overrides, shipped_profiles
from localbox.policy.shipped import shipped_file

Writer = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    def write_profile(text: str, name: str = "mine.yaml") -> Path:
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return file

    return write_profile


def test_a_name_finds_a_shipped_profile() -> None:
    assert load_profile("strict").name == "strict"


def test_a_path_finds_a_file(write: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write("resources:\n  pids: 77\n")
    assert load_profile(file).resources.pids == 77
    assert load_profile(str(file)).name == "mine"
    monkeypatch.chdir(file.parent)
    assert load_profile("mine.yaml") == load_profile("./mine.yaml") == load_profile(file)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(PolicyError, match='did you mean "strict"') as info:
        load_profile("strikt")
    assert all(name in str(info.value) for name in shipped_profiles())


@pytest.mark.parametrize("name", ["", "syscalls", "../profiles", "/nowhere/x.yaml", "x.yml", "a\0b",
                                  "a\0b.yaml", "/etc", "default.yaml\n"])  # fmt: skip
def test_what_is_no_profile_is_an_error(name: str) -> None:
    with pytest.raises(PolicyError):
        load_profile(name)


def test_a_profile_stands_on_default(write: Writer) -> None:
    mine, default = load_profile(write("resources: {pids: 9}")), load_profile("default")
    assert mine.resources == dataclasses.replace(default.resources, pids=9)
    assert (mine.seccomp, mine.filesystem) == (default.seccomp, default.filesystem)
    assert load_profile(write("", "empty.yaml")).digest == default.digest


def test_maps_merge_and_lists_are_replaced(write: Writer) -> None:
    write("process: {env: {A: 1, B: 2}, preload: [json]}\n", "base.yaml")
    mine = load_profile(write("extends: base.yaml\nprocess: {env: {B: 3, C: 4}, preload: [csv]}\n"))
    assert mine.process.env == (("A", "1"), ("B", "3"), ("C", "4"))
    assert mine.process.preload == ("csv",)


def test_a_base_is_found_beside_its_heir(write: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    write("resources: {pids: 50}\n", "base.yaml")
    file = write("extends: ../base.yaml\n", "below/heir.yaml")
    monkeypatch.chdir("/")
    assert load_profile(file).resources.pids == 50


def test_a_section_left_empty_changes_nothing(write: Writer) -> None:
    assert load_profile(write("process:\n  # env: {}\n")).digest == load_profile("default").digest


def test_a_circle_is_an_error(write: Writer) -> None:
    write("extends: b.yaml\n", "a.yaml")
    file = write("# x\nextends: a.yaml\n", "b.yaml")
    with pytest.raises(PolicyError, match=r"a\.yaml:1: extends: .*neither can come first"):
        load_profile(file)
    with pytest.raises(PolicyError, match="neither can come first"):
        load_profile(write("extends: ./mine.yaml\n"))


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (
            "resources:\n  memmory: 1GiB\n",
            2,
            'resources.memmory: unknown key; did you mean "memory"?',
        ),
        ("resource: {}\n", 1, 'resource: unknown key; did you mean "resources"?'),
        ("\n\nresources:\n  memory: 1 gigabyte\n", 4, "resources.memory: "),
        ("resources:\n  memory: 1KiB\n", 2, "resources.memory: 1024 bytes is outside"),
        ("resources:\n  pids: 2.5\n", 2, "resources.pids: expected a whole number"),
        ("resources:\n  pids: true\n", 2, "resources.pids: expected a whole number"),
        ("resources:\n  pids:\n", 2, "resources.pids: expected text"),
        ("resources:\n  cpu_time: 1500ms\n", 2, "resources.cpu_time: "),
        ("resources:\n  wall_time: -5s\n", 2, "resources.wall_time: "),
        ("resources: 5\n", 1, "resources: expected keys"),
        ("resources: [a]\n", 1, "resources: expected keys"),
        (
            "resources:\n  rlimits:\n    - {type: RLIMIT_NOFIL, soft: 1, hard: 1}\n",
            3,
            "resources.rlimits[0].type: 'RLIMIT_NOFIL' is no rlimit; did you mean \"RLIMIT_NOF",
        ),
        (
            "resources:\n  rlimits:\n    - type: RLIMIT_CORE\n      soft: 0\n",
            3,
            "resources.rlimits[0]: the key 'hard' is missing",
        ),
        ("network:\n  mode: hosts\n", 2, "network.mode: 'hosts' is no network mode; did you mean"),
        ("network: none\n", 1, "network: expected keys (mode)"),
        ("filesystem:\n  readonly: /data\n", 2, "filesystem.readonly: expected a list"),
        (
            "filesystem:\n  readonly:\n    - data\n",
            3,
            "filesystem.readonly[0]: 'data' is no absolute",
        ),
        (
            "filesystem:\n  readonly:\n    - {source: /a, target: /b}\n",
            3,
            "filesystem.readonly[0].target: unknown key",
        ),
        (
            "filesystem:\n  readonly:\n    - source: /a\n      destination: /etc/passwd\n",
            4,
            "filesystem.readonly[0].destination: '/etc/passwd' is the sandbox's own",
        ),
        (
            "filesystem:\n  masked: [/proc/kcore, 7]\n",
            2,
            "filesystem.masked[1]: '7' is no absolute",
        ),
        ("process:\n  env:\n    A=B: x\n", 2, "process.env: 'A=B'"),
        ("process:\n  env:\n    A: [x]\n", 3, "process.env.A: expected text"),
        ("process:\n  env:\n    A:\n", 3, "process.env.A: expected text"),
        ("process:\n  hostname: under_score\n", 2, "process.hostname: "),
        ("process:\n  root_user: no\n", 2, "process.root_user: expected true or false"),
        ("isolation:\n  require: [landlok]\n", 2, "isolation.require[0]: 'landlok' is no wall"),
        ("isolation:\n  require: [landlock]\nlandlock: false\n", 2, "isolation.require: landlock"),
        ("landlock: yes\n", 1, "landlock: expected true or false"),
        ("landlock: 'true'\n", 1, "landlock: expected true or false"),
        ("seccomp:\n  allow: ['@default', '@defualt']\n", 2, 'did you mean "@default"?'),
        (
            "seccomp:\n  allow:\n    - reed\n",
            3,
            "seccomp.allow[0]: 'reed' is no system call; did you",
        ),
        ("seccomp:\n  allow: [read, read]\n", 2, "seccomp.allow[1]: 'read' is listed twice"),
        ("seccomp:\n  allow: ['@default', clone3]\n", 2, "seccomp.allow: clone3: also in enosys"),
        ("seccomp:\n  rules: [no-clone]\n", 2, "seccomp.rules[0]: 'no-clone' is no rule"),
        ("seccomp:\n  default_action: allow\n", 2, "seccomp.default_action: "),
        ("seccomp:\n  profile: missing.json\n", None, "missing.json"),
        ("extends: [default]\n", 1, "extends: expected the name"),
        ("extends: defualt\n", 1, "extends: no profile 'defualt'; did you mean \"default\"?"),
        ("extends: ./missing.yaml\n", 1, "extends: there is no"),
        ("<<: {a: b}\n", 1, "<<: unknown key"),
        ("- a\n", 1, "a profile is a mapping"),
        ("landlock: true\nlandlock: true\n", 2, "landlock: this key was set above already"),
    ],
)
def test_an_error_points_at_the_line(
    write: Writer, text: str, line: int | None, problem: str
) -> None:
    file = write(text)
    with pytest.raises(PolicyError) as info:
        load_profile(file)
    if line is not None:
        assert str(info.value).startswith(f"{file}:{line}: ")
    assert problem in str(info.value)


def test_an_error_in_a_base_points_into_the_base(write: Writer) -> None:
    base = write("resources:\n  memory: 1KiB\n", "base.yaml")
    with pytest.raises(PolicyError, match=f"{base}:2: resources.memory"):
        load_profile(write("extends: ./base.yaml\nresources: {pids: 9}\n"))


def test_every_kind_of_value_is_read(write: Writer) -> None:
    policy = load_profile(
        write("""
isolation: {require: [seccomp, cgroup], prefer: [], on_unavailable: fail}
process:
  hostname: box-1
  env: {PORT: 8080, OCT: 0755, NO: no, EMPTY: ""}
  preload: [os.path]
  root_user: false
filesystem:
  readonly: [/data, {source: /srv/a, destination: /input}]
  readwrite: [{source: /srv/b, destination: /home/user/out}]
  overlay: [python, /usr]
  masked: []
  hidden: [/usr/share/secret]
  disk: 2GB
  files: 1000
network: {mode: none}
resources:
  memory: 1GiB
  pids: 10
  wall_time: 1.5m
  cpu_time: 10
  output: 1MB
  rlimits: [{type: RLIMIT_STACK, soft: 8MiB, hard: unlimited}]
seccomp: {allow: ["@basic-io", exit_group], enosys: [], kill: [], deny: [tee], rules: []}
landlock: false
""")
    )
    assert policy.isolation.require == ("seccomp", "cgroup")
    assert policy.process.root_user is False
    assert policy.process.env == (("PORT", "8080"), ("OCT", "0755"), ("NO", "no"), ("EMPTY", ""))
    assert policy.filesystem.readonly == (Mount("/data", "/data"), Mount("/srv/a", "/input"))
    assert policy.filesystem.readwrite == (Mount("/srv/b", "/home/user/out"),)
    assert policy.filesystem.overlay == ("python", "/usr")
    assert (policy.filesystem.disk_bytes, policy.filesystem.files) == (2 * 10**9, 1000)
    assert policy.resources.wall_time_s == 90
    assert policy.resources.cpu_time_s == 10
    assert [(r.name, r.soft, r.hard) for r in policy.resources.rlimits] == [
        ("RLIMIT_STACK", 8 << 20, -1)
    ]
    assert "exit_group" in policy.seccomp.permitted()
    assert "tee" not in policy.seccomp.permitted()
    assert policy.landlock is False


@pytest.mark.parametrize("word", ["unlimited", "~", "null", ""])
def test_a_time_can_be_unlimited(write: Writer, word: str) -> None:
    policy = load_profile(write(f"extends: strict\nresources:\n  wall_time: {word}\n"))
    assert policy.resources.wall_time_s is None


OCI = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}],
}


def test_a_seccomp_json_is_found_beside_its_profile(write: Writer) -> None:
    write(json.dumps(OCI), "docker.json")
    policy = load_profile(write("seccomp: {profile: docker.json}\n"))
    assert policy.seccomp.allow == ()
    assert json.loads(policy.seccomp.profile_json) == OCI


def test_a_seccomp_json_and_lists_replace_each_other_down_the_line(write: Writer) -> None:
    write(json.dumps(OCI), "docker.json")
    write("seccomp: {profile: docker.json}\n", "json.yaml")
    heir = load_profile(write("extends: ./json.yaml\nresources: {pids: 9}\n"))
    assert heir.seccomp.profile is not None
    with pytest.raises(PolicyError, match="the key 'default_action' is missing"):
        load_profile(write("extends: ./json.yaml\nseccomp: {allow: [read]}\n", "other.yaml"))


def test_a_bad_seccomp_json_points_at_the_key_that_names_it(write: Writer) -> None:
    write('{"defaultAction": "SCMP_ACT_NOTIFY"}', "bad.json")
    file = write("seccomp:\n  profile: bad.json\n")
    with pytest.raises(PolicyError, match=f"{file}:2: seccomp.profile: defaultAction"):
        load_profile(file)


def test_a_second_load_is_the_same_object(write: Writer) -> None:
    file = write("landlock: true\n")
    assert load_profile(file) is load_profile(file)


def change(file: Path, text: str) -> None:
    """Rewrite with another size, so that a coarse clock does not hide the change."""
    file.write_text(text)


def test_a_changed_file_is_read_again(write: Writer) -> None:
    base = write("resources: {pids: 50}\n", "base.yaml")
    seccomp = write(json.dumps(OCI), "docker.json")
    file = write("extends: ./base.yaml\nseccomp: {profile: docker.json}\n")
    before = load_profile(file)
    change(base, "resources: {pids: 500}\n")
    between = load_profile(file)
    assert (before.resources.pids, between.resources.pids) == (50, 500)
    change(seccomp, json.dumps({**OCI, "defaultErrnoRet": 38}))
    assert load_profile(file).digest != between.digest
    os.unlink(base)
    with pytest.raises(PolicyError):
        load_profile(file)


def test_no_text_raises_anything_but_policy_error(write: Writer) -> None:
    dice = random.Random(3)
    whole = shipped_file("default").read_text()
    for at in range(400):
        lines = whole.splitlines()
        for _ in range(dice.randint(1, 3)):
            line = dice.randrange(len(lines))
            match dice.randrange(4):
                case 0:
                    del lines[line]
                case 1:
                    lines[line] = lines[line][: dice.randrange(len(lines[line]) + 1)]
                case 2:
                    lines.insert(line, dice.choice(lines))
                case _:
                    lines[line] += dice.choice(
                        ["x", ":", " - a", "]", " {", "'", "\t", " &a", " 1"]
                    )
        file = write("\n".join(lines), f"{at}.yaml")
        try:
            assert isinstance(load_profile(file), Policy)
        except PolicyError as error:
            assert str(error).startswith(str(file))  # noqa: PT017


def test_overrides_make_another_valid_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = load_profile("strict")
    monkeypatch.chdir(tmp_path)
    changed = merge_overrides(
        policy,
        readonly=["/data", ("/srv", "/input"), Mount("/a", "/b")],
        readwrite=[".", Path("/out")],
        network="host",
        memory=1 << 30,
        pids=99,
        disk=1 << 30,
        wall_time=5.0,
    )
    assert changed.filesystem.readonly == (
        Mount("/data", "/data"), Mount("/srv", "/input"), Mount("/a", "/b")
    )  # fmt: skip
    here = str(tmp_path)
    assert changed.filesystem.readwrite == (Mount(here, here), Mount("/out", "/out"))
    assert changed.network.mode == "host"
    assert changed.resources.memory_bytes == changed.filesystem.disk_bytes == 1 << 30
    assert (changed.resources.pids, changed.resources.wall_time_s) == (99, 5.0)
    assert changed.seccomp is policy.seccomp
    assert policy == load_profile("strict")


def test_no_overrides_change_nothing() -> None:
    assert merge_overrides(load_profile("default")).digest == load_profile("default").digest


def test_an_override_replaces_what_was_mounted_there(write: Writer) -> None:
    policy = load_profile(write("filesystem: {readonly: [/data, /more]}\n"))
    changed = merge_overrides(policy, readwrite=["/data"])
    assert changed.filesystem.readonly == (Mount("/more", "/more"),)
    assert changed.filesystem.readwrite == (Mount("/data", "/data"),)


@pytest.mark.parametrize(
    "overrides",
    [{"readonly": ["/"]}, {"readwrite": ["/proc"]}, {"readonly": [("/a", "/etc")]}, {"memory": 0},
     {"network": "internet"}, {"pids": -1}, {"readonly": ["/a", "/a"]}, {"readonly": ["/a\0"]},
     {"wall_time": 0}],
)  # fmt: skip
def test_an_override_that_makes_no_valid_policy_is_an_error(overrides: dict[str, object]) -> None:
    with pytest.raises(PolicyError):
        merge_overrides(load_profile("default"), **overrides)  # type: ignore[arg-type]
