"""Who may send webhooks, and what counts as one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit import api

from orchestrator.errors import BadRequestError, UnauthorizedError
from orchestrator.webhooks.verifying import WebhookVerifier
from tests.orchestrator.ending_world import KEY, SECRET, a_session
from tests.orchestrator.webhook_events import an_event, hmac_of, plain, token_for

VERIFIER = WebhookVerifier(KEY, SECRET, allow_unsigned=False)
BODY = an_event("room_finished", a_session())


def read(body=BODY, *, authorization=None, signature=None, verifier=VERIFIER):
    raw = body if isinstance(body, bytes) else body.encode()
    return verifier.read(raw, authorization=authorization, signature=signature)


@pytest.mark.parametrize("scheme", ["", "Bearer ", "bearer "])
def test_livekits_own_signature_is_accepted(scheme):
    event = read(authorization=scheme + token_for(BODY))
    assert event.event == "room_finished"


@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_the_hmac_of_older_senders_is_accepted(case):
    assert read(signature=case(hmac_of(BODY))).event == "room_finished"


def test_an_older_senders_event_needs_no_id():
    body = plain(event="participant_left", room={"name": "r"}, participant={"identity": "a"})
    assert read(body, signature=hmac_of(body)).room.name == "r"


WRONG = {
    "nothing": {},
    "an empty header": {"authorization": "", "signature": ""},
    "no token": {"authorization": "Bearer"},
    "not a token": {"authorization": "Bearer abc"},
    "another secret": {"authorization": token_for(BODY, secret="x" * 40)},
    "another key": {"authorization": token_for(BODY, key="other")},
    "another body's": {"authorization": token_for(BODY + " ")},
    "a participant's token": {
        "authorization": api.AccessToken(KEY, SECRET).with_identity("a").to_jwt()
    },
    "another secret's hmac": {"signature": hmac_of(BODY, "x" * 40)},
    "another body's hmac": {"signature": hmac_of(BODY + " ")},
    "half an hmac": {"signature": hmac_of(BODY)[:32]},
    "an hmac that is none": {"signature": "é" * 64},
    "a right token beside a wrong hmac": {
        "authorization": token_for(BODY),
        "signature": hmac_of(BODY, "x"),
    },
    "a wrong token beside a right hmac": {"authorization": "abc", "signature": hmac_of(BODY)},
}


@pytest.mark.parametrize("headers", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_signature_is_refused(headers):
    with pytest.raises(UnauthorizedError):
        read(**headers)


def test_a_token_that_has_run_out_is_refused():
    digest = token_for(BODY)
    old = api.AccessToken(KEY, SECRET).with_ttl(timedelta(seconds=-300))
    old.claims.sha256 = api.TokenVerifier(KEY, SECRET).verify(digest).sha256
    with pytest.raises(UnauthorizedError):
        read(authorization=old.to_jwt())


@pytest.mark.parametrize("headers", [{}, {"authorization": "abc"}, {"signature": "abc"}])
def test_unsigned_is_accepted_only_where_allowed_and_wrongly_signed_never(headers):
    verifier = WebhookVerifier(KEY, SECRET, allow_unsigned=True)
    if headers:
        with pytest.raises(UnauthorizedError):
            read(**headers, verifier=verifier)
    else:
        assert read(verifier=verifier).event == "room_finished"


def test_without_a_key_no_signature_is_right():
    verifier = WebhookVerifier(None, None, allow_unsigned=False)
    with pytest.raises(UnauthorizedError):
        read(signature=hmac_of(BODY, ""), verifier=verifier)
    with pytest.raises(UnauthorizedError):
        read(authorization=token_for(BODY), verifier=verifier)


NO_EVENTS = [
    "",
    "{",
    "[]",
    "null",
    "1",
    '"event"',
    "{}",
    plain(event=""),
    plain(event=5),
    "[" * 9999,
]


@pytest.mark.parametrize("body", NO_EVENTS, ids=lambda body: body[:12])
def test_what_is_signed_and_no_event_is_a_bad_request(body):
    with pytest.raises(BadRequestError):
        read(body, authorization=token_for(body))
    with pytest.raises(BadRequestError):
        read(body, signature=hmac_of(body))


def test_what_is_signed_and_no_text_is_a_bad_request():
    body = b"\xff\xfe"
    with pytest.raises(BadRequestError):
        read(body, authorization=token_for(body))
    with pytest.raises(BadRequestError):
        read(body, signature=hmac_of(body))


@given(body=st.binary(max_size=200), header=st.text(max_size=100), hmac_given=st.booleans())
def test_no_bytes_and_no_header_make_anything_else_of_it(body, header, hmac_given):
    name = "signature" if hmac_given else "authorization"
    with pytest.raises(UnauthorizedError):
        read(body, **{name: header})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
FIELDS = st.sampled_from(["event", "room", "participant", "id", "createdAt", "track"])


@given(fields=st.dictionaries(FIELDS, json_values))
def test_any_json_is_an_event_or_a_bad_request(fields):
    body = plain(**fields)
    try:
        event = read(body, signature=hmac_of(body))
    except BadRequestError:
        return
    assert event.event
