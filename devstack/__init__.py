"""The real local servers: LiveKit, Redis, and a Postgres that looks like Supabase.

For ``make run``, tests and benchmarks; the product never imports it, and it imports nothing
of the product. Start at `devstack.stack.Stack`, or use one server of `devstack.servers` by
itself. What is on PATH is used, the rest is installed from package registries into the
project's cache folder (`devstack.install`).
"""
