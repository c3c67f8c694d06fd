"""How sessions end for certain: the clean-up, and those who call for it."""
