"""Every system call that builds a wall; made by the zygote, and in a child before guest code."""
