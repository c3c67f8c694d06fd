"""Tokens with which a person joins one room and nothing else."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from livekit import api

from orchestrator.errors import UnavailableError
from sessions import TOKEN_LIFE_S

LIVEKIT_MISSING = "LiveKit is not configured; set LIVEKIT_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET"


class JoinTokens:
    """Makes tokens.

    Args:
        api_key: the LiveKit key's name, or None where LiveKit is not configured.
        api_secret: its secret.
    """

    def __init__(self, api_key: str | None, api_secret: str | None) -> None:
        self._api_key = api_key
        self._api_secret = api_secret

    def make(
        self,
        *,
        room: str,
        identity: str,
        name: str = "",
        metadata: str = "",
        attributes: Mapping[str, str] | None = None,
        room_config: api.RoomConfiguration | None = None,
    ) -> str:
        """Return a token of two hours.

        Args:
            room: the only room that it opens.
            identity: who joins.
            name: what others are shown.
            metadata: the participant's.
            attributes: the participant's.
            room_config: how the room is made where the joining makes it.

        Raises:
            UnavailableError: LiveKit is not configured.
        """
        if not self._api_key or not self._api_secret:
            raise UnavailableError(LIVEKIT_MISSING)
        token = (
            api.AccessToken(self._api_key, self._api_secret)
            .with_identity(identity)
            .with_name(name)
            .with_metadata(metadata)
            .with_attributes(dict(attributes or {}))
            .with_ttl(datetime.timedelta(seconds=TOKEN_LIFE_S))
            .with_grants(api.VideoGrants(room_join=True, room=room))
        )
        if room_config is not None:
            token = token.with_room_config(room_config)
        return token.to_jwt()
