"""The environment becomes frozen settings, or one sentence about what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

import config
from config import PROJECT_ROOT, ConfigError, Settings


def test_an_empty_environment_gives_the_embedded_defaults():
    settings = Settings.from_environment({})
    assert settings.store.supabase_url is None
    assert settings.store.data_dir == PROJECT_ROOT / "data"
    assert settings.worker.host == "127.0.0.1"
    assert settings.store.memory_enabled


def test_a_variable_set_to_nothing_counts_as_unset():
    assert Settings.from_environment({"MAX_JOBS": " "}).worker.max_jobs == 50


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MAX_JOBS", "many"),
        ("MAX_JOBS", "0"),
        ("WORKER_PORT", "70000"),
        ("SUPABASE_URL", "db.example.com"),
        ("RECALL_DEADLINE_MS", "-1"),
        ("MEMORY_ENABLED", "perhaps"),
        ("TURN_DETECTION", "psychic"),
        ("SIP_VERIFIED_WHEN", "sip.trunkID"),
        ("FACT_EXTRACTION", "psychic"),
        ("FACT_CONFIDENCE", "2"),
        ("TRANSCRIPT_CONFIDENCE", "high"),
        ("REDIS_URL", "http://127.0.0.1:6379"),
        ("REDIS_URL", "redis://127.0.0.1:many/0"),
        ("REDIS_URL", "redis://:pass-word@127.0.0.1:70000/0"),
        ("REDIS_URL", "redis://[::1/0"),
    ],
)
def test_an_unusable_value_is_refused_in_a_sentence_that_names_its_variable(variable, value):
    with pytest.raises(ConfigError, match=f"^{variable}: .*See .env.example.$"):
        Settings.from_environment({variable: value})


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError):
        Settings.from_environment({}).worker.max_jobs = 3


def test_no_secret_shows_when_settings_are_printed():
    secrets = {
        "OPENAI_API_KEY": "sk-hidden-1",
        "DEEPGRAM_API_KEY": "hidden-2",
        "SUPABASE_SERVICE_ROLE_KEY": "hidden-3",
        "SUPABASE_ANON_KEY": "hidden-4",
        "LIVEKIT_API_SECRET": "hidden-5",
    }
    assert "hidden" not in repr(Settings.from_environment(secrets))


def test_the_newer_names_of_supabases_keys_work_too():
    newer = {"SUPABASE_SECRET_KEY": "sb_secret_x", "SUPABASE_PUBLISHABLE_KEY": "sb_publishable_y"}
    store = Settings.from_environment(newer).store
    assert (
        store.supabase_service_key,
        store.supabase_anon_key,
    ) == ("sb_secret_x", "sb_publishable_y")


def test_sip_verification_is_a_list_of_attributes_with_values():
    given = {"SIP_VERIFIED_WHEN": "sip.trunkID=ST_1, sip.h.x-verstat=TN=ok"}
    assert (Settings.from_environment(given).worker.sip_verified_when) == (
        ("sip.trunkID", "ST_1"),
        ("sip.h.x-verstat", "TN=ok"),
    )


def test_the_env_file_is_read_under_the_environment(tmp_path: Path, monkeypatch):
    env_file = tmp_path / "settings"
    env_file.write_text("MAX_JOBS=3\nRECALL_LIMIT=4\n")
    monkeypatch.setenv("ENV_FILE", str(env_file))
    monkeypatch.setenv("MAX_JOBS", "5")
    settings = Settings.from_environment()
    assert (settings.worker.max_jobs, settings.store.recall_limit) == (5, 4)


def test_every_variable_is_explained_in_the_example_and_in_the_readme():
    variables = {*config.variables(), "ENV_FILE"}
    for name in (".env.example", "README.md"):
        text = (PROJECT_ROOT / name).read_text()
        assert not {variable for variable in variables if variable not in text}, name
