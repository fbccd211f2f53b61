"""Templates: what a sandbox starts from, described by a builder and built on this machine."""
