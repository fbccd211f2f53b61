"""What every section needs to know."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.peers import Peers
from localbox import Sandbox


@dataclass(frozen=True)
class Context:
    """
    Args:
        profile: of the sandboxes, where a section does not need one of its own.
        quick: a smoke run: everything once or twice, on little data.
    """

    peers: Peers
    quick: bool
    profile: str | None = None

    def create(self) -> Sandbox:
        return Sandbox.create(profile=self.profile)

    def rounds(self, count: int) -> int:
        return 2 if self.quick else count

    def size(self, full: int, small: int) -> int:
        return small if self.quick else full
