"""The languages of cells, E2B's names for them, and the modules that run them. Data only."""

from __future__ import annotations

# Language -> the module whose start_kernel(port, language) serves it.
LANGUAGES = {
    "python": "localbox.kernels.python",
    "javascript": "localbox.kernels.node",
    "typescript": "localbox.kernels.node",
    "r": "localbox.kernels.jupyter",
    "java": "localbox.kernels.jupyter",
    "bash": "localbox.kernels.bash",
}
ALIASES = {"py": "python", "js": "javascript", "ts": "typescript", "sh": "bash"}

# Imported and warmed up by the kernel zygote, in this order.
MODULES = tuple(dict.fromkeys(LANGUAGES.values()))


class LanguageMissing(Exception):
    """The language is not installed here; the message says what to install."""


def module_of(language: str) -> str:
    return LANGUAGES[language]
