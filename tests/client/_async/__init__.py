"""Tests of the client, written once: `_sync` is generated from this."""
