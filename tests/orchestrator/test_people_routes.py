"""What a person, or a back end on their behalf, does with their memories over REST."""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import quote

import pytest
from fastapi.routing import APIRoute
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from assistant.erasure_watch import ErasureWatch
from config import PROJECT_ROOT, ConfigError, Settings
from devstack.ports import free_port
from devstack.servers.supabase import SupabaseProject
from devstack.waiting import eventually
from memory import Category, NewMemory
from memory.model import TURN_KEY, Position
from memory.outbox.drainer import DrainLock
from memory.transcript import TranscriptTurn
from orchestrator.errors import BadRequestError
from orchestrator.people_access import SWITCHED_OFF, PeopleAccess, open_people_access
from orchestrator.people_models import cursor_of, position_of
from orchestrator.person_data import PersonData
from orchestrator.routes.people import USER_HEADER, router
from people import Standing
from profiles.summary import with_summary
from session_context import set_session_generation, set_session_user
from storage import StorageUnavailableError, StoreThreads
from tests.orchestrator.people_world import (
    Someone,
    World,
    app_over,
    opened,
    request,
    world_of,
    world_over,
)
from tests.outbox import an_outbox

NOON = datetime(2026, 5, 8, 12, 0, 0, 123456, tzinfo=timezone.utc)
BODIES = {
    "search_memories": {"query": "tea"},
    "correct_memory": {"value": "stolen"},
    "change_profile": {"first_name": "Mallory"},
}
ROUTES = [
    (method, each.path_format, str(each.operation_id))
    for each in router.routes
    if isinstance(each, APIRoute)
    for method in sorted(each.methods or ())
]


def path_of(route: str, write_id: str | None = None) -> str:
    return route.removeprefix("/api/v1/me").replace("{id}", write_id or str(uuid.uuid4()))


@pytest.fixture(params=["sqlite", "supabase"])
def variables(
    request: pytest.FixtureRequest, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """The settings of a store, and of this host's outbox where the store has one."""
    chosen = {"DATA_DIR": str(data_dir)}
    if request.param == "supabase":
        project: SupabaseProject = request.getfixturevalue("supabase")
        chosen["SUPABASE_URL"] = project.info.url
        chosen["SUPABASE_SERVICE_ROLE_KEY"] = project.info.keys.service_role_key
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    return chosen


@pytest.fixture
async def world(variables: dict[str, str]) -> AsyncIterator[World]:
    async with world_of(variables) as made:
        yield made


@pytest.fixture
async def files_world(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setenv("DATA_DIR", str(data_dir))
    async with world_of({"DATA_DIR": str(data_dir)}) as made:
        yield made


@pytest.fixture
def alice(world: World) -> Someone:
    return world.someone()


async def test_what_was_told_is_listed_found_and_shown(world, alice):
    await world.told(alice, "drinks oolong tea", "has a dog")
    listed = await alice.gets("/memories")
    assert {each["value"] for each in listed["memories"]} == {"drinks oolong tea", "has a dog"}
    assert listed["next_cursor"] is None
    found = await alice.asks("POST", "/memories/search", json={"query": "which tea?"})
    [tea] = found.json()["memories"]
    assert tea["value"] == "drinks oolong tea"
    shown = await alice.gets(f"/memories/{tea['id']}")
    assert shown["history"] == [tea]
    assert (await alice.gets("/memories", category="GOAL"))["memories"] == []


async def test_a_correction_supersedes_and_keeps_the_history(world, alice):
    [old] = await world.told(alice, "a sister called Anna")
    answer = await alice.asks("PATCH", f"/memories/{old.id}", json={"value": "called Ana"})
    assert answer.status_code == 200
    right = answer.json()
    assert (right["key"], right["value"]) == (old.key, "called Ana")
    assert await alice.values() == ["called Ana"]
    history = (await alice.gets(f"/memories/{right['id']}"))["history"]
    assert [each["value"] for each in history] == ["called Ana", "a sister called Anna"]
    again = await alice.asks("PATCH", f"/memories/{right['id']}", json={"value": "called Ana"})
    assert again.json()["id"] == right["id"]


async def test_a_correction_of_what_was_superseded_meanwhile_changes_nothing(world, alice):
    [old] = await world.told(alice, "blue", key="color", created_at=NOON)
    await world.told(alice, "green", key="color")
    answer = await alice.asks("PATCH", f"/memories/{old.id}", json={"value": "red"})
    assert answer.status_code == 409
    assert await alice.values() == ["green"]


@pytest.mark.parametrize("variables", ["supabase"], indirect=True)
async def test_so_does_one_of_what_is_superseded_by_what_still_waits(variables, data_dir):
    lock = DrainLock(data_dir)
    async with world_of(variables) as world:
        alice = world.someone()
        [old] = await world.told(alice, "blue", key="color", created_at=NOON)
        await world.delivered(alice)
    assert lock.take()  # so that nothing is delivered from now on
    try:
        async with world_of(variables) as world:
            await world.told(alice, "green", key="color")
            alice = world.someone(alice.identity)
            answer = await alice.asks("PATCH", f"/memories/{old.id}", json={"value": "red"})
            assert answer.status_code == 409
            assert (await alice.gets(f"/memories/{old.id}"))["superseded_at"] is not None
    finally:
        lock.release()


async def test_a_correction_takes_place_also_where_the_clock_that_told_it_was_ahead(world, alice):
    ahead = datetime.now(timezone.utc) + timedelta(hours=1)
    [old] = await world.told(alice, "blue", created_at=ahead)
    await alice.asks("PATCH", f"/memories/{old.id}", json={"value": "green"})
    assert await alice.values() == ["green"]


async def test_a_deletion_takes_history_sources_and_what_was_derived(world, alice):
    [turn] = await world.told(alice, "I like blue", key=f"{TURN_KEY}1", created_at=NOON)
    await world.told(alice, "blue", key="color", source_id=turn.id, created_at=NOON)
    [green] = await world.told(alice, "green", key="color")
    await world.told(alice, "a dog")
    answer = await alice.asks("DELETE", f"/memories/{green.id}")
    assert answer.json() == {"deleted": 3}
    assert await alice.values() == ["a dog"]
    assert (await alice.asks("DELETE", f"/memories/{green.id}")).status_code == 404


async def test_a_turn_goes_with_its_facts_its_corrections_and_its_transcript(world, alice):
    said = {"session_id": "s", "created_at": NOON}
    [turn] = await world.told(alice, "I like blew", key=f"{TURN_KEY}1", **said)
    await world.told(alice, "blew", key="color", source_id=turn.id, **said)
    heard = TranscriptTurn(str(uuid.uuid4()), "s", "user", "I like blew", NOON)
    await world.access.call(lambda data: data.people.store.transcripts.keep(alice.uuid, [heard]))
    answer = await alice.asks("PATCH", f"/memories/{turn.id}", json={"value": "I like blue"})
    await alice.asks("DELETE", f"/memories/{answer.json()['id']}")
    await world.delivered(alice)
    document = await alice.gets("/export")
    assert (document["memories"], document["turns"]) == ([], [])


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_the_summary_of_conversations_goes_with_what_it_may_say(world, alice, method):
    [memory] = await world.told(alice, "lives in Lyon")
    text = with_summary("Likes to be called Bo.", "Lives in Lyon.")
    await alice.asks("PATCH", "/profile", json={"profile_text": text})
    await alice.asks(method, f"/memories/{memory.id}", json={"value": "lives in Paris"})
    assert (await alice.gets("/profile"))["profile_text"] == "Likes to be called Bo."


@pytest.mark.parametrize("broken", ["_profiles.get_person", "people.store.transcripts.turns"])
async def test_a_deletion_that_fails_halfway_can_be_asked_for_again(
    files_world, monkeypatch, broken
):
    alice = files_world.someone()
    [memory] = await files_world.told(alice, "blue")

    def fails(*args: object) -> object:
        raise StorageUnavailableError("gone")

    *path, name = broken.split(".")
    owner = files_world.data
    for each in path:
        owner = getattr(owner, each)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fails)
        assert (await alice.asks("DELETE", f"/memories/{memory.id}")).status_code == 503
    assert (await alice.asks("DELETE", f"/memories/{memory.id}")).json() == {"deleted": 1}


async def test_the_profile_is_read_changed_and_cleared_field_by_field(world, alice):
    before = await alice.gets("/profile")
    assert (before["first_name"], before["remembered"]) == (None, True)
    changes = {"first_name": "Ana", "interests": ["chess"], "language": "pt-BR"}
    changed = (await alice.asks("PATCH", "/profile", json=changes)).json()
    assert (changed["first_name"], changed["language"]) == ("Ana", "pt-BR")
    await alice.asks("PATCH", "/profile", json={"first_name": None})
    after = await alice.gets("/profile")
    assert (after["first_name"], after["interests"]) == (None, ["chess"])


async def test_a_profile_with_one_wrong_field_is_not_changed_at_all(files_world):
    alice = files_world.someone()
    wrong = {"first_name": "Ana", "time_zone": "Mars/Olympus"}
    answer = await alice.asks("PATCH", "/profile", json=wrong)
    assert answer.status_code == 400
    assert "time_zone" in answer.json()["detail"]
    assert (await alice.asks("PATCH", "/profile", json={"email": "a@b.c"})).status_code == 422
    assert (await alice.gets("/profile"))["first_name"] is None


async def test_the_export_is_the_documented_one_and_whole(world, alice):
    schema = json.loads((PROJECT_ROOT / "docs" / "export.schema.json").read_text())
    many = [f"value {n}" for n in range(450)]
    await world.told(alice, *many)
    await alice.asks("PATCH", "/profile", json={"first_name": "Ana"})
    document = await alice.gets("/export")
    Draft202012Validator(schema).validate(document)
    # The outbox holds what is on its way; it may be in both places, and is never in neither.
    waiting = [each["value"] for each in document["elsewhere"]["outbox"]]
    assert {each["value"] for each in document["memories"]} | set(waiting) == set(many)


async def test_an_export_that_loses_its_store_midway_is_no_json(files_world, monkeypatch):
    alice = files_world.someone()

    def parts(self: PersonData, user: str) -> Iterator[str]:
        yield from ['{"memories": [', *[" "] * 500]
        raise StorageUnavailableError("gone")

    monkeypatch.setattr(PersonData, "export_parts", parts)
    pieces = await files_world.access.export(alice.uuid)
    received = b""
    with pytest.raises(Exception, match="out of reach"):
        async for piece in pieces:
            received += piece
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(received)


async def test_an_erasure_leaves_nothing_and_can_be_asked_for_twice(world, alice):
    await world.told(alice, "blue", "a dog")
    await alice.asks("PATCH", "/profile", json={"first_name": "Ana"})
    await world.delivered(alice)
    erased = (await alice.asks("DELETE", "")).json()
    assert (erased["memories"], erased["onboarding_details"]) == (2, True)
    document = await alice.gets("/export")
    assert (document["memories"], document["profile"]) == ([], None)
    assert (await alice.asks("DELETE", "")).json()["memories"] == 0


async def test_what_a_conversation_writes_while_it_is_erased_stays_erased(world, alice):
    generation = world.data.people.generation(alice.uuid)
    under_way, stop = threading.Event(), threading.Event()

    def converse() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            told = NewMemory(Category.FACT, f"k{n}", "old secret", generation=generation)
            world.data._memory.store(alice.uuid, [told])
            if n == 3:
                under_way.set()

    conversation = threading.Thread(target=converse)
    conversation.start()
    try:
        assert await asyncio.to_thread(under_way.wait, 10)
        assert (await alice.asks("DELETE", "")).status_code == 200
    finally:
        stop.set()
        conversation.join(10)
    await world.delivered(alice)
    await world.told(alice, "told since")
    document = await alice.gets("/export")
    held = [each["value"] for each in (*document["memories"], *document["elsewhere"]["outbox"])]
    assert set(held) == {"told since"}


async def test_a_live_session_notices_an_erasure_before_its_next_reply(world, alice):
    await world.told(alice, "blue")
    set_session_user(alice.identity)
    set_session_generation(world.data.people.generation(alice.uuid))
    threads = StoreThreads(1)
    watch = ErasureWatch(
        lambda: world.data.people.generation(alice.uuid),
        threads,
        deadline_s=10,
        on_late_news=pytest.fail,
    )
    assert not await watch.erased_meanwhile()
    await alice.asks("DELETE", "")
    assert await watch.erased_meanwhile()
    threads.close()


async def test_a_correction_that_meets_an_erasure_writes_nothing(world, alice, monkeypatch):
    stale = Standing(generation=0, remembered=True)
    await alice.asks("DELETE", "")
    [memory] = await world.told(alice, "told since")
    await world.delivered(alice)
    # As if the erasure had come between the look at the generation and the write.
    monkeypatch.setattr(world.data.people.store, "standing", lambda user: stale)
    answer = await alice.asks("PATCH", f"/memories/{memory.id}", json={"value": "erased"})
    assert answer.status_code == 409
    answer = await alice.asks("PATCH", "/profile", json={"first_name": "erased"})
    assert answer.status_code == 409
    monkeypatch.undo()
    assert await alice.values() == ["told since"]


@pytest.mark.parametrize("variables", ["supabase"], indirect=True)
async def test_what_waits_in_the_outbox_is_listed_exported_and_erased(variables, data_dir):
    lock = DrainLock(data_dir)
    assert lock.take()  # so that nothing is delivered
    try:
        async with world_of(variables) as world:
            alice = world.someone()
            outbox = an_outbox(data_dir)  # as another process of this host has it
            outbox.append(alice.uuid, [NewMemory(Category.FACT, "color", "blue")])
            assert await alice.values() == ["blue"]
            [waiting] = (await alice.gets("/export"))["elsewhere"]["outbox"]
            assert waiting["value"] == "blue"
            erased = (await alice.asks("DELETE", "")).json()
            assert erased["elsewhere"] == {
                "outbox": 1,
                "damaged_outbox": 0,
                "conversation": 0,
                "sessions": 0,
                "person_file": 0,
            }
            assert await alice.values() == []
            assert outbox.waiting(alice.uuid) == []
            outbox.close()
    finally:
        lock.release()


async def test_who_is_not_remembered_sees_and_deletes_what_is_held_and_adds_nothing(world, alice):
    old, _ = await world.told(alice, "blue", "a dog")
    await world.delivered(alice)
    await world.access.call(lambda data: data.people.set_remembering(alice.uuid, False))
    assert set(await alice.values()) == {"blue", "a dog"}
    for path, body in ((f"/memories/{old.id}", {"value": "red"}), ("/profile", {"language": "de"})):
        assert (await alice.asks("PATCH", path, json=body)).status_code == 409
    assert (await alice.asks("DELETE", f"/memories/{old.id}")).json() == {"deleted": 1}
    assert await alice.values() == ["a dog"]
    assert (await alice.gets("/profile"))["remembered"] is False


@pytest.mark.parametrize(("method", "route", "name"), ROUTES, ids=[name for *_, name in ROUTES])
async def test_no_route_reaches_across_the_border(world, method, route, name):
    alice, mallory = world.someone(), world.someone()
    [secret] = await world.told(alice, "secret tea", key="secret")
    await alice.asks("PATCH", "/profile", json={"first_name": "Ana"})
    await world.delivered(alice)
    before = await alice.gets("/export")
    path = path_of(route, secret.id)
    answer = await mallory.asks(method, path, json=BODIES.get(name))
    assert answer.status_code == (404 if "{id}" in route else 200)
    assert not {"secret", "Ana"} & set(answer.text.replace('"', " ").split())
    named = {USER_HEADER: alice.identity}
    answer = await mallory.asks(method, path, json=BODIES.get(name), headers=named)
    assert answer.status_code == 403
    after = await alice.gets("/export")
    assert {**after, "exported_at": 0} == {**before, "exported_at": 0}


async def test_two_people_at_once_never_see_each_other(world):
    people = [world.someone() for _ in range(2)]

    async def live(person: Someone) -> None:
        for n in range(5):
            [told] = await world.told(person, f"{n} of {person.identity}")
            path = f"/memories/{told.id}"
            await person.asks("PATCH", path, json={"value": f"right {n} of {person.identity}"})
            await person.asks("PATCH", "/profile", json={"first_name": person.identity})
            found = await person.asks("POST", "/memories/search", json={"query": "right person"})
            seen = [each["value"] for each in found.json()["memories"]]
            assert all(person.identity in value for value in [*seen, *await person.values()])
            assert (await person.gets("/profile"))["first_name"] == person.identity

    await asyncio.gather(*(live(person) for person in people for _ in range(2)))


@pytest.mark.parametrize("identity", ["bob@example.com", "Zoë 100%", "a/b?c#d"])
async def test_a_back_end_acts_for_whom_it_names(files_world, identity):
    person = files_world.someone(identity)
    await files_world.told(person, "blue")
    headers = {"Authorization": "backend", USER_HEADER: quote(identity)}
    answer = await request(files_world.app, "GET", "/memories", headers=headers)
    assert [each["value"] for each in answer.json()["memories"]] == ["blue"]


@pytest.mark.parametrize(
    ("authorization", "named", "status"),
    [
        ("backend", None, 400),
        ("backend", b"", 400),
        ("backend", "Zoë".encode(), 400),
        ("backend", b"%ff", 400),
        ("backend", b"%ED%A0%80", 400),
        ("operator", b"bob", 403),
    ],
)
async def test_nobody_acts_for_an_identity_that_is_not_clearly_one(
    files_world, authorization, named, status
):
    headers = [(b"Authorization", authorization.encode())]
    headers += [] if named is None else [(USER_HEADER.encode(), named)]
    answer = await request(files_world.app, "GET", "/memories", headers=headers)
    assert answer.status_code == status


async def test_where_memory_is_off_every_route_says_so_and_nothing_is_opened(data_dir):
    off = {"DATA_DIR": str(data_dir), "MEMORY_ENABLED": "false"}
    access = open_people_access(Settings.from_environment(off))
    person = Someone(app_over(access))
    for method, route, name in ROUTES:
        answer = await person.asks(method, path_of(route), json=BODIES.get(name))
        assert (answer.status_code, answer.json()["detail"]) == (404, SWITCHED_OFF)
    await access.aclose()
    assert not data_dir.exists()


async def test_a_store_out_of_reach_is_a_503_on_every_route(data_dir, monkeypatch):
    gone = {
        "DATA_DIR": str(data_dir),
        "SUPABASE_URL": f"http://127.0.0.1:{free_port()}",
        "SUPABASE_SERVICE_ROLE_KEY": "a-key-that-nobody-asks-for",
    }
    async with world_of(gone) as world:
        person = world.someone()
        answers = await asyncio.gather(
            *(
                person.asks(method, path_of(route), json=BODIES.get(name))
                for method, route, name in ROUTES
            )
        )
    assert {answer.status_code for answer in answers} == {503}
    assert all("Retry-After" in answer.headers for answer in answers)
    assert not any("SUPABASE" in answer.text for answer in answers)


async def test_a_store_that_is_configured_wrongly_is_a_503_and_the_log_says_what(caplog):
    def open_data() -> PersonData:
        raise ConfigError("SUPABASE_JWT_SIGNING_KEY: cannot be used")

    access = PeopleAccess(open_data, deadline_s=5, erase_deadline_s=5)
    answer = await Someone(app_over(access)).asks("GET", "/memories")
    await access.aclose()
    assert answer.status_code == 503
    assert "SUPABASE" not in answer.text
    assert any("SIGNING_KEY" in vars(record).get("error", "") for record in caplog.records)


async def test_a_store_that_hangs_is_a_503_in_time_and_holds_up_nobody_else(data_dir, monkeypatch):
    released, hangs, beats = threading.Event(), threading.Event(), 0
    data = opened({"DATA_DIR": str(data_dir)})

    def hang(user: str) -> None:
        hangs.set()
        released.wait(20)

    monkeypatch.setattr(data._profiles, "get_person", hang, raising=True)

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.01)
            beats += 1

    async with world_over(data, deadline_s=0.5) as world:
        heart = asyncio.create_task(beat())
        try:
            hanging = asyncio.create_task(world.someone().asks("GET", "/profile"))
            await eventually(hangs.is_set)
            world.access.deadline_s = 60  # of the others' calls, which do not hang
            other = await world.someone().asks("GET", "/memories")
            assert other.status_code == 200
            assert (await hanging).status_code == 503
        finally:
            released.set()
            heart.cancel()
    assert beats > 10


@settings(max_examples=15)
@given(
    moments=st.lists(st.integers(0, 3), min_size=0, max_size=12),
    limit=st.integers(1, 5),
    inserts=st.lists(st.integers(0, 2), min_size=12, max_size=12),
)
async def test_pages_give_each_memory_once_whatever_is_told_meanwhile(
    files_world, moments, limit, inserts
):
    person = files_world.someone()
    for n, second in enumerate(moments):
        at = NOON + timedelta(seconds=second)
        await files_world.told(person, f"value {n}", created_at=at)
    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor is not None:
        params = {"limit": limit} if cursor is None else {"limit": limit, "cursor": cursor}
        page = await person.gets("/memories", **params)
        assert len(page["memories"]) <= limit
        seen += page["memories"]
        cursor, pages = page["next_cursor"], pages + 1
        for n in range(inserts[pages - 1] if pages <= len(inserts) else 0):
            await files_world.told(person, f"meanwhile {pages} {n}")
    values = [each["value"] for each in seen]
    assert sorted(values) == sorted(f"value {n}" for n in range(len(moments)))
    assert pages == max(1, -(-len(moments) // limit))
    order = [(each["created_at"], each["id"]) for each in seen]
    assert order == sorted(order, reverse=True)


@given(st.datetimes(timezones=st.just(timezone.utc)), st.uuids())
def test_a_cursor_stands_for_its_position(told_at, write_id):
    position = Position(told_at, str(write_id))
    assert position_of(cursor_of(position)) == position


@settings(max_examples=50)
@given(st.text(max_size=100))
def test_any_other_text_is_no_cursor(text):
    try:
        position = position_of(text)
    except BadRequestError:
        return
    assert position_of(cursor_of(position)) == position


async def test_what_is_out_of_bounds_is_refused(files_world):
    alice = files_world.someone()
    assert (await alice.asks("GET", "/memories/none")).status_code == 404
    assert (await alice.asks("DELETE", "/memories/search")).status_code == 405
    for params in ({"limit": 0}, {"limit": 201}, {"cursor": "x" * 101}, {"category": "SECRETS"}):
        assert (await alice.asks("GET", "/memories", params=params)).status_code == 422
    assert (await alice.asks("GET", "/memories", params={"cursor": "?"})).status_code == 400
    [memory] = await files_world.told(alice, "blue")
    for value, status in (("", 422), ("x" * 10_001, 422), (" ", 400), ("\x00", 400)):
        answer = await alice.asks("PATCH", f"/memories/{memory.id}", json={"value": value})
        assert answer.status_code == status
    assert await alice.values() == ["blue"]


def test_every_route_documents_what_it_answers(files_world):
    document = files_world.app.openapi()
    operations = [each for path in document["paths"].values() for each in path.values()]
    assert len(operations) == len(ROUTES)
    for operation in operations:
        wanted = {"200", "400", "401", "403", "404", "422", "429", "500", "503"}
        assert wanted <= set(operation["responses"])
