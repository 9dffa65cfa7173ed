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
    everywhere: bool = False  # the right must hold in every share, those to come included
    form_later: bool = False  # its form is too large to be read before: the view checks its word


PUBLIC: Final = Policy(Door.EVERYBODY)
PERSON: Final = Policy(Door.PERSON)
READ: Final = Policy(Door.ASKER, Right.READ)
READ_PERSON: Final = Policy(Door.PERSON, Right.READ)
SUBMIT: Final = Policy(Door.ASKER, Right.SUBMIT)
SUBMIT_FORM: Final = Policy(Door.ASKER, Right.SUBMIT, form_later=True)
SUBMIT_PERSON: Final = Policy(Door.PERSON, Right.SUBMIT)
SUBMIT_PERSON_FORM: Final = Policy(Door.PERSON, Right.SUBMIT, form_later=True)
OPERATE: Final = Policy(Door.ASKER, Right.OPERATE)
ADMIN: Final = Policy(Door.ASKER, Right.ADMIN)
ADMIN_EVERYWHERE: Final = Policy(Door.ASKER, Right.ADMIN, everywhere=True)
ADMIN_CAREFUL: Final = Policy(Door.ASKER, Right.ADMIN, proven=True, everywhere=True)
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
    "api.document": PUBLIC,
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
    "api.status.status": READ,
    "api.jobs.listing": READ,
    "api.jobs.one": READ,
    "api.jobs.so_far": READ,
    "api.jobs.log": READ,
    "api.texts.exported": READ,
    "api.texts.text": READ,
    "api.texts.history": READ,
    "api.texts.revised": OPERATE,
    "api.events.listen": READ,
    "api.finding.find": READ,
    "api.finding.tags": READ,
    "api.finding.rename": OPERATE,
    "api.finding.drop": OPERATE,
    "api.site.all_shares": READ,
    "api.site.one_share": READ,
    "api.site.rescan": OPERATE,
    "api.profiles.listing": READ,
    "api.profiles.one": READ,
    "api.profiles.make": ADMIN_EVERYWHERE,
    "api.profiles.change": ADMIN_EVERYWHERE,
    "api.profiles.take_back": ADMIN_EVERYWHERE,
    "api.profiles.vocabularies": READ,
    "api.profiles.vocabulary": READ,
    "api.profiles.reword": ADMIN_EVERYWHERE,
    "api.profiles.unword": ADMIN_EVERYWHERE,
    "api.site.models": READ,
    "api.site.capabilities": READ,
    "api.site.settings": ADMIN_EVERYWHERE,
    "api.site.system": ADMIN_EVERYWHERE,
    "api.telling.make": ADMIN_CAREFUL,
    "api.telling.one": ADMIN_EVERYWHERE,
    "api.telling.change": ADMIN_CAREFUL,
    "api.telling.take_back": ADMIN_CAREFUL,
    "api.telling.all_alerts": ADMIN_EVERYWHERE,
    "api.telling.channels": ADMIN_EVERYWHERE,
    "api.telling.webhooks": ADMIN_EVERYWHERE,
    "api.telling.test": ADMIN_EVERYWHERE,
    "api.telling.deliveries": ADMIN_EVERYWHERE,
    "api.telling.redeliver": ADMIN_EVERYWHERE,
    "api.people.users": ADMIN_CAREFUL,
    "api.people.add_user": ADMIN_CAREFUL,
    "api.people.one_user": ADMIN_CAREFUL,
    "api.people.change_user": ADMIN_CAREFUL,
    "api.people.reset_password": ADMIN_CAREFUL,
    "api.people.remove_user": ADMIN_CAREFUL,
    "api.people.all_sessions": ADMIN_CAREFUL,
    "api.people.end_session": ADMIN_CAREFUL,
    "api.people.all_keys": ADMIN_CAREFUL,
    "api.people.make_key": ADMIN_CAREFUL,
    "api.people.rotate_key": ADMIN_CAREFUL,
    "api.people.revoke_key": ADMIN_CAREFUL,
    "api.people.deeds": ADMIN_EVERYWHERE,
    # what moves a job; in its share, see web.api.found
    "api.jobs.retry": OPERATE,
    "api.jobs.cancel": OPERATE,
    "api.jobs.hold": OPERATE,
    "api.jobs.release": OPERATE,
    "api.jobs.mark": OPERATE,
    "api.jobs.forget": OPERATE,
    "api.jobs.forget_many": OPERATE,
    "api.queue.queue": READ,
    "api.queue.stop": ADMIN_EVERYWHERE,
    "api.queue.resume": ADMIN_EVERYWHERE,
    # bringing recordings
    "uploads.protocol": SUBMIT,
    "uploads.create": SUBMIT_FORM,
    "uploads.show": SUBMIT,
    # nginx hands bodies of these on as they come: a form of a page is never waited for
    "uploads.append": SUBMIT_FORM,
    "uploads.drop": SUBMIT_FORM,
    "media.play": READ,
    "media.hand_out": READ_PERSON,
    "media.play_elsewhere": PUBLIC,  # a signed pass says who may: media looks
    "texts.review": READ,
    "texts.tick": OPERATE,
    "texts.edit": OPERATE,
    "texts.undo": OPERATE,
    "texts.replace": OPERATE,
    "texts.replace_all": OPERATE,
    "moves.one": OPERATE,
    "moves.many": OPERATE,
    "finding.search": READ,
    "shares.listing": READ,
    "shares.test": OPERATE,
    "alerts.listing": READ,
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
    "site.settings": ADMIN_PERSON,
    "channels.listing": ADMIN_PROVEN,
    "channels.make": ADMIN_PROVEN,
    "channels.one": ADMIN_PROVEN,
    "channels.change": ADMIN_PROVEN,
    "channels.take_back": ADMIN_PROVEN,
    "channels.test": ADMIN_PROVEN,
    "profiles.listing": ADMIN_PERSON,
    "profiles.make": ADMIN_PERSON,
    "profiles.one": ADMIN_PERSON,
    "profiles.change": ADMIN_PERSON,
    "profiles.reword": ADMIN_PERSON,
    "profiles.take_back": ADMIN_PERSON,
    "profiles.unword": ADMIN_PERSON,
}
