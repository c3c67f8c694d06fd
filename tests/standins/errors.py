"""The errors of the stand-ins.

A `ContractFault` and an `InjectedFailure` become HTTP refusals; the others are for whoever
runs the stand-in.
"""

from __future__ import annotations

from collections.abc import Sequence


class StandInError(Exception):
    """Base of the errors of the stand-ins."""


class NoFreePortError(StandInError):
    """No port could be bound; end what occupies ports 20000 to 32767."""


class ContractFault(StandInError):  # noqa: N818 - a fault of the client, not an error of ours
    """A request that the real provider would refuse.

    Args:
        problems: what is wrong, a sentence each.
        status: the HTTP status of the refusal.
    """

    def __init__(self, problems: str | Sequence[str], *, status: int = 400) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        self.status = status
        super().__init__("; ".join(self.problems))


class InjectedFailure(StandInError):  # noqa: N818 - asked for by the test
    """A refusal that the test asked for; no fault of the client.

    Args:
        status: the HTTP status of the refusal.
    """

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"the test asked for status {status}")


class ScriptError(StandInError):
    """The test's script does not fit the conversation; mend the script or the product."""
