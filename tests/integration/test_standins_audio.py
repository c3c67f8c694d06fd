"""Speech, transcriptions and embeddings: the real plugins and the stand-in."""

from __future__ import annotations

import numpy as np
import pytest
from openai import AsyncClient

from tests.standins import KnownRecordings, OpenAIStandIn, voice_heard
from tests.standins.plugins import openai_stt, openai_tts
from tests.standins.recordings import MY_NAME_IS_ANNA, RECORDINGS, whole_frame


@pytest.mark.parametrize("model", ["gpt-4o-mini-tts", "tts-1"])
@pytest.mark.parametrize("response_format", ["mp3", "wav", "pcm"])
@pytest.mark.parametrize("voice", ["alloy", "nova"])
async def test_speech_is_as_long_as_its_text_and_tells_the_voice(model, response_format, voice):
    text = "Hello, Anna! It is nice to meet you."
    with OpenAIStandIn() as openai:
        speaker = openai_tts(openai, model=model, voice=voice, response_format=response_format)
        spoken = [audio async for audio in speaker.synthesize(text)]
        await speaker.aclose()

    pcm = b"".join(bytes(audio.frame.data) for audio in spoken)
    sample_rate = spoken[0].frame.sample_rate
    assert len(pcm) / 2 / sample_rate == pytest.approx(len(text) * 0.06, abs=0.1)
    assert voice_heard(pcm, sample_rate) == voice
    assert spoken[0].request_id.startswith("req_")
    assert openai.speeches[0].request.input == text
    assert openai.speeches[0].request.stream_format == ("audio" if model == "tts-1" else "sse")
    openai.assert_no_faults()


@pytest.mark.parametrize("model", ["gpt-4o-mini-transcribe", "gpt-4o-transcribe", "whisper-1"])
async def test_a_recording_is_transcribed(model):
    with OpenAIStandIn(transcribe=KnownRecordings(RECORDINGS)) as openai:
        listener = openai_stt(openai, model=model)
        event = await listener.recognize([whole_frame(MY_NAME_IS_ANNA)])
        await listener._client.close()
        await listener.aclose()

    assert event.alternatives[0].text == "Hello, my name is Anna."
    recording = openai.transcriptions[0].request
    assert (recording.fields.model, recording.fields.language) == (model, "en")
    assert recording.seconds == pytest.approx(3.11, abs=0.01)
    openai.assert_no_faults()


async def test_embeddings_of_texts_that_share_words_are_closer():
    texts = ["I like blue", "blue is what I like", "trains run late"]
    with OpenAIStandIn() as openai:
        async with AsyncClient(base_url=openai.base_url, api_key=openai.api_key) as client:
            answer = await client.embeddings.create(model="text-embedding-3-small", input=texts)
    asked, near, far = (np.array(item.embedding) for item in answer.data)
    assert len(asked) == 1536
    assert asked @ near > 0.7 > 0.1 > asked @ far
    openai.assert_no_faults()
