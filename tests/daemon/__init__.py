"""Two processes, their link, their supervision, their end."""
