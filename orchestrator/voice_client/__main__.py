"""``python -m orchestrator.voice_client``: speaks WAV files, or a microphone, to a session."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import httpx

from orchestrator.voice_client.client import ConversationOverError, VoiceClient
from orchestrator.voice_client.microphone import Loudspeaker, NoMicrophoneError, converse
from orchestrator.voice_client.turns import Turns, Voice
from orchestrator.voice_client.wav import UnusableWavError, read_wav, write_wav


@dataclass(frozen=True)
class Where:
    """Where to connect: the URL, and the headers that go with it."""

    url: str
    headers: dict[str, str]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line, and return the exit status."""
    given = _parser().parse_args(arguments)
    try:
        return asyncio.run(_run(given))
    except (ConversationOverError, NoMicrophoneError, UnusableWavError) as error:
        print(f"voice_client: {error}", file=sys.stderr)  # noqa: T201 - a command's output
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m orchestrator.voice_client")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--url", help="a session's websocket_url; - reads it from stdin")
    where.add_argument("--start", metavar="HTTP_URL", help="start a session at this orchestrator")
    parser.add_argument("--user", default="voice-client", help="for whom, with --start")
    parser.add_argument("--api-key-file", type=Path, help="a file with the key to call with")
    parser.add_argument("--wav", type=Path, action="append", default=[], help="speak this file")
    parser.add_argument("--text", action="append", default=[], help="type this, after the files")
    parser.add_argument("--out", type=Path, help="write the agent's voice to this WAV file")
    parser.add_argument("--microphone", action="store_true", help="speak and listen live")
    parser.add_argument("--sample-rate", type=int, default=16_000, help="in Hz (16000)")
    parser.add_argument("--no-greeting", action="store_true", help="do not wait for a greeting")
    parser.add_argument("--stay", action="store_true", help="stay connected until killed")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds for an answer")
    parser.add_argument("--json", action="store_true", help="print what is said as JSON lines")
    return parser


async def _run(given: argparse.Namespace) -> int:
    spoken = [read_wav(path, given.sample_rate) for path in given.wav]
    where = await _where(given)
    if given.microphone:
        loudspeaker = Loudspeaker()
        connection = VoiceClient(
            where.url,
            sample_rate=given.sample_rate,
            headers=where.headers,
            on_voice=loudspeaker.take,
        )
        async with connection as client:
            print(f"closed: {await converse(client, loudspeaker)}")  # noqa: T201 - its output
        return 0
    voice = Voice()
    try:
        await _converse(given, where, spoken, voice)
    finally:
        if given.out is not None:
            write_wav(given.out, bytes(voice.pcm), given.sample_rate)
    return 0


async def _converse(
    given: argparse.Namespace, where: Where, spoken: list[bytes], voice: Voice
) -> None:
    def tell(who: str, text: str) -> None:
        line = json.dumps({"who": who, "text": text}) if given.json else f"{who}: {text}"
        print(line, flush=True)  # noqa: T201 - a command's output

    connection = VoiceClient(
        where.url, sample_rate=given.sample_rate, headers=where.headers, on_voice=voice.take
    )
    async with connection as client, Turns(client, tell=tell, voice=voice) as turns:
        if not given.no_greeting:
            await turns.hear(given.timeout)
        for pcm in spoken:
            answer = await turns.say(pcm, given.timeout)
            if answer.first_voice_s is not None:
                tell("time to the answer", f"{answer.first_voice_s:.2f} s")
        for text in given.text:
            await turns.type(text, given.timeout)
        if given.stay:
            await asyncio.Event().wait()
        tell("closed", await turns.end())


async def _where(given: argparse.Namespace) -> Where:
    headers = {}
    if given.api_key_file is not None:
        key = given.api_key_file.read_text(encoding="utf-8").strip()
        headers["Authorization"] = f"Bearer {key}"
    if given.start is None:
        url = sys.stdin.readline().strip() if given.url == "-" else given.url
        return Where(url, headers)
    try:
        async with httpx.AsyncClient(base_url=given.start, headers=headers) as orchestrator:
            answer = await orchestrator.post("/api/session/start", json={"userName": given.user})
            answer.raise_for_status()
    except httpx.HTTPError as error:
        raise ConversationOverError(f"could not start a session: {error}") from error
    parts = urlsplit(given.start)
    scheme = "wss" if parts.scheme == "https" else "ws"
    query = f"session_id={quote(answer.json()['sessionId'])}"
    return Where(urlunsplit((scheme, parts.netloc, "/ws/voice", query, "")), headers)


if __name__ == "__main__":
    sys.exit(main())
