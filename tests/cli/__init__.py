"""Commands as people and programs run them: in a terminal, in a pipe, and with a daemon that is gone."""
