"""HTTP requests to a Supabase project, as its clients send them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection


@dataclass(frozen=True)
class Answer:
    status: int
    content: object
    headers: Mapping[str, str]


def request(
    url: str,
    path: str,
    headers: Mapping[str, str],
    method: str = "GET",
    body: object = None,
) -> Answer:
    connection = HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        payload = None if body is None else json.dumps(body)
        if payload is not None:
            headers = {"Content-Type": "application/json", **headers}
        connection.request(method, path, payload, dict(headers))
        answer = connection.getresponse()
        text = answer.read().decode()
    finally:
        connection.close()
    is_json = "json" in (answer.getheader("Content-Type") or "")
    content = json.loads(text) if is_json and text else text
    return Answer(answer.status, content, {k.lower(): v for k, v in answer.getheaders()})


def as_key(key: str) -> dict[str, str]:
    """What supabase-py sends when it is given one key."""
    return {"apikey": key, "Authorization": f"Bearer {key}"}
