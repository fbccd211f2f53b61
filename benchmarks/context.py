"""What every section needs to know."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.peers import Peers


@dataclass(frozen=True)
class Context:
    """
    Args:
        quick: a smoke run: everything once or twice, on little data.
    """

    peers: Peers
    quick: bool

    def rounds(self, count: int) -> int:
        return 2 if self.quick else count

    def size(self, full: int, small: int) -> int:
        return small if self.quick else full
