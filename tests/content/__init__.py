"""Readers: the bytes of one version, or an error."""
