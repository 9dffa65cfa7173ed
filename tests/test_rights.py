"""What follows from a role, a grant, a scope."""

from __future__ import annotations

import pytest

from appliance.rights import EVERY, Right, Role, of_key, of_person

READ, SUBMIT, OPERATE, ADMIN = Right


def test_an_admin_may_do_everything_everywhere() -> None:
    rights = of_person(Role.ADMIN, {})
    assert all(rights.may(right, "any") for right in Right)
    assert rights.shares(READ) is None


@pytest.mark.parametrize(
    ("role", "here", "may"),
    [
        (Role.VIEWER, Role.VIEWER, {READ}),
        (Role.VIEWER, Role.OPERATOR, {READ}),  # never more than the account's own role
        (Role.OPERATOR, Role.VIEWER, {READ}),
        (Role.OPERATOR, Role.OPERATOR, {READ, SUBMIT, OPERATE}),
    ],
)
def test_in_a_share_one_may_what_role_and_grant_both_say(
    role: Role, here: Role, may: set[Right]
) -> None:
    rights = of_person(role, {"meetings": here})
    assert {right for right in Right if rights.may(right, "meetings")} == may
    assert not any(rights.may(right, "archive") for right in Right)
    assert rights.shares(READ) == frozenset({"meetings"})
    assert rights.shares(ADMIN) == frozenset()


def test_a_grant_for_every_share_holds_for_those_to_come() -> None:
    rights = of_person(Role.VIEWER, {EVERY: Role.VIEWER})
    assert rights.may(READ, "not there yet")
    assert rights.shares(READ) is None
    assert rights.shares(OPERATE) == frozenset()


@pytest.mark.parametrize("scope", list(Right))
def test_no_scope_of_a_key_contains_another(scope: Right) -> None:
    rights = of_key([scope], ["meetings"])
    assert {right for right in Right if rights.may(right)} == {scope}
    assert {right for right in Right if rights.may(right, "meetings")} == {scope}
    assert not rights.may(scope, "archive")
