"""What runs inside a sandbox as PID 1. It lives beside hostile code: standard library only.

And little of that: every module is memory that each fork of the zygote copies the page tables of.
So here, in the zygote, the confinement and the protocol, `typing` is for the type checker alone
(TYPE_CHECKING = False is a name it knows), and `dataclasses`, `subprocess` and `random` are not
imported: together they would make a sandbox a tenth slower to create.
"""
