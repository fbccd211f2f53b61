# generated from tests/client/_async/__init__.py by scripts/unasync.py; edit that, not this
"""Tests of the client, written once: `_sync` is generated from this."""
