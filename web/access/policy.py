"""What each address asks of whoever comes: one table, so that nothing is forgotten.

An address that is not in the table answers nobody, and a test fails until it is.

Not here: finding out who comes (asker), refusing them (gate).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from appliance.rights import Right


class Door(enum.Enum):
    """Who may come at all."""

    EVERYBODY = "everybody"
    PERSON = "person"  # signed in
    ASKER = "asker"  # signed in, or a program with a key
    PROBE = "probe"  # a program of this machine that needs no key, or an asker


@dataclass(frozen=True, slots=True)
class Policy:
    """What an address asks."""

    door: Door
    right: Right | None = None  # which one must have, somewhere; the rows are filtered by share
    proven: bool = False  # the password must have been given a moment ago
    form_later: bool = False  # its form is too large to be read before: the view checks its word


PUBLIC: Final = Policy(Door.EVERYBODY)
PERSON: Final = Policy(Door.PERSON)
READ: Final = Policy(Door.ASKER, Right.READ)
SUBMIT: Final = Policy(Door.ASKER, Right.SUBMIT)
SUBMIT_FORM: Final = Policy(Door.ASKER, Right.SUBMIT, form_later=True)
SUBMIT_PERSON: Final = Policy(Door.PERSON, Right.SUBMIT)
SUBMIT_PERSON_FORM: Final = Policy(Door.PERSON, Right.SUBMIT, form_later=True)
OPERATE: Final = Policy(Door.ASKER, Right.OPERATE)
ADMIN: Final = Policy(Door.ASKER, Right.ADMIN)
ADMIN_PERSON: Final = Policy(Door.PERSON, Right.ADMIN)
ADMIN_PROVEN: Final = Policy(Door.PERSON, Right.ADMIN, proven=True)
PROBE: Final = Policy(Door.PROBE, Right.READ)

POLICIES: Final[Mapping[str, Policy]] = {
    # what needs nobody: no fact about this box, its shares or its recordings
    "static": PUBLIC,
    "health.healthz": PUBLIC,
    "health.livez": PUBLIC,
    "health.readyz": PUBLIC,  # its checks are for askers
    "pages.help_": PUBLIC,
    "pages.help_on": PUBLIC,
    # machines that watch the box
    "metrics.metrics": PROBE,
    # the way in and out
    "entry.login": PUBLIC,
    "entry.sign_in": PUBLIC,
    "entry.setup": PUBLIC,
    "entry.set_up": PUBLIC,
    "entry.confirm": PERSON,
    "entry.confirmed": PERSON,
    "entry.logout": PERSON,
    # what the box does
    "pages.status": READ,
    "pages.listing": READ,
    "pages.job": READ,
    "pages.log": READ,
    "api.status": READ,
    "api.listing": READ,
    "api.one": READ,
    "api.so_far": READ,
    "api.log": READ,
    # bringing recordings
    "uploads.create": SUBMIT_FORM,
    "uploads.show": SUBMIT,
    "uploads.append": SUBMIT,
    "uploads.drop": SUBMIT,
    "sending.page": SUBMIT_PERSON,
    "sending.send": SUBMIT_PERSON_FORM,
    "openai.transcriptions": SUBMIT_FORM,
    "openai.translations": SUBMIT_FORM,
    "openai.models": SUBMIT,
    "openai.model": SUBMIT,
    # one's own account
    "mine.account": PERSON,
    "mine.change_password": PERSON,
    "mine.end_session": PERSON,
    "mine.end_others": PERSON,
    # everybody's
    "people.listing": ADMIN_PROVEN,
    "people.add": ADMIN_PROVEN,
    "people.one": ADMIN_PROVEN,
    "people.change": ADMIN_PROVEN,
    "people.reset": ADMIN_PROVEN,
    "people.remove": ADMIN_PROVEN,
    "people.sessions": ADMIN_PROVEN,
    "people.end_session": ADMIN_PROVEN,
    "programs.listing": ADMIN_PROVEN,
    "programs.make": ADMIN_PROVEN,
    "programs.rotate": ADMIN_PROVEN,
    "programs.revoke": ADMIN_PROVEN,
    "deeds.listing": ADMIN_PERSON,
}
