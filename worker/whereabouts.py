"""Where the person of a conversation is, out of signs that come late, twice, or not at all.

Each sign says when it was; the newest holds, and who has left for good has left whatever
comes later. So the order in which signs are heard does not matter, nor how often: what is
held is the same for every order of the same signs, and a lost sign is made up for by any
other that is as new.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from connection_events import Reason


class Whereabouts(str, Enum):
    """Where the person is, as far as signs say."""

    HERE = "here"
    UNHEARD = "unheard"
    """LiveKit has them in the room and gets nothing of them."""
    GONE = "gone"
    LEFT = "left"
    """They hung up, or were removed: nobody waits for them."""


_RANK = {Whereabouts.HERE: 0, Whereabouts.UNHEARD: 1, Whereabouts.GONE: 2, Whereabouts.LEFT: 3}
_REASON_RANK = {Reason.CLIENT_DISCONNECT: 0, Reason.TIMEOUT: 1, Reason.SERVER_ERROR: 2}


@dataclass(frozen=True)
class Sign:
    """Something that says where the person is.

    Attributes:
        where: what it says.
        at_ms: since when, in milliseconds since the epoch.
        reason: why they are not here; where they are, why they had not been.
        silent_ms: for how long before they had been silent already, in milliseconds.
        told: whether others said it, and not LiveKit.
    """

    where: Whereabouts
    at_ms: int
    reason: Reason = Reason.TIMEOUT
    silent_ms: int = 0
    told: bool = False

    @property
    def is_here(self) -> bool:
        """Whether the agent may be heard by somebody."""
        return self.where is Whereabouts.HERE

    @property
    def heard_ms(self) -> int:
        """When they can have heard something last."""
        return self.at_ms - self.silent_ms

    @property
    def ends_as(self) -> Reason:
        """Why the conversation ends, where it ends by this."""
        if self.where is Whereabouts.LEFT:
            return Reason.CLIENT_DISCONNECT
        return Reason.SERVER_ERROR if self.reason is Reason.SERVER_ERROR else Reason.TIMEOUT

    def _weight(self) -> tuple[bool, int, bool, int, int]:
        has_left = self.where is Whereabouts.LEFT
        # What others say of the same moment is the echo of what LiveKit reported.
        seen = not self.told
        return has_left, self.at_ms, seen, _RANK[self.where], _REASON_RANK[self.reason]

    def outweighs(self, other: Sign) -> bool:
        """Return whether this one holds where both are known."""
        return self._weight() > other._weight()


class Signs:
    """What holds of all signs that were heard.

    Args:
        first: holds in the beginning.
    """

    def __init__(self, first: Sign) -> None:
        self.holds = first

    def note(self, sign: Sign) -> bool:
        """Take a sign; returns whether it holds now."""
        if not sign.outweighs(self.holds):
            return False
        self.holds = sign
        return True
