"""compose.yaml, read as Compose would: no container engine is needed, and none is started."""

from __future__ import annotations

import importlib.util
import re
from typing import Any

import pytest
import yaml

from config import Settings, variables
from devstack.commands.compose_env import new_environment
from devstack.install import livekit_server
from devstack.machine import PROJECT_ROOT

TEXT = (PROJECT_ROOT / "compose.yaml").read_text()
FILE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
OURS = [name for name, service in SERVICES.items() if service.get("build")]
THEIR_OWN = {
    "livekit": {"LIVEKIT_CONFIG"},
    "postgres": {"POSTGRES_PASSWORD"},
    "postgrest": {f"PGRST_{name}" for name in (
        "DB_URI", "DB_SCHEMAS", "DB_EXTRA_SEARCH_PATH", "DB_ANON_ROLE", "DB_MAX_ROWS",
        "JWT_SECRET", "SERVER_PORT", "ADMIN_SERVER_PORT",
    )},
    "migrate": {"DATABASE_URL"},
}  # fmt: skip
PLACEHOLDER = re.compile(r"\$\{(\w+)(:-|:\?)?[^}]*\}")


def filled(text: str) -> str:
    """The text with every variable that compose-env makes, and others empty."""
    given = new_environment()
    return PLACEHOLDER.sub(lambda found: given.get(found[1], ""), text)


@pytest.mark.parametrize("name", SERVICES)
def test_every_published_port_is_on_loopback(name):
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+(/udp)?", port)


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_pinned_to_a_version(name):
    image = SERVICES[name]["image"]
    assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+(\.\d+)?(-alpine)?", image) or name in OURS


def test_livekit_has_the_version_that_the_tests_run():
    assert SERVICES["livekit"]["image"].endswith(f":v{livekit_server.VERSION}")


@pytest.mark.parametrize("name", OURS)
def test_every_command_of_ours_exists(name):
    program, *arguments = SERVICES[name]["command"]
    assert program == "python"
    if arguments[0] == "-m":
        assert importlib.util.find_spec(arguments[1])
    else:
        assert (PROJECT_ROOT / arguments[0]).is_file()


@pytest.mark.parametrize("name", SERVICES)
def test_every_variable_is_read_by_somebody(name):
    known = THEIR_OWN.get(name) or set(variables())
    assert set(SERVICES[name].get("environment", {})) <= known


def test_what_must_be_given_is_exactly_what_compose_env_makes():
    required = {found[1] for found in PLACEHOLDER.finditer(TEXT) if found[2] == ":?"}
    assert required == set(new_environment())


@pytest.mark.parametrize("name", ["worker", "orchestrator"])
def test_the_settings_of_our_services_can_be_used(name):
    environment = SERVICES[name]["environment"]
    settings = Settings.from_environment({k: filled(str(v)) for k, v in environment.items()})
    assert settings.worker.agent_name == "voice-agent"
    assert settings.sessions.redis_url == "redis://redis:6379/0"
    assert settings.orchestrator.mode == "production"


def test_livekit_tells_the_orchestrator_and_knows_the_key_of_ours():
    config = yaml.safe_load(filled(SERVICES["livekit"]["environment"]["LIVEKIT_CONFIG"]))
    port = SERVICES["orchestrator"]["environment"]["ORCHESTRATOR_PORT"]
    assert config["webhook"]["urls"] == [f"http://orchestrator:{port}/webhook/livekit"]
    assert all(len(secret) >= 32 for secret in config["keys"].values())
    published = {port.split(":")[1].split("/")[0] for port in SERVICES["livekit"]["ports"]}
    assert published == {
        str(config["port"]),
        *(str(config["rtc"][f"{p}_port"]) for p in ("tcp", "udp")),
    }


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_waits_for_services_that_can_say_that_they_are_ready(name):
    wanted = SERVICES[name].get("depends_on", {})
    for other in wanted:
        assert other in SERVICES
        condition = wanted[other]["condition"] if isinstance(wanted, dict) else "service_started"
        if condition == "service_healthy":
            assert SERVICES[other]["healthcheck"]["test"]


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_is_there(name):
    for mount in SERVICES[name].get("volumes", []):
        source = mount.split(":")[0]
        assert source in FILE["volumes"] or (PROJECT_ROOT / source).is_file()
    for config in SERVICES[name].get("configs", []):
        assert config["source"] in FILE["configs"]


def test_what_our_image_needs_is_not_kept_out_of_it():
    kept_out = (PROJECT_ROOT / ".dockerignore").read_text().split()
    assert not {"orchestrator", "sessions", "connection_events", "migrations"} & set(kept_out)
