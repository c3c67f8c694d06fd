"""The servers, one module each; every one can be used by itself in a ``with``."""
