"""What runs cells, inside a sandbox: one module per kind of language, and their way to the host."""
