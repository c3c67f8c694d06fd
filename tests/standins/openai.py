"""A stand-in for OpenAI: chat completions, speech, transcriptions and embeddings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, cast

from aiohttp import web

from tests.standins.brain import echo
from tests.standins.chat_answer import Brain
from tests.standins.chat_request import CHAT_MODELS, ChatRequest
from tests.standins.exchange import Disturbance, Exchange, ExchangeLog
from tests.standins.openai_chat import ChatRoute
from tests.standins.openai_embeddings import EMBEDDING_MODELS, EmbeddingRequest, EmbeddingRoute
from tests.standins.openai_speech import SPEECH_MODELS, SpeechRequest, SpeechRoute
from tests.standins.openai_transcriptions import (
    TRANSCRIPTION_MODELS,
    TranscriptionRequest,
    TranscriptionRoute,
)
from tests.standins.server import API_KEY, StandIn
from tests.standins.timing import Timing
from tests.standins.transcripts import Script, Transcribe

Route = Literal["chat", "speech", "transcriptions", "embeddings", "models"]

_ERROR_TYPES = {401: "authentication_error", 429: "rate_limit_exceeded", 500: "server_error"}


class OpenAIStandIn(StandIn):
    """OpenAI's API on the loopback address.

    >>> with OpenAIStandIn(ScriptedBrain().when("hello", "Hello, Anna!")) as openai:
    ...     llm = plugin.LLM(base_url=openai.base_url, api_key=openai.api_key)

    Args:
        brain: answers chat requests; by default an echo.
        transcribe: the words of the recordings to transcribe, as lines or as a function.
        timing: how fast it answers.
        port: see `StandIn`.
    """

    api_key = API_KEY
    authorization = f"Bearer {API_KEY}"

    def __init__(
        self,
        brain: Brain = echo,
        *,
        transcribe: Iterable[str] | Transcribe = (),
        timing: Timing | None = None,
        port: int = 0,
    ) -> None:
        super().__init__(port=port)
        self._timing = timing or Timing()
        self._log = ExchangeLog(lambda: self.stopping)
        words = transcribe if callable(transcribe) else Script(transcribe)
        self._chat = ChatRoute(self._log, brain, self._timing)
        self._speech = SpeechRoute(self._log, self._timing)
        self._transcriptions = TranscriptionRoute(self._log, words, self._timing)
        self._embeddings = EmbeddingRoute(self._log)

    @property
    def base_url(self) -> str:
        """What the plugins take as ``base_url``."""
        return f"{self.origin}/v1"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point a process here."""
        return {"OPENAI_API_KEY": self.api_key, "OPENAI_BASE_URL": self.base_url}

    @property
    def timing(self) -> Timing:
        """How fast it answers; its attributes may be changed while the stand-in runs."""
        return self._timing

    @property
    def brain(self) -> Brain:
        """What answers chat requests; may be replaced while the stand-in runs."""
        return self._chat.brain

    @brain.setter
    def brain(self, brain: Brain) -> None:
        self._chat.brain = brain

    @property
    def exchanges(self) -> list[Exchange[object]]:
        """All well-formed requests so far, in order of arrival."""
        return list(self._log.exchanges)

    @property
    def chats(self) -> list[Exchange[ChatRequest]]:
        """The chat requests so far."""
        return cast("list[Exchange[ChatRequest]]", self._of("chat"))

    @property
    def speeches(self) -> list[Exchange[SpeechRequest]]:
        """The speech requests so far."""
        return cast("list[Exchange[SpeechRequest]]", self._of("speech"))

    @property
    def transcriptions(self) -> list[Exchange[TranscriptionRequest]]:
        """The transcription requests so far."""
        return cast("list[Exchange[TranscriptionRequest]]", self._of("transcriptions"))

    @property
    def embeddings(self) -> list[Exchange[EmbeddingRequest]]:
        """The embedding requests so far."""
        return cast("list[Exchange[EmbeddingRequest]]", self._of("embeddings"))

    def disturb(self, route: Route, disturbance: Disturbance, *, times: int = 1) -> None:
        """Let something go wrong with the next well-formed requests on a route.

        Args:
            route: which requests.
            disturbance: what goes wrong.
            times: with how many of them.
        """
        self._log.order(route, disturbance, times)

    def _of(self, route: Route) -> list[Any]:
        return [exchange for exchange in self._log.exchanges if exchange.route == route]

    def _routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/chat/completions", self._chat.answer),
            web.post("/v1/audio/speech", self._speech.answer),
            web.post("/v1/audio/transcriptions", self._transcriptions.answer),
            web.post("/v1/embeddings", self._embeddings.answer),
            web.get("/v1/models", self._list_models),
            web.get("/v1/", self._greet),
        ]

    async def _list_models(self, _request: web.Request) -> web.StreamResponse:
        with self._log.recording(Exchange("models", None)):
            await self._log.take_disturbance("models").before_answer()
            names = CHAT_MODELS | SPEECH_MODELS | TRANSCRIPTION_MODELS | EMBEDDING_MODELS
            models = [
                {"id": name, "object": "model", "created": 0, "owned_by": "stand-in"}
                for name in sorted(names)
            ]
            return web.json_response({"object": "list", "data": models})

    async def _greet(self, _request: web.Request) -> web.StreamResponse:
        # The speech plugin warms its connection up here and reads nothing of the answer.
        return web.json_response({"message": "OpenAI stand-in"})

    def _refusal(self, status: int, message: str) -> web.Response:
        kind = _ERROR_TYPES.get(status, "invalid_request_error")
        error = {"message": message, "type": kind, "param": None, "code": None}
        return web.json_response({"error": error}, status=status)
