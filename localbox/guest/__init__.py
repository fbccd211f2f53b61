"""What runs inside a sandbox as PID 1. It lives beside hostile code: standard library only."""
