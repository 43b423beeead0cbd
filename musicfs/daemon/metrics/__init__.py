"""What is counted, as Prometheus reads it: over HTTP on the loopback interface, and over gRPC.

``observed`` is what there is to tell at one moment, ``families`` turns that into metrics and owns their names, ``processes``
reads what the processes use, ``http`` answers scrapes, ``service`` puts these together. Nothing is computed before somebody
asks, and prometheus_client is imported by then. Counts of the mount process go on when the keeper is started anew; those of
the keeper begin at zero again, which is why no number is the sum of both: counters that fall are taken for restarted ones.

Threads: ``metrics``, which accepts connections, and one for each scrape.
"""
