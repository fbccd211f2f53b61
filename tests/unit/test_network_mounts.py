"""Which file systems are a network's, of which inotify tells little."""

from __future__ import annotations

import os

import pytest

from localbox.guest.watching import network_file_system

MOUNTINFO = b"""\
22 1 8:1 / / rw,relatime shared:1 master:2 - ext4 /dev/sda1 rw
30 22 0:40 / /mnt/a\\040b rw shared:3 - nfs4 server:/export rw
31 22 0:41 / /mnt/fuse rw - fuse.sshfs me@there: rw
32 22 0:42 / /mnt/cifs rw - cifs //server/share rw
33 22 0:43 / /tmp rw - tmpfs tmpfs rw
34 22 0:44 / /mnt/other rw - fusexyz none rw
"""


@pytest.mark.parametrize(
    ("device", "kind"),
    [
        ((8, 1), None),
        ((0, 40), "nfs4"),
        ((0, 41), "fuse.sshfs"),
        ((0, 42), "cifs"),
        ((0, 43), None),
        ((0, 44), None),
        ((0, 4), None),
    ],
)
def test_network_file_systems_are_known_by_the_mount(
    device: tuple[int, int], kind: str | None
) -> None:
    assert network_file_system(MOUNTINFO, os.makedev(*device)) == kind
