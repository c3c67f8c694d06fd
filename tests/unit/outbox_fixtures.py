"""An outbox and the database behind it."""

from __future__ import annotations

import pytest

from tests.outbox import Database, an_outbox


@pytest.fixture
def outbox(data_dir):
    made = an_outbox(data_dir)
    yield made
    made.close()


@pytest.fixture
def database(tmp_path):
    made = Database(tmp_path / "database")
    yield made
    made.files.close()
