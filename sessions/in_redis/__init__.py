"""The state of sessions in Redis, shared by workers and orchestrators.

What must hold together is decided by one script in the server, so that two processes never
see half of a change. Leases are measured by the server's clock, so that no clocks of two hosts
are compared.
"""

from sessions.in_redis.of_a_person import KeptHistories, LiveSessions
from sessions.in_redis.state import RedisSessionState

__all__ = ["KeptHistories", "LiveSessions", "RedisSessionState"]
