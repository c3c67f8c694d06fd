"""The commands of ``python -m devstack``, one module each."""
