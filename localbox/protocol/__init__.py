"""What travels between host, zygote and guest: bytes to messages and back, without any I/O."""
