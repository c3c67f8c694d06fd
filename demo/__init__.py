"""Two conversations over real WebRTC: the second one remembers the first."""
