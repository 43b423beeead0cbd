"""The commands, one file per group; adapters that translate between a terminal and the rooms below.

What users may rely on: exit codes (0 done, 1 failed, 2 usage or configuration, 3 no daemon, 4 not found), errors as
``error: message`` with a remedy below it on standard error, and the JSON that each command's docstring describes. A command
imports what it needs inside its function: ``musicfs --help`` and ``musicfs mount`` must start in milliseconds.
"""
