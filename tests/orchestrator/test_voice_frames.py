"""What a client may send over /ws/voice, how much of it, and what each way to end means."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connection_events import Reason
from orchestrator.voice import departure, frames
from orchestrator.voice.allowance import Allowance, ClientRates
from orchestrator.voice.frames import Audio, BadFrameError, End, Interrupt, Typed
from orchestrator.voice.log_redaction import TicketFilter
from orchestrator.voice.queues import MOST_NOTICES, Inbox, Outbox, TooSlowError
from tests.orchestrator.bad_frames import BAD_AUDIO, BAD_TEXT, BadFrame

RATE = 16_000
CODES = {1003, 1007, 1008, 1009}


def ms(milliseconds: float, rate: int = RATE) -> bytes:
    return bytes(int(rate * milliseconds / 1000) * 2)


def outcome(read: Callable[[], frames.ClientFrame]) -> frames.ClientFrame | BadFrameError:
    try:
        return read()
    except BadFrameError as error:
        return error


@pytest.mark.parametrize("bad", BAD_TEXT, ids=lambda bad: bad.code)
def test_a_bad_text_frame_has_its_error_and_close_code(bad: BadFrame):
    assert isinstance(bad.frame, str)
    with pytest.raises(BadFrameError) as refused:
        frames.read_text(bad.frame)
    assert (refused.value.code, refused.value.close_code) == (bad.code, bad.close_code)


@pytest.mark.parametrize("bad", BAD_AUDIO, ids=lambda bad: bad.code)
def test_a_bad_binary_frame_has_its_error_and_close_code(bad: BadFrame):
    assert isinstance(bad.frame, bytes)
    with pytest.raises(BadFrameError) as refused:
        frames.read_audio(bad.frame, RATE)
    assert (refused.value.code, refused.value.close_code) == (bad.code, bad.close_code)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("length_ms", [10, 20, 60, 100])
def test_ten_to_a_hundred_milliseconds_are_audio_at_every_rate(rate, length_ms):
    samples = -(-rate * length_ms // 1000) if length_ms == 10 else rate * length_ms // 1000
    assert frames.read_audio(bytes(samples * 2), rate) == Audio(bytes(samples * 2))


def test_the_three_text_frames_are_read_and_unknown_fields_are_left_alone():
    assert frames.read_text('{"type": "text", "text": "Hi", "more": [1]}') == Typed("Hi")
    assert frames.read_text('{"type": "interrupt"}') == Interrupt()
    assert frames.read_text('{"type": "end"}') == End()


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
near_frames = st.fixed_dictionaries(
    {},
    optional={"type": st.sampled_from(["text", "interrupt", "end", "x"]) | json_values},
).flatmap(lambda base: json_values.map(lambda value: json.dumps({**base, "text": value})))


@given(st.text() | json_values.map(json.dumps) | near_frames)
def test_whatever_text_comes_is_a_frame_or_a_bad_one(text):
    frame = outcome(lambda: frames.read_text(text))
    if isinstance(frame, BadFrameError):
        assert frame.close_code in CODES
        return
    assert isinstance(frame, Typed | Interrupt | End)
    if isinstance(frame, Typed):
        assert len(frame.text.encode()) > 0
        assert len(frame.text) <= frames.LONGEST_TEXT


@given(st.binary(max_size=20_000), st.integers(8_000, 48_000))
def test_whatever_bytes_come_are_audio_of_ten_to_a_hundred_milliseconds_or_bad(pcm, rate):
    frame = outcome(lambda: frames.read_audio(pcm, rate))
    if isinstance(frame, BadFrameError):
        assert frame.close_code in CODES
        return
    assert isinstance(frame, Audio)
    assert frame.pcm == pcm
    assert 0.01 <= len(pcm) / 2 / rate <= 0.1


def test_audio_at_its_own_pace_is_never_too_fast_and_audio_at_ten_times_that_is():
    now = [0.0]
    rates = ClientRates(RATE, lambda: now[0])
    for _ in range(1000):
        rates.check(Audio(ms(20)))
        now[0] += 0.02
    with pytest.raises(BadFrameError) as refused:
        for _ in range(2000):
            rates.check(Audio(ms(20)))
            now[0] += 0.002
    assert (refused.value.code, refused.value.close_code) == ("too_fast", 1008)


def test_a_burst_of_text_frames_is_taken_and_a_flood_is_not():
    rates = ClientRates(RATE, lambda: 0.0)
    for _ in range(20):
        rates.check(Interrupt())
    with pytest.raises(BadFrameError):
        rates.check(Typed("one more"))


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0.01, 3)), max_size=50))
def test_an_allowance_never_gives_more_than_its_burst_and_what_came_back(spent):
    now, given_out = [0.0], 0.0
    allowance = Allowance(2.0, 10.0, lambda: now[0])
    for passed, amount in spent:
        now[0] += passed
        if allowance.spend(amount):
            given_out += amount
    assert given_out <= 10.0 + 2.0 * now[0] + 1e-6


async def test_of_audio_that_waits_too_long_the_oldest_is_dropped():
    inbox = Inbox(RATE)
    pieces = [bytes([n]) * 3_200 for n in range(20)]  # 100 ms each
    for piece in pieces:
        inbox.put(piece)
    assert [await inbox.take() for _ in range(10)] == pieces[10:]


async def test_a_notice_overtakes_the_voice_and_no_notice_is_dropped():
    outbox = Outbox(RATE)
    for _ in range(50):
        outbox.speak(ms(100))
    outbox.notify("one")
    outbox.notify("two")
    assert [await outbox.take(), await outbox.take()] == ["one", "two"]
    outbox.hush()
    outbox.finish("last")
    outbox.notify("too late")
    assert [await outbox.take(), await outbox.take()] == ["last", None]


async def test_a_client_that_reads_no_notices_is_too_slow():
    outbox = Outbox(RATE)
    with pytest.raises(TooSlowError):
        for _ in range(MOST_NOTICES + 1):
            outbox.notify("again")


@pytest.mark.parametrize(
    ("code", "reason", "why", "event", "ends"),
    [
        (1000, "", "client_closed", Reason.CLIENT_DISCONNECT, True),
        (1001, "tab closed", "client_closed", Reason.CLIENT_DISCONNECT, True),
        (1005, "", "client_closed", Reason.CLIENT_DISCONNECT, True),
        (1006, None, "client_lost", Reason.CLIENT_DISCONNECT, False),
        (1006, departure.PING_TIMED_OUT, "ping_timeout", Reason.TIMEOUT, False),
        (1011, "the client failed", "client_lost", Reason.CLIENT_DISCONNECT, False),
        (1012, None, "server_shutdown", Reason.SERVER_ERROR, False),
        (1012, "said by a client", "client_lost", Reason.CLIENT_DISCONNECT, False),
        (1002, "", "protocol_error", Reason.CLIENT_DISCONNECT, False),
        (1009, "", "protocol_error", Reason.CLIENT_DISCONNECT, False),
    ],
)
def test_each_way_to_disconnect_has_its_reason(code, reason, why, event, ends):
    how = departure.of_disconnect(code, reason)
    assert (how.why, how.reason, how.ends_session) == (why, event, ends)


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("GET /ws/voice?session_id=a&ticket=SECRET HTTP/1.1", ()),
        ('%s - "WebSocket %s" [accepted]', ("peer", "/ws/voice?ticket=SECRET&session_id=a")),
        ('%s "%s %s"', ("peer", "GET", "/ws/voice?Ticket=SECRET")),
        ('%s "%s"', ("peer", "/ws/voice?session_id=a&t%69cket=SECRET")),
    ],
)
def test_no_log_line_of_the_server_has_a_ticket(message, arguments):
    record = logging.LogRecord("uvicorn.error", 20, "", 0, message, arguments, None)
    assert TicketFilter().filter(record)
    assert "SECRET" not in record.getMessage()
    assert "hidden" in record.getMessage()
