"""Real players and real tools on a real mount."""
