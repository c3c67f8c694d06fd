"""``POST /v1/embeddings``: texts that share words get vectors that are close."""

from __future__ import annotations

import base64
import json
import math
import re
import zlib
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from aiohttp import web
from openai.types import EmbeddingModel
from pydantic import Field

from tests.standins.answer_stream import AnswerStream
from tests.standins.errors import ContractFault
from tests.standins.exchange import Exchange, ExchangeLog
from tests.standins.wire_model import WireModel, parse_json

_DIMENSIONS = {"text-embedding-3-large": 3072}
_USUAL_DIMENSIONS = 1536
EMBEDDING_MODELS = frozenset(get_args(EmbeddingModel))


class EmbeddingRequest(WireModel):
    """Texts to embed."""

    model: str
    input: str | list[str]
    encoding_format: Literal["base64", "float"] = "float"
    dimensions: int | None = Field(None, ge=1, le=3072)
    user: str | None = None

    @property
    def texts(self) -> list[str]:
        """The texts, in order."""
        return [self.input] if isinstance(self.input, str) else self.input


class EmbeddingRoute:
    """Answers embedding requests.

    Args:
        log: where the exchanges are kept.
    """

    def __init__(self, log: ExchangeLog) -> None:
        self._log = log

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Handle one request."""
        wanted = _parse(await request.read())
        with self._log.recording(Exchange("embeddings", wanted)) as exchange:
            disturbance = self._log.take_disturbance("embeddings")
            await disturbance.before_answer()
            stream = AnswerStream(request, exchange, disturbance, "application/json")
            return await stream.finish(json.dumps(_answer(wanted)).encode())


def _parse(body: bytes) -> EmbeddingRequest:
    wanted = parse_json(EmbeddingRequest, body)
    if wanted.model not in EMBEDDING_MODELS:
        raise ContractFault(f"model: there is no embedding model '{wanted.model}'", status=404)
    if not wanted.texts or not all(wanted.texts):
        raise ContractFault("input: must not be empty, nor hold empty texts")
    return wanted


def _answer(wanted: EmbeddingRequest) -> dict[str, Any]:
    size = wanted.dimensions or _DIMENSIONS.get(wanted.model, _USUAL_DIMENSIONS)
    data = [
        {"object": "embedding", "index": index, "embedding": _encoded(embed(text, size), wanted)}
        for index, text in enumerate(wanted.texts)
    ]
    tokens = sum(math.ceil(len(text) / 4) for text in wanted.texts)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "model": wanted.model, "data": data, "usage": usage}


def embed(text: str, dimensions: int) -> npt.NDArray[np.float32]:
    """Return a unit vector in which each word of the text has its own place."""
    vector: npt.NDArray[np.float32] = np.zeros(dimensions, dtype="<f4")
    for word in re.findall(r"\w+", text.casefold()) or [text]:
        vector[zlib.crc32(word.encode()) % dimensions] += 1.0
    vector /= np.linalg.norm(vector)
    return vector


def _encoded(vector: npt.NDArray[np.float32], wanted: EmbeddingRequest) -> str | list[float]:
    if wanted.encoding_format == "base64":
        return base64.b64encode(vector.tobytes()).decode()
    return [float(value) for value in vector]
