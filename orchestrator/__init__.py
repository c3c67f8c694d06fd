"""The session service: starts, watches and ends conversations with the worker."""
