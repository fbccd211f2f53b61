# generated from localbox/_async/__init__.py by scripts/unasync.py; edit that, not this
"""The client, written once: `_sync` is generated from this."""
