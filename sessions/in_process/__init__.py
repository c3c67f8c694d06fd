"""The state of sessions in this process, where there is no Redis.

Nobody else sees it, and it goes with the process. Nothing here awaits between reading and
writing, so that no other task sees half of a change.
"""

from sessions.in_process.state import ProcessSessionState

__all__ = ["ProcessSessionState"]
