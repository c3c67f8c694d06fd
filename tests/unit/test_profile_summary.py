"""The profile text: what conversations say stands beside what is somebody's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles import Person, ProfileManager, SqliteProfileStore
from profiles.model import MAX_TEXT_LENGTH
from profiles.summary import HEADING, LONGEST_SUMMARY, own_text, with_summary
from session_context import get_current_user, set_session_generation, set_session_user
from storage import PersonErasedError
from storage.person_file import PersonFiles


def test_a_summary_is_replaced_by_the_next():
    once = with_summary("", "Lives in Paris.")
    assert once == f"{HEADING}Lives in Paris."
    assert with_summary(once, "Lives in Lyon.") == f"{HEADING}Lives in Lyon."


def test_a_text_that_somebody_set_stays_as_it_is_before_the_summary():
    own = "Speak slowly.\n\nPrefers to be called Bo."
    once = with_summary(own, "Lives in Paris.")
    assert once == f"{own}\n\n{HEADING}Lives in Paris."
    assert with_summary(once, "Lives in Lyon.") == f"{own}\n\n{HEADING}Lives in Lyon."


def test_an_empty_summary_and_one_without_room_leave_the_text_as_it_is():
    text = with_summary("Speak slowly.", "Lives in Paris.")
    assert with_summary(text, " \n ") == text
    full = "x" * MAX_TEXT_LENGTH
    assert with_summary(full, "Lives in Paris.") == full


def test_a_long_summary_is_cut_at_a_word():
    text = with_summary("", "word " * 1000)
    assert len(text) <= len(HEADING) + LONGEST_SUMMARY
    assert text.endswith("word...")


@given(st.text(max_size=500), st.text(max_size=2000), st.text(max_size=2000))
def test_whatever_is_summed_up_nothing_of_somebodys_own_is_lost(text, first, second):
    once = with_summary(text, first)
    assert with_summary(once, second).startswith(own_text(text))
    assert own_text(once) == own_text(text)


def test_a_summary_is_kept_in_the_profile_of_the_session(tmp_path: Path):
    set_session_user("alice@example.com")
    people = PersonFiles(tmp_path)
    profiles = ProfileManager(lambda: SqliteProfileStore(people))
    profiles.change_about(profile_text="Speak slowly.", language="de")
    assert profiles.keep_summary("Lives in Lyon.")
    assert not profiles.keep_summary("Lives in Lyon.")
    about = profiles.get().about
    assert about.profile_text == f"Speak slowly.\n\n{HEADING}Lives in Lyon."
    assert about.language == "de"
    people.close()


def test_what_is_erased_while_the_summary_is_made_is_not_written_back(tmp_path: Path):
    set_session_user("alice@example.com")
    people = PersonFiles(tmp_path)
    store = SqliteProfileStore(people)
    profiles = ProfileManager(lambda: store)
    profiles.bind()
    profiles.change_about(profile_text="Lives in Paris.")
    read = store.get_person

    def erased_after(user: str) -> Person:
        found = read(user)
        with people.writing(user) as file:
            file.execute("DELETE FROM user_profile")
            file.execute("UPDATE fence SET generation = generation + 1")
        set_session_generation(1)  # as the session that erased its person goes on
        return found

    store.get_person = erased_after  # type: ignore[method-assign]
    with pytest.raises(PersonErasedError):
        profiles.keep_summary("Has a dog.")
    assert read(get_current_user()).about.profile_text == ""
    people.close()
