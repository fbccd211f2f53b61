"""Every syscall that builds a wall; imported by the zygote and by a sandbox before guest code runs."""
