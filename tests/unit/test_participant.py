"""Who may be remembered: people by their identity, callers by a verified number."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from livekit import rtc

from worker.participant import PEOPLE, remembered_identity

TRUNK = (("sip.trunkID", "ST_checked"), ("sip.h.x-verstat", "TN-Validation-Passed-A"))


def participant(kind: str, identity: str, **attributes: str) -> rtc.RemoteParticipant:
    number = getattr(rtc.ParticipantKind, f"PARTICIPANT_KIND_{kind}")
    return SimpleNamespace(kind=number, identity=identity, attributes=attributes)  # type: ignore[return-value]


def caller(**attributes: str) -> rtc.RemoteParticipant:
    made = participant("SIP", "sip_caller")
    made.attributes.update(attributes)
    return made


@pytest.mark.parametrize("kind", ["STANDARD", "CONNECTOR"])
def test_a_person_is_known_by_the_identity_in_their_token(kind):
    assert remembered_identity(participant(kind, "alice"), TRUNK) == "alice"


def test_a_caller_whose_number_the_trunk_vouches_for_is_known_by_it():
    known = caller(**{"sip.phoneNumber": "+15105550100", "sip.trunkID": "ST_checked"})
    assert remembered_identity(known, TRUNK) == "tel:+15105550100"


def test_a_caller_whose_number_the_network_attests_is_known_by_it():
    attested = {"sip.phoneNumber": "+15105550100", "sip.h.x-verstat": "TN-Validation-Passed-A"}
    assert remembered_identity(caller(**attested), TRUNK) == "tel:+15105550100"


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"sip.phoneNumber": "+15105550100"},
        {"sip.phoneNumber": "+15105550100", "sip.trunkID": "ST_other"},
        {"sip.phoneNumber": "", "sip.trunkID": "ST_checked"},
        {"sip.phoneNumber": "anonymous", "sip.trunkID": "ST_checked"},
        {"sip.phoneNumber": "+1510555\n0100", "sip.trunkID": "ST_checked"},
    ],
)
def test_any_other_caller_is_not_remembered(attributes):
    assert remembered_identity(caller(**attributes), TRUNK) is None


def test_with_nothing_that_vouches_no_caller_is_remembered():
    known = caller(**{"sip.phoneNumber": "+15105550100", "sip.trunkID": "ST_checked"})
    assert remembered_identity(known, ()) is None


def test_machines_are_never_waited_for():
    names = {rtc.ParticipantKind.Name(kind) for kind in PEOPLE}
    assert {"STANDARD", "SIP", "CONNECTOR"} == {n.removeprefix("PARTICIPANT_KIND_") for n in names}
