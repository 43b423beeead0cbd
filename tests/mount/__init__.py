"""The mount as the kernel and its users see it: real mounts only."""
