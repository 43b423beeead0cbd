"""Tests, one folder per room, and those that take the house as a whole."""
