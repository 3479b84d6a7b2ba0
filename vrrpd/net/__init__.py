"""Sockets, netlink and frames: what the speaker does to the kernel and the wire, without deciding anything."""
