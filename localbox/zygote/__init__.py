"""The process that forks sandboxes: exec'd fresh, single-threaded, with an empty environment."""
