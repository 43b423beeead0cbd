"""Made by `python -m musicfs.api.regenerate`; do not edit."""
