"""What `sandbox.git` tells of a repository: E2B's values, field for field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["GitBranches", "GitFileStatus", "GitResetMode", "GitStatus"]

GitResetMode = Literal["soft", "mixed", "hard", "merge", "keep"]


@dataclass
class GitFileStatus:
    """A file that is not as in the last commit, its path relative to the repository's root.

    `status` is one of added, conflict, copied, deleted, modified, renamed, typechange, untracked
    and unknown; the other two are git's letters, a blank for "unchanged".
    """

    name: str
    status: str
    index_status: str
    working_tree_status: str
    staged: bool
    renamed_from: str | None = None


@dataclass
class GitStatus:
    """Where a repository stands: its branch, and its files that changed."""

    current_branch: str | None
    upstream: str | None
    ahead: int
    behind: int
    detached: bool
    file_status: list[GitFileStatus]

    @property
    def is_clean(self) -> bool:
        """Nothing changed, and nothing is untracked."""
        return not self.file_status

    @property
    def has_changes(self) -> bool:
        """Something changed, or is untracked."""
        return bool(self.file_status)

    @property
    def has_staged(self) -> bool:
        """Something is staged."""
        return self.staged_count > 0

    @property
    def has_untracked(self) -> bool:
        """Something is untracked."""
        return self.untracked_count > 0

    @property
    def has_conflicts(self) -> bool:
        """A merge left conflicts."""
        return self.conflict_count > 0

    @property
    def total_count(self) -> int:
        """How many files changed or are untracked."""
        return len(self.file_status)

    @property
    def staged_count(self) -> int:
        """How many have something staged."""
        return sum(file.staged for file in self.file_status)

    @property
    def unstaged_count(self) -> int:
        """How many have nothing staged."""
        return self.total_count - self.staged_count

    @property
    def untracked_count(self) -> int:
        """How many are untracked."""
        return sum(file.status == "untracked" for file in self.file_status)

    @property
    def conflict_count(self) -> int:
        """How many have conflicts."""
        return sum(file.status == "conflict" for file in self.file_status)


@dataclass
class GitBranches:
    """A repository's local branches."""

    branches: list[str]
    current_branch: str | None
