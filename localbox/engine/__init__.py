"""The host's side: one zygote per preload set, and what this program knows of its sandboxes."""
