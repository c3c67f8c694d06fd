"""The transcript in docs/ is what the walk by plain curl really prints."""

from __future__ import annotations

import asyncio

import pytest

from demo.curl_walk import DOCUMENT, Walk, missing_programs
from devstack.development import Development


@pytest.mark.skipif(
    bool(missing_programs()), reason=f"not on PATH: {' and '.join(missing_programs())}"
)
def test_the_walk_by_plain_curl_prints_the_transcript_in_docs(development_stack: Development):
    walk = Walk(development_stack)
    asyncio.run(walk.go())
    assert walk.transcript.text() == DOCUMENT.read_text(encoding="utf-8")
