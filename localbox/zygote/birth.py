"""Clones sandboxes: one mount namespace per policy as the template, one clone3 per sandbox."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time

from localbox.confinement import cgroups, identity, landlock, syscalls, walls
from localbox.confinement.host_proc import hold_host_proc, open_proc
from localbox.confinement.root_template import LAYERS, build_template
from localbox.confinement.sandbox_root import lower_of
from localbox.confinement.walls import WallFailure, building
from localbox.protocol.frames import encode_message
from localbox.zygote.live import LiveSandbox
from localbox.zygote.parking import Parking
from localbox.zygote.sandbox_child import Birth, run_sandbox
from localbox.zygote.sandbox_walls import RESERVED_FDS, SandboxWalls, plan_walls
from localbox.zygote.serving import keep_free

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from localbox.zygote.root_agent import RootAgents

_NAMESPACES = syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID


class _Template:
    def __init__(
        self,
        plan: dict[str, Any],
        mount_namespace_fd: int,
        sandbox_walls: SandboxWalls,
        settings: dict[str, Any],
    ) -> None:
        self.plan = plan
        self.mount_namespace_fd = mount_namespace_fd
        self.walls = sandbox_walls
        self.settings = settings
        self._ready: dict[str | None, bytes] = {}

    def ready(self, cgroup: str | None) -> bytes:
        """What a sandbox says when its walls stand; the same for all but for their cgroup."""
        if cgroup not in self._ready:
            standing = list(self.walls.standing)
            if cgroup is not None:
                standing.append((walls.CGROUP, cgroup))
            self._ready[cgroup] = encode_message({"ready": {"walls": standing}})
        return self._ready[cgroup]


class Nursery:
    def __init__(self, cgroup_roots: dict[str, int]) -> None:
        keep_free(RESERVED_FDS)
        os.umask(0)
        with building(walls.MOUNT_NAMESPACE):
            hold_host_proc()
        self._host_view_fd = open_proc("self/ns/mnt")
        self._templates: dict[str, _Template] = {}
        self._current: str | None = None
        self._is_root = identity.is_host_root()
        self._parking = Parking()
        self._slots = identity.UidSlots(self._parking.host_network_fd) if self._is_root else None
        self._landlock_abi = syscalls.landlock_abi()
        self.pidfd = os.pidfd_open(os.getpid())
        self._root_agents: dict[str, RootAgents] = {}  # by digest
        self.cgroups = cgroups.Cgroups(cgroup_roots)

    def learn(self, digest: str, plan: dict[str, Any]) -> None:
        """Check what `plan` requires of this machine and build its template."""
        if digest in self._templates:
            return
        if plan["landlock"] == "require" and self._landlock_abi < landlock.MINIMUM_ABI:
            raise WallFailure(
                walls.LANDLOCK, f"this kernel's Landlock ABI is {self._landlock_abi}, 2 is needed"
            )
        if plan["cgroup"] == "require":
            self.cgroups.check()
        plan["seccomp_programs"] = [bytes.fromhex(text) for text in plan["seccomp"]]
        with building(walls.MOUNT_NAMESPACE):
            syscalls.setns(self._host_view_fd, syscalls.CLONE_NEWNS)
            self._current = None
            if plan["volumes"]:
                # Once the template is entered nothing can be imported.
                import localbox.zygote.volumes  # noqa: F401
            build_template(plan)
            mount_namespace_fd = open_proc("self/ns/mnt")
            plan["shifted"] = self._shiftable(plan)
            program = plan_walls(
                plan,
                shifts_ids=self._is_root,
                lowers=len(plan["shifted"]),
                landlock_abi=self._landlock_abi,
            )
        settings = {
            "env": plan["env"],
            "extra_env": {},
            "home": plan["home"],
            "user": plan["user"],
            "cpu_time_s": plan["cpu_time_s"],
        }
        self._templates[digest] = _Template(plan, mount_namespace_fd, program, settings)
        self._dress(digest)

    def clone(
        self,
        digest: str,
        *,
        sandbox_id: str,
        timeout_s: float,
        rendezvous_fd: int,
        reply_fd: int,
        volumes: Sequence[str] = (),
    ) -> LiveSandbox:
        """Start a sandbox; it builds its walls by itself and answers on `reply_fd`.

        Args:
            volumes: host paths, in the order of the plan's `volumes`.

        Raises:
            WallFailure: the namespaces cannot be had or the ids not be mapped.
        """
        template = self._templates[digest]
        plan = template.plan
        if self._current != digest:
            # The clone copies the namespace we are in, so be in the template's: it has a handful
            # of mounts where the host's may have hundreds.
            with building(walls.MOUNT_NAMESPACE):
                syscalls.setns(template.mount_namespace_fd, syscalls.CLONE_NEWNS)
            self._dress(digest)
        slot = None
        cgroup = None
        open_fds: list[int] = []
        held_volumes: list[int] = []
        try:
            if self._slots is not None:
                if self._slots.empty:
                    with building(walls.USER_NAMESPACE):
                        self._parking.leave()
                        self._slots.reserve()
                slot = self._slots.take()
            cgroup = self.cgroups.make(sandbox_id, plan)
            go_reader, go_writer = os.pipe2(os.O_CLOEXEC)
            open_fds += (go_reader, go_writer)
            self._parking.enter(plan)
            lower_fds = self._shifted_lowers(plan, slot, open_fds)
            if volumes:
                lower_fds += self._open_volumes(template, volumes, slot, open_fds, held_volumes)
            birth = Birth(
                fds=(rendezvous_fd, reply_fd, go_reader, self.pidfd, *lower_fds),
                program=template.walls.program,
                settings=template.settings,
                ready=template.ready(cgroup.description if cgroup else None),
            )
            with building(walls.USER_NAMESPACE):
                pid, pidfd = syscalls.clone3(_NAMESPACES, cgroup.clone_fd if cgroup else None)
            if pid == 0:
                run_sandbox(birth)
            # The kernel often puts a child behind its parent on the same processor, and then it
            # waits for the maps: nothing else comes before them, and all else after it.
            try:
                if cgroup is not None:
                    with building(walls.CGROUP):
                        cgroup.adopt(pid)
                with building(walls.USER_NAMESPACE):
                    identity.write_id_maps(pid, slot)
                # Before: the child may have answered long before we run again.
                started_at = time.time()
                os.write(go_writer, b"1")
                os.sched_yield()
            except BaseException:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                os.waitpid(pid, 0)
                os.close(pidfd)
                raise
            sandbox = LiveSandbox(
                sandbox_id,
                pid,
                pidfd,
                memory_bytes=plan["memory_bytes"],
                wall_time_s=plan["wall_time_s"],
                slot=slot,
                cgroup=cgroup,
            )
            sandbox.started_at = started_at
            sandbox.volumes = held_volumes
        except BaseException:
            for fd in held_volumes:
                os.close(fd)
            if cgroup is not None:
                self.cgroups.remove(cgroup)
            if slot is not None and self._slots is not None:
                self._slots.give_back(slot)
            raise
        finally:
            for fd in open_fds:
                os.close(fd)
        sandbox.set_timeout(timeout_s)
        self._parking.leave()
        return sandbox

    def enter_host_view(self) -> None:
        """For a child of ours: be where the host's files are, and modules to import."""
        syscalls.setns(self._host_view_fd, syscalls.CLONE_NEWNS)

    def forget(self, digest: str) -> None:
        """Let go of a plan that no sandbox will be made of any more, and of what it shows."""
        template = self._templates.pop(digest, None)
        self._root_agents.pop(digest, None)
        if template is None:
            return
        os.close(template.mount_namespace_fd)
        if self._current == digest:
            self._current = None
            self.enter_host_view()

    def root_agents(self, digest: str) -> RootAgents:
        """What makes agents for the root of sandboxes of a plan."""
        if digest not in self._root_agents:
            # Nothing can be imported where the host's files are not to be seen.
            self._current = None
            syscalls.setns(self._host_view_fd, syscalls.CLONE_NEWNS)
            from localbox.zygote.root_agent import RootAgents

            plan = self._templates[digest].plan
            self._root_agents[digest] = RootAgents(plan, self._landlock_abi)
        return self._root_agents[digest]

    def _dress(self, digest: str) -> None:
        """Look as Python programs in sandboxes of this plan shall, so that they need not change.

        Nothing is imported here any more: everything was before the first template.
        """
        plan = self._templates[digest].plan
        os.environ.clear()
        os.environ.update(plan["env"])
        sys.path[:] = plan["sys_path"]
        self._current = digest

    def get_ready(self) -> None:
        """Prepare for another sandbox of the last kind, now that nobody waits."""
        if self._current is not None:
            self._parking.enter(self._templates[self._current].plan)

    def tidy(self, sandbox: LiveSandbox) -> None:
        """Take back what was lent to a sandbox that has been reaped."""
        if sandbox.cgroup is not None:
            self.cgroups.remove(sandbox.cgroup)
        for fd in sandbox.volumes:
            os.close(fd)
        if self._slots is not None and sandbox.slot is not None:
            self._slots.give_back(sandbox.slot)

    def _open_volumes(
        self,
        template: _Template,
        host_paths: Sequence[str],
        slot: identity.UidSlot | None,
        open_fds: list[int],
        held: list[int],
    ) -> list[int]:
        # Imported by then; see learn.
        from localbox.zygote.volumes import open_volumes

        # Only there are they to be found.
        syscalls.setns(self._host_view_fd, syscalls.CLONE_NEWNS)
        try:
            return open_volumes(host_paths, slot, open_fds, held)
        finally:
            syscalls.setns(template.mount_namespace_fd, syscalls.CLONE_NEWNS)

    def _shiftable(self, plan: dict[str, Any]) -> list[str]:
        """The overlays' lower directories and the layers, as far as they can be id-mapped.

        Files of host root are nobody's inside, so that the sandbox's user could not replace them
        even in its own overlay; id-mapped they look like the user's own. An overlay itself cannot
        be id-mapped; its lower directories can.
        """
        layers = [f"{LAYERS}/{number}" for number in range(len(plan["layers"]))]
        if self._slots is None:
            return []
        lowers = [lower_of(plan, path) for path in plan["overlays"]]
        if self._can_shift(lowers + layers):
            return [*lowers, *layers]
        if layers and not self._can_shift(layers):
            raise OSError(
                errno.EOPNOTSUPP,
                "the filesystem that snapshots are kept on has no id-mapped mounts, which root's "
                "sandboxes need; set LOCALBOX_DATA_DIR to a directory on ext4, xfs, btrfs or tmpfs",
            )
        return layers

    def _can_shift(self, paths: list[str]) -> bool:
        assert self._slots is not None
        if not paths:
            return False
        if self._slots.empty:
            self._parking.leave()
            self._slots.reserve()
        slot = self._slots.take()
        open_fds: list[int] = []
        try:
            _shift_lowers(paths, slot, open_fds)
        except OSError:
            return False
        finally:
            for fd in open_fds:
                os.close(fd)
            self._slots.give_back(slot)
        return True

    def _shifted_lowers(
        self, plan: dict[str, Any], slot: identity.UidSlot | None, open_fds: list[int]
    ) -> list[int]:
        if slot is None or not plan["shifted"]:
            return []
        with building(walls.PRIVATE_ROOT):
            return _shift_lowers(plan["shifted"], slot, open_fds)


def _shift_lowers(paths: list[str], slot: identity.UidSlot, open_fds: list[int]) -> list[int]:
    """Detached copies of directories of the template, id-mapped for `slot`.

    Args:
        open_fds: gets them too, as soon as they are open, so that the caller can close them.
    """
    fds: list[int] = []
    for path in paths:
        fd = syscalls.open_tree(path, recursive=False)
        open_fds.append(fd)
        syscalls.mount_setattr(
            fd, attr_set=syscalls.MOUNT_ATTR_IDMAP, userns_fd=slot.id_shift(), recursive=False
        )
        fds.append(fd)
    return fds
