"""The contract for the state of sessions, part by part.

Every call may raise `sessions.StateUnreachableError`. Nothing here talks to LiveKit or to a
process.
"""

from sessions.contract.agents import AgentReports
from sessions.contract.cleanups import Claim, ClaimResult, CleanupLedger
from sessions.contract.conversations import Conversations
from sessions.contract.marks import Marks, Namespaces, Tickets
from sessions.contract.records import SessionRecords

__all__ = [
    "AgentReports",
    "Claim",
    "ClaimResult",
    "CleanupLedger",
    "Conversations",
    "Marks",
    "Namespaces",
    "SessionRecords",
    "Tickets",
]
