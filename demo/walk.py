"""The steps of the walk through the orchestrator: what is run, and what must come back."""

from __future__ import annotations

from dataclasses import dataclass

ORCHESTRATOR = "http://127.0.0.1:8000"
"""Where the transcript says it is; replaced by where it is."""

PERSON = "anna@example.com"
SAID = "Hello, my name is Anna."

_JSON = "-H 'Content-Type: application/json'"
_STATUS = r"-w '\nHTTP %{http_code}\n'"


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        title: what it does.
        command: for sh; ``SESSION_ID`` in it stands for the session.
        status: the HTTP status that must come.
        answers: texts that the answer must have in it.
    """

    title: str
    command: str
    status: int
    answers: tuple[str, ...] = ()


HEALTH = Step(
    "Is it healthy?",
    f"curl -s {_STATUS} {ORCHESTRATOR}/health",
    200,
    ('"healthy"',),
)
START = Step(
    "Start a session. The room is made and the agent is dispatched at once.",
    f"curl -s {_STATUS} {ORCHESTRATOR}/api/session/start {_JSON} \\\n"
    f'  -d \'{{"userName": "{PERSON}"}}\'',
    200,
    ('"sessionId"', '"token"', '"serverUrl"'),
)
LOOK = Step(
    "While they talk, the session is ready.",
    f"curl -s {_STATUS} {ORCHESTRATOR}/api/session/SESSION_ID",
    200,
    ('"ready"',),
)
_EVENT = (
    '{"event": "participant_left", "id": "EV_walk", "room": {"name": "SESSION_ID"}, '
    f'"participant": {{"identity": "{PERSON}"}}}}'
)
WEBHOOK = Step(
    "A webhook as older senders sign it. It says that the person has left, which is not so: a\n"
    "webhook is a hint, the room is asked, and the session lives on.",
    f"BODY='{_EVENT}'\n"
    'SIGNATURE=$(printf %s "$BODY" | openssl dgst -sha256 -hmac "$LIVEKIT_API_SECRET" -r '
    "| cut -d ' ' -f 1)\n"
    f"curl -s {_STATUS} {ORCHESTRATOR}/webhook/livekit {_JSON} \\\n"
    '  -H "X-LiveKit-Signature: $SIGNATURE" -d "$BODY"',
    200,
    ('"ok"', '"participant_left"'),
)
UNSIGNED = Step(
    "The same without a signature.",
    f"curl -s {_STATUS} {ORCHESTRATOR}/webhook/livekit {_JSON} \\\n  -d '{_EVENT}'",
    401,
)
END = Step(
    "End the session. The answer comes when everything is gone: the agent's process, the room,\n"
    "and what Redis held.",
    f"curl -s {_STATUS} {ORCHESTRATOR}/api/session/end {_JSON} \\\n"
    '  -d \'{"sessionId": "SESSION_ID"}\'',
    200,
    ('"redis_cleaned":true', '"process_killed":true', '"room_deleted":true', '"errors":[]'),
)
END_AGAIN = Step(
    "It has ended: ending it again finds nothing.",
    END.command,
    404,
)
LOOK_AGAIN = Step("Nor does asking for it.", LOOK.command, 404)
TOKEN = Step(
    "LiveKit's standard token endpoint, for front ends; the agent comes when somebody joins.",
    f"curl -s {_STATUS} {ORCHESTRATOR}/api/token {_JSON} -d '{{}}'",
    201,
    ('"server_url"', '"participant_token"', '"serverUrl"', '"participantToken"'),
)
