"""Who, of all participants in a room, is the user; and whether they may be remembered."""

from __future__ import annotations

import asyncio
import re

from livekit import rtc
from livekit.agents import JobContext

PEOPLE = [
    rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD,
    rtc.ParticipantKind.PARTICIPANT_KIND_SIP,
    rtc.ParticipantKind.PARTICIPANT_KIND_CONNECTOR,
]
"""Agents, egress, ingress and bridges are machines: never the user."""

_NUMBER_ATTRIBUTE = "sip.phoneNumber"
"""https://docs.livekit.io/reference/telephony/sip-participant/"""

_E164 = re.compile(r"\+[1-9]\d{6,14}")


async def wait_for_user(
    ctx: JobContext, *, expected_identity: str | None, timeout_s: float
) -> rtc.RemoteParticipant | None:
    """Wait for the person whom the job serves.

    Args:
        ctx: a connected job.
        expected_identity: where given, exactly that participant is waited for, whoever else
            comes first; else the first person.
        timeout_s: seconds to wait.

    Returns:
        The participant, or None when nobody came in time or the room went away.
    """
    try:
        return await asyncio.wait_for(
            ctx.wait_for_participant(identity=expected_identity, kind=PEOPLE), timeout_s
        )
    except (asyncio.TimeoutError, RuntimeError):
        return None


def remembered_identity(
    participant: rtc.RemoteParticipant, sip_verified_when: tuple[tuple[str, str], ...]
) -> str | None:
    """Return the identity under which a participant is remembered, or None.

    A caller over SIP is known by their number, as a ``tel:`` URI (RFC 3966), and only where an
    attribute that the SIP service set says that the number is verified: a caller id alone can
    be forged, and would open somebody else's memories.

    Args:
        participant: the user.
        sip_verified_when: attributes with the values that vouch for the number, such as the
            id of a trunk whose carrier checks it; any one of them is enough.
    """
    if participant.kind != rtc.ParticipantKind.PARTICIPANT_KIND_SIP:
        return participant.identity
    attributes = participant.attributes
    number = attributes.get(_NUMBER_ATTRIBUTE, "")
    vouched = any(attributes.get(name) == value for name, value in sip_verified_when)
    return f"tel:{number}" if vouched and _E164.fullmatch(number) else None
