"""One file per promise: each measures beside a peer and prints what it found."""
