"""No request that Alice may craft reaches Bob's rows, whatever rights the tables give her."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest

from tests.integration.token_world import SECRET, World, wide_open, world

__all__ = ["wide_open", "world"]

READS = [
    "/memory",
    "/memory?user_id=eq.BOB",
    "/memory?user_id=neq.ALICE",
    "/memory?user_id=not.is.null",
    "/memory?or=(user_id.eq.BOB,user_id.eq.ALICE)",
    "/memory?and=(user_id.eq.BOB,or(id.eq.MEM,value.ilike.*))",
    "/memory?id=eq.MEM",
    "/memory?id=in.(MEM)",
    "/memory?value=ilike.*Xylo*",
    "/memory?select=value,profiles(*)",
    "/memory?select=value,profiles!inner(email,user_profiles(*))&profiles.id=eq.BOB",
    "/profiles?id=eq.BOB",
    "/profiles?select=*,memory(*),user_profiles(*),onboarding_details(*)",
    "/profiles?select=id,memory!inner(*)&memory.user_id=eq.BOB",
    "/user_profiles?user_id=eq.BOB",
    "/user_profiles?select=*,profiles(*,memory(*))",
    "/onboarding_details?user_id=eq.BOB",
    "/onboarding_details?interests=cs.{Xylophone}",
    "/turns",
    "/turns?user_id=eq.BOB",
    "/turns?or=(user_id.eq.BOB,text.ilike.*Xylo*)",
    "/profiles?select=id,turns!inner(*)&turns.user_id=eq.BOB",
    "/rpc/search_memory?p_user=BOB&p_words={instrument}&p_limit=10&p_reach=1",
]

OLDER = {"id": "NEW", "user_id": "BOB", "category": "FACT", "key": "k", "value": "v"}
MEMORY = {**OLDER, "generation": 1}
TOLD = {**MEMORY, "created_at": "2026-01-01"}
OVER_BOBS = {**MEMORY, "id": "MEM", "key": "instrument"}
HIS_TO_HER = {**OVER_BOBS, "user_id": "ALICE"}
TURN = {
    "id": "NEW",
    "user_id": "BOB",
    "session_id": "s",
    "role": "user",
    "text": "x",
    "said_at": "2026-01-01",
    "generation": 1,
}
MERGE = "resolution=merge-duplicates,return=representation"
BACK = "return=representation"

WRITES: list[tuple[str, str, Any, str]] = [
    ("POST", "/memory", MEMORY, BACK),
    ("POST", "/memory", [{**MEMORY, "user_id": "ALICE"}, MEMORY], BACK),
    ("POST", "/memory", OLDER, BACK),
    ("POST", "/memory", OVER_BOBS, MERGE),
    ("POST", "/memory", HIS_TO_HER, MERGE),
    ("POST", "/memory?on_conflict=id", HIS_TO_HER, "resolution=ignore-duplicates"),
    ("PUT", "/memory?id=eq.MEM", HIS_TO_HER, BACK),
    ("PATCH", "/memory?user_id=eq.BOB", {"superseded_at": "2020-01-01"}, BACK),
    ("PATCH", "/memory?id=eq.MEM", {"user_id": "ALICE"}, BACK),
    ("PATCH", "/memory?user_id=eq.ALICE", {"user_id": "BOB"}, BACK),
    ("PATCH", "/memory?or=(user_id.eq.BOB,id.eq.MEM)", {"superseded_at": None}, BACK),
    ("DELETE", "/memory?user_id=eq.BOB", None, BACK),
    ("DELETE", "/memory?or=(id.eq.MEM,user_id.eq.BOB)", None, BACK),
    ("POST", "/profiles", {"id": "BOB", "is_first_login": False}, MERGE),
    ("PATCH", "/profiles?id=eq.BOB", {"is_first_login": False}, BACK),
    ("PATCH", "/profiles?id=eq.ALICE", {"id": "BOB"}, BACK),
    ("DELETE", "/profiles?id=eq.BOB", None, BACK),
    ("POST", "/user_profiles", {"user_id": "BOB", "profile_text": "x"}, MERGE),
    ("PATCH", "/user_profiles?user_id=eq.ALICE", {"user_id": "BOB"}, BACK),
    ("DELETE", "/user_profiles?user_id=eq.BOB", None, BACK),
    ("POST", "/onboarding_details", {"user_id": "BOB", "first_name": "x"}, MERGE),
    ("PATCH", "/onboarding_details?user_id=eq.ALICE", {"user_id": "BOB"}, BACK),
    ("DELETE", "/onboarding_details?user_id=eq.BOB", None, BACK),
    ("POST", "/person_fences", {"user_id": "BOB", "generation": 9}, MERGE),
    ("PATCH", "/person_fences?user_id=eq.BOB", {"generation": 1}, BACK),
    ("DELETE", "/person_fences?user_id=eq.BOB", None, BACK),
    (
        "POST",
        "/rpc/remember",
        {"p_user": "BOB", "p_memories": [{**MEMORY, "created_at": "now"}]},
        "",
    ),
    ("POST", "/rpc/remember", {"p_user": "BOB", "p_memories": [{"id": "MEM"}]}, ""),
    ("POST", "/rpc/remember", {"p_user": "BOB", "p_memories": []}, ""),
    (
        "POST",
        "/rpc/search_memory",
        {"p_user": "BOB", "p_words": ["instrument"], "p_limit": 9, "p_reach": 1},
        "",
    ),
    ("POST", "/rpc/update_user_profile", {"p_user": "BOB", "p_changes": {"language": "de"}}, ""),
    ("POST", "/rpc/update_onboarding_details", {"p_user": "BOB", "p_changes": {}}, ""),
    ("POST", "/turns", TURN, BACK),
    ("POST", "/turns", {**TURN, "generation": 0}, BACK),
    ("PATCH", "/turns?user_id=eq.BOB", {"text": "x"}, BACK),
    ("PATCH", "/turns?user_id=eq.ALICE", {"user_id": "BOB"}, BACK),
    ("DELETE", "/turns?user_id=eq.BOB", None, BACK),
    ("POST", "/rpc/keep_turns", {"p_user": "BOB", "p_turns": [TURN]}, ""),
    ("POST", "/rpc/keep_turns", {"p_user": "BOB", "p_turns": []}, ""),
    ("POST", "/rpc/ensure_profile", {"p_user": "BOB", "p_email": "m@example.com"}, ""),
    ("POST", "/rpc/bind_person", {"p_user": "BOB", "p_email": "m@example.com"}, ""),
]


@pytest.mark.parametrize("path", READS)
def test_no_filter_shows_alice_what_is_bobs(world, path):
    before = world.all_of(world.bob)
    answer = world.ask(world.alice, "GET", path, prefer="count=exact")
    assert answer.status_code in (200, 206, 400, 401, 403, 404), answer.text
    assert SECRET not in answer.text
    assert world.bob not in answer.text
    if answer.is_success:
        assert len(answer.json()) <= 1, "her own row at most"
        assert answer.headers["Content-Range"].split("/")[-1] in ("0", "1"), "nor are his counted"
    assert world.all_of(world.bob) == before


@pytest.mark.parametrize("path", [path for path in READS if "ALICE" not in path])
def test_the_same_request_shows_bob_what_is_his(world, path):
    """Else the test above would prove nothing."""
    assert SECRET in world.ask(world.bob, "GET", path).text


@pytest.mark.parametrize(("method", "path", "body", "prefer"), WRITES)
def test_no_write_of_alices_touches_what_is_bobs(world, method, path, body, prefer):
    before = world.all_of(world.bob)
    answer = world.ask(world.alice, method, path, body, prefer)
    assert SECRET not in answer.text
    assert answer.status_code < 500, answer.text
    if answer.is_success and answer.content:
        assert answer.json() == [], "nothing that it could have changed"
    assert world.all_of(world.bob) == before


def test_a_write_for_somebody_else_does_not_tell_whether_they_were_erased(world):
    answer = world.ask(world.alice, "POST", "/memory", OLDER)
    assert (answer.status_code, answer.json()["code"]) == (403, "42501")
    nobody = {**OLDER, "user_id": str(uuid.uuid4())}
    assert world.ask(world.alice, "POST", "/memory", nobody).json() == answer.json()


ARGUMENTS: dict[str, Any] = {
    "uuid": "BOB",
    "text": "mallory@example.com",
    "text[]": ["instrument"],
    "integer": 9,
    "bigint": 9,
    "boolean": False,
    "jsonb": [{**OLDER, "created_at": "2026-01-01"}],
    "timestamp with time zone": "2099-01-01",
}
"""What every function of the API is called with; no type may be missing."""


def calls_about_bob(world: World) -> list[tuple[str, dict[str, Any]]]:
    """Every function there is, with Bob as every person that it takes."""
    query = """
        select proname, proargnames[1:pronargs], proargtypes::regtype[]::text[] from pg_proc
        where pronamespace = 'public'::regnamespace
    """
    with psycopg.connect(world.project.info.database.url) as connection:
        functions = connection.execute(query).fetchall()
    return [
        (
            name,
            {
                argument: "MEM" if argument == "p_id" else ARGUMENTS[type_]
                for argument, type_ in zip(arguments, types, strict=True)
            },
        )
        for name, arguments, types in functions
    ]


def test_no_function_whatsoever_serves_alice_about_bob(world):
    calls = calls_about_bob(world)
    assert {"remember", "search_memory", "bind_person"} <= {name for name, _ in calls}
    before = world.all_of(world.bob)
    for name, arguments in calls:
        for variant in (arguments, {**arguments, "p_memories": [], "p_changes": {}}):
            known = {key: value for key, value in variant.items() if key in arguments}
            answer = world.ask(world.alice, "POST", f"/rpc/{name}", known)
            assert answer.status_code < 500, (name, answer.text)
            assert SECRET not in answer.text, name
            assert world.bob not in answer.text, name
            assert world.all_of(world.bob) == before, name


@pytest.mark.parametrize(("method", "body"), [("PATCH", {"generation": 9}), ("DELETE", None)])
def test_not_even_the_person_whom_it_stands_for_moves_the_fence(world, method, body):
    before = world.all_of(world.bob)
    assert [fence["generation"] for fence in before["person_fences"]] == [1]
    world.ask(world.bob, method, "/person_fences?user_id=eq.BOB", body)
    assert world.all_of(world.bob) == before
