"""What goes wrong in real life, done to real mounts: processes die, disks fill, files change under the reader's hands."""
