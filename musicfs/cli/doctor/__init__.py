"""``musicfs doctor``: a list of checks, each a function from an :class:`Examination` to findings.

``command`` runs and prints them, ``finding`` says what they are given and give back; the rest is one file per subject. A
check neither changes anything nor waits long, and it works whether or not a daemon runs and the configuration is right.
``library`` is another look, at the music: it asks the daemon, and shows what that finds.
"""
