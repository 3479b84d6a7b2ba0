"""IP Virtual Server: what the kernel's table is to be, how it gets there, and the netlink that does it."""
