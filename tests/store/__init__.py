"""The catalog on disk: environments that may be damaged, transactions, generations, two processes."""
