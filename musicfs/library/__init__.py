"""What music there is: listing origins, reading tags, and keeping the catalog in step.

``plan`` compares a listing with the catalog and is pure; ``pool`` reads tags in spawned workers that may crash or hang
without harm; ``scan`` runs both and hands finished folders to ``publish``, which writes facts and tree in one transaction.
Everything runs on the keeper's one scanning thread except the workers, which are processes.
"""
