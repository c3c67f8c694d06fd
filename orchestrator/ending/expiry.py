"""When a session is over, whatever goes on in it."""

from __future__ import annotations

from config import Settings
from sessions import SessionRecord, SessionState, SessionStyle
from sessions.lifetime import latest_end

_PAGE = 200


def is_over(record: SessionRecord, settings: Settings, now_ms: int) -> bool:
    """Return whether a session has lasted as long as it may."""
    if record.expires_at and now_ms >= record.expires_at:
        return True
    since = record.connected_at or record.start_time
    longest = latest_end(since, settings.sessions.max_session_s)
    return record.style is not SessionStyle.NAMESPACE and now_ms >= longest


def awaits_client_in_vain(record: SessionRecord, settings: Settings, now_ms: int) -> bool:
    """Return whether nobody was seen in a session whose client had to connect by now."""
    if record.style is not SessionStyle.NAMESPACE or record.connected_at:
        return False
    return now_ms >= record.start_time + settings.orchestrator.connect_within_s * 1000


async def all_sessions(state: SessionState) -> list[SessionRecord]:
    """Return all sessions that live, oldest first."""
    found: dict[str, SessionRecord] = {}
    after: str | None = None
    while page := await state.records.page(after, _PAGE):
        if page[-1].id in found:
            break  # the one to go on after has ended meanwhile, and this is the first page again
        found.update({record.id: record for record in page})
        after = page[-1].id
    return list(found.values())
