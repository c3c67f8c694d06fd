"""One suite for every profile back end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory import Category, NewMemory, open_memory_store
from profiles import (
    BoundPerson,
    OnboardingDetails,
    ProfileInputError,
    ProfileStore,
    UserProfile,
    open_profile_store,
)
from storage import PersonErasedError, Storage

storable_text = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=60
)


@pytest.fixture
def store(storage: Storage) -> ProfileStore:
    return open_profile_store(storage)


def test_a_first_join_makes_the_profile_and_says_so(store, user):
    assert store.get_person(user).profile is None
    assert store.ensure_profile_exists(user, "alice@example.com") is True
    profile = store.get_person(user).profile
    assert (profile.user, profile.email, profile.is_first_login) == (
        user,
        "alice@example.com",
        True,
    )
    assert abs(datetime.now(timezone.utc) - profile.created_at) < timedelta(minutes=1)


def test_a_second_join_changes_nothing(store, user):
    store.ensure_profile_exists(user, "alice@example.com")
    before = store.get_person(user).profile
    assert store.ensure_profile_exists(user, "someone-else@example.com") is False
    assert store.get_person(user).profile == before


def test_of_twenty_first_joins_at_once_exactly_one_made_the_profile(store, user):
    with ThreadPoolExecutor(20) as executor:
        created = list(
            executor.map(lambda _: store.ensure_profile_exists(user, "a@example.com"), range(20))
        )
    assert sorted(created) == [False] * 19 + [True]
    assert store.get_person(user).profile.email == "a@example.com"


@pytest.mark.parametrize(
    ("identity", "email"),
    [
        ("alice@example.com", "alice@example.com"),
        ("alice+tag@mail.example.co.uk", "alice+tag@mail.example.co.uk"),
        ("user-abc-123", None),
        ("alice@localhost", None),
        ("a b@example.com", None),
        ("alice@example.com\n", None),
        ("tel:+15105550100", None),
        ("@example.com", None),
        (f"{'a' * 250}@example.com", None),
        (None, None),
    ],
)
def test_only_an_identity_that_is_an_email_address_is_kept_as_one(store, user, identity, email):
    store.ensure_profile_exists(user, identity)
    assert store.get_person(user).profile.email == email


def test_a_person_is_new_until_a_conversation_has_taken_place(store, user):
    store.ensure_profile_exists(user)
    store.ensure_profile_exists(user)
    assert store.get_person(user).profile.is_first_login is True
    store.complete_first_login(user)
    store.complete_first_login(user)
    assert store.get_person(user).profile.is_first_login is False


def test_a_conversation_that_is_noted_before_the_profile_exists_is_not_lost(store, user):
    store.complete_first_login(user)
    assert store.ensure_profile_exists(user, "alice@example.com") is False
    profile = store.get_person(user).profile
    assert (profile.email, profile.is_first_login) == ("alice@example.com", False)


def test_a_memory_that_comes_first_makes_the_profile_and_a_join_gives_it_its_email(
    storage, store, user
):
    memory = NewMemory(Category.FACT, "k", "v")
    open_memory_store(storage).store(user, [memory])
    assert store.get_person(user).profile.is_first_login is True
    assert store.ensure_profile_exists(user, "alice@example.com") is False
    assert store.get_person(user).profile.email == "alice@example.com"


def test_of_an_unknown_person_nothing_is_known(store, user):
    assert store.get_person(user).about == UserProfile()
    assert store.get_person(user).details == OnboardingDetails()
    assert store.forget_user_profile(user) is False
    assert store.forget_onboarding_details(user) is False


def test_only_the_named_fields_change(store, user):
    store.update_user_profile(user, {"profile_text": "Has two cats.", "language": "de"})
    changed = store.update_user_profile(user, {"time_zone": "Europe/Berlin"})
    assert changed == UserProfile("Has two cats.", "de", "Europe/Berlin")
    assert store.get_person(user).about == changed
    cleared = store.update_user_profile(user, {"language": None, "profile_text": None})
    assert cleared == UserProfile("", None, "Europe/Berlin")
    assert store.update_user_profile(user, {}) == cleared


def test_onboarding_details_are_kept_and_changed(store, user):
    store.update_onboarding_details(user, {"first_name": " Anna ", "interests": ["books", "books"]})
    details = store.update_onboarding_details(user, {"occupation": "nurse"})
    assert details == OnboardingDetails("Anna", "nurse", ("books",))
    assert store.get_person(user).details == details
    cleared = store.update_onboarding_details(user, {"first_name": "", "interests": None})
    assert cleared == OnboardingDetails(None, "nurse", ())


def test_telling_about_oneself_makes_the_profile_that_is_missing(store, user):
    store.update_onboarding_details(user, {"first_name": "Anna"})
    assert store.get_person(user).profile.is_first_login is True
    assert store.ensure_profile_exists(user) is False


def test_what_is_forgotten_is_gone(store, user):
    store.update_user_profile(user, {"profile_text": "Has two cats."})
    store.update_onboarding_details(user, {"first_name": "Anna"})
    assert store.forget_user_profile(user) is True
    assert store.forget_onboarding_details(user) is True
    assert store.get_person(user).about == UserProfile()
    assert store.get_person(user).details == OnboardingDetails()
    assert store.get_person(user).profile is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"profile_text": "x" * 10_001},
        {"profile_text": "a\x00b"},
        {"profile_text": 7},
        {"language": "english please"},
        {"time_zone": "Mars/Olympus"},
        {"time_zone": "../../../etc/passwd"},
    ],
)
def test_what_cannot_be_kept_is_refused_and_changes_nothing(store, user, changes):
    store.update_user_profile(user, {"profile_text": "as it was"})
    with pytest.raises(ProfileInputError):
        store.update_user_profile(user, {"language": "de", **changes})
    assert store.get_person(user).about == UserProfile("as it was")


@pytest.mark.parametrize(
    "changes",
    [{"first_name": "x" * 201}, {"interests": ["x"] * 101}, {"interests": "books"}],
)
def test_details_that_cannot_be_kept_are_refused_and_change_nothing(store, user, changes):
    with pytest.raises(ProfileInputError):
        store.update_onboarding_details(user, {"occupation": "nurse", **changes})
    assert store.get_person(user).details == OnboardingDetails()


@settings(max_examples=20)
@given(text=storable_text, interests=st.lists(storable_text, max_size=4))
def test_any_text_comes_back_as_it_was(store, user, text, interests):
    assert store.update_user_profile(user, {"profile_text": text}).profile_text == text
    kept = store.update_onboarding_details(user, {"interests": interests}).interests
    assert list(kept) == list(dict.fromkeys(i.strip() for i in interests if i.strip()))


def test_nobody_reaches_another_persons_profile(store, user, other_user):
    store.ensure_profile_exists(user, "alice@example.com")
    store.update_user_profile(user, {"profile_text": "alice's"})
    store.update_onboarding_details(user, {"first_name": "Alice"})
    assert store.get_person(other_user).profile is None
    assert store.get_person(other_user).about == UserProfile()
    store.update_user_profile(other_user, {"profile_text": "bob's"})
    store.forget_user_profile(other_user)
    store.forget_onboarding_details(other_user)
    store.complete_first_login(other_user)
    assert store.get_person(user).about.profile_text == "alice's"
    assert store.get_person(user).details.first_name == "Alice"
    assert store.get_person(user).profile.is_first_login is True


def test_binding_a_person_tells_their_generation(store, user, raise_fence):
    assert store.bind_person(user) == BoundPerson(created=True, generation=0)
    raise_fence(user, 3)
    assert store.bind_person(user) == BoundPerson(created=False, generation=3)


def test_what_was_told_before_an_erasure_changes_no_profile(store, user, raise_fence):
    store.update_user_profile(user, {"profile_text": "told since"}, 0)
    raise_fence(user, 1)
    with pytest.raises(PersonErasedError):
        store.update_user_profile(user, {"profile_text": "told before"}, 0)
    with pytest.raises(PersonErasedError):
        store.update_onboarding_details(user, {"first_name": "Alice"}, 0)
    assert store.get_person(user).about.profile_text == "told since"
    assert store.get_person(user).details.first_name is None
    store.update_onboarding_details(user, {"first_name": "Alice"}, 1)
    assert store.get_person(user).details.first_name == "Alice"
