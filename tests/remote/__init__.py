"""The whole way of remote music: a real mount over real servers, each behind a line that counts, delays and breaks."""
