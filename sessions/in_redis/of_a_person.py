"""What Redis has of a person, for whoever erases or exports them: calls block."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar, cast

import redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.retry import Retry
from typing_extensions import Self

from sessions import keys
from sessions.errors import StateUnreachableError

T = TypeVar("T")

_TIMEOUT_S = 2.0
_SAID_OF_THEM = ("userName", "openingLine")
"""Fields of a session's record that the conversation does not need once it has begun."""


class _OfAPerson:
    """A connection to Redis, made at its first use.

    Args:
        url: as REDIS_URL has it.
    """

    def __init__(self, url: str) -> None:
        self._client: redis.Redis = redis.Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _asked(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except (RedisError, OSError) as error:
            raise StateUnreachableError(
                f"Redis is out of reach ({type(error).__name__}); look at REDIS_URL"
            ) from error


class KeptHistories(_OfAPerson):
    """The conversations that wait for a person's next session. Args as REDIS_URL has it."""

    def read(self, user_id: str) -> str | None:
        """Return what is kept of a person, and leave it.

        Raises:
            StateUnreachableError: Redis did not answer, or refused.
        """
        kept = self._asked(lambda: self._client.get(keys.history(user_id)))
        return kept if isinstance(kept, str) else None

    def erase(self, user_id: str) -> int:
        """Delete what is kept of a person, and return how many things that were.

        Raises:
            StateUnreachableError: Redis did not answer, or refused.
        """
        return 1 if self._asked(lambda: self._client.delete(keys.history(user_id))) else 0


class LiveSessions(_OfAPerson):
    """What is noted of the sessions that a person has now. Args as REDIS_URL has it."""

    def read(self, user_id: str) -> list[dict[str, Any]]:
        """Return each session's record, its tasks and its job's last log lines.

        Raises:
            StateUnreachableError: Redis did not answer, or refused.
        """
        return self._asked(lambda: [self._read(each) for each in self._of(user_id)])

    def erase(self, user_id: str) -> int:
        """Delete the tasks and log lines, and what the record says of them.

        The rest of a record goes with its session: for whom, where and how, which the
        conversation needs for as long as it lasts.

        Returns:
            Of how many sessions something was deleted.

        Raises:
            StateUnreachableError: Redis did not answer, or refused.
        """
        return self._asked(lambda: sum([self._erase(each) for each in self._of(user_id)]))

    def _of(self, user_id: str) -> list[str]:
        ids = cast("list[str]", self._client.zrange(keys.INDEX, 0, -1))
        pipeline = self._client.pipeline(transaction=False)
        for session_id in ids:
            pipeline.hget(keys.session(session_id), "userId")
        whose = pipeline.execute() if ids else []
        return [each for each, of in zip(ids, whose, strict=True) if of == user_id]

    def _read(self, session_id: str) -> dict[str, Any]:
        pipeline = self._client.pipeline()
        pipeline.hgetall(keys.session(session_id))
        pipeline.hvals(keys.tasks(session_id))
        pipeline.lrange(keys.agent_logs(session_id), 0, -1)
        record, tasks, lines = pipeline.execute()
        return {**record, "tasks": [*map(_parsed, tasks)], "logs": [*map(_parsed, lines)]}

    def _erase(self, session_id: str) -> bool:
        pipeline = self._client.pipeline()
        pipeline.hdel(keys.session(session_id), *_SAID_OF_THEM)
        pipeline.delete(keys.tasks(session_id), keys.agent_logs(session_id))
        return any(pipeline.execute())


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {"unreadable": text}
