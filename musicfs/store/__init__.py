"""Bytes we keep: the catalog of what music there is and the tree it is served as.

``environment`` opens LMDB by the house's rules (one fixed map size, length checked before mapping, damaged files put
aside); ``schema`` names every table with its key and value; ``records`` encodes them; ``catalog`` reads and writes facts and
tree. Only this room imports lmdb. Only the keeper writes, on one thread; any number of processes read, each operation in
a read transaction of its own that never lasts across a wait.
"""
