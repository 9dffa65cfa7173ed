"""Every address, and everybody who may come to it: a table. An address without a row fails it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from appliance.accounts import sessions
from appliance.credentials import tokens
from appliance.nouns import UPLOADS
from appliance.rights import EVERY, Right, Role, of_key
from appliance.store import accounts
from tests import signed_in
from tests.web.box import Box
from web import create_app, db
from web.access import gate
from web.access.asker import Asker, identify
from web.access.policy import ADMIN, OPERATE, POLICIES, SUBMIT, Policy

# Who asks, in the order of the columns below. Scopes are those of a key.
WHO = ("nobody", "ungranted", "viewer", "operator", "admin", *(f"key:{scope}" for scope in Right))
PEOPLE = WHO[1:5]
# s: is sent to sign in; n: may not; i: comes in. What they find there is another matter.
PUBLIC, PERSON, READ, OF_ADMINS = "iiiiiiiii", "siiiinnnn", "siiiiinnn", "snnninnnn"
READ_PERSON, OPERATORS = "siiiinnnn", "snniinnin"
OF_ALL = OF_ADMINS  # of a key only where it is one of every share: see below
SUBMITS = "snniininn"
TABLE = {
    "static": PUBLIC,
    "health.healthz": PUBLIC,
    "health.livez": PUBLIC,
    "health.readyz": PUBLIC,
    "metrics.metrics": PUBLIC,  # asked from this machine; from elsewhere: see below
    "pages.help_": PUBLIC,
    "pages.help_on": PUBLIC,
    "api.document": PUBLIC,
    "entry.login": PUBLIC,
    "entry.sign_in": PUBLIC,
    "entry.setup": PUBLIC,
    "entry.set_up": PUBLIC,
    "entry.confirm": PERSON,
    "entry.confirmed": PERSON,
    "entry.logout": PERSON,
    "pages.status": READ,
    "pages.listing": READ,
    "pages.job": READ,
    "pages.log": READ,
    "api.status.status": READ,
    "api.jobs.listing": READ,
    "api.jobs.one": READ,
    "api.jobs.so_far": READ,
    "api.jobs.log": READ,
    "api.jobs.retry": OPERATORS,
    "api.jobs.cancel": OPERATORS,
    "api.jobs.hold": OPERATORS,
    "api.jobs.release": OPERATORS,
    "api.jobs.mark": OPERATORS,
    "api.jobs.forget": OPERATORS,
    "api.jobs.forget_many": OPERATORS,
    "api.texts.exported": READ,
    "api.texts.text": READ,
    "api.texts.history": READ,
    "api.texts.revised": OPERATORS,
    "api.events.listen": READ,
    "api.finding.find": READ,
    "api.finding.tags": READ,
    "api.finding.rename": OPERATORS,
    "api.finding.drop": OPERATORS,
    "api.site.all_shares": READ,
    "api.site.one_share": READ,
    "api.site.rescan": OPERATORS,
    "api.profiles.listing": READ,
    "api.profiles.one": READ,
    "api.profiles.make": OF_ALL,
    "api.profiles.change": OF_ALL,
    "api.profiles.take_back": OF_ALL,
    "api.profiles.vocabularies": READ,
    "api.profiles.vocabulary": READ,
    "api.profiles.reword": OF_ALL,
    "api.profiles.unword": OF_ALL,
    "api.site.models": READ,
    "api.site.capabilities": READ,
    "api.site.settings": OF_ALL,
    "api.site.system": OF_ALL,
    "api.telling.make": OF_ALL,
    "api.telling.one": OF_ALL,
    "api.telling.change": OF_ALL,
    "api.telling.take_back": OF_ALL,
    "api.telling.all_alerts": OF_ALL,
    "api.telling.channels": OF_ALL,
    "api.telling.webhooks": OF_ALL,
    "api.telling.test": OF_ALL,
    "api.telling.deliveries": OF_ALL,
    "api.telling.redeliver": OF_ALL,
    "api.people.users": OF_ALL,
    "api.people.add_user": OF_ALL,
    "api.people.one_user": OF_ALL,
    "api.people.change_user": OF_ALL,
    "api.people.reset_password": OF_ALL,
    "api.people.remove_user": OF_ALL,
    "api.people.all_sessions": OF_ALL,
    "api.people.end_session": OF_ALL,
    "api.people.all_keys": OF_ALL,
    "api.people.make_key": OF_ALL,
    "api.people.rotate_key": OF_ALL,
    "api.people.revoke_key": OF_ALL,
    "api.people.deeds": OF_ALL,
    "api.queue.queue": READ,
    "api.queue.stop": OF_ALL,
    "api.queue.resume": OF_ALL,
    "uploads.protocol": SUBMITS,
    "uploads.create": SUBMITS,
    "uploads.show": SUBMITS,
    "uploads.append": SUBMITS,
    "uploads.drop": SUBMITS,
    "media.play": READ,
    "media.hand_out": READ_PERSON,
    "media.play_elsewhere": PUBLIC,  # to a page that is not there, without a pass
    "texts.review": READ,
    "texts.tick": OPERATORS,
    "texts.edit": OPERATORS,
    "texts.undo": OPERATORS,
    "texts.replace": OPERATORS,
    "texts.replace_all": OPERATORS,
    "moves.one": OPERATORS,
    "moves.many": OPERATORS,
    "finding.search": READ,
    "shares.listing": READ,
    "shares.test": OPERATORS,
    "alerts.listing": READ,
    "sending.page": "snniinnnn",
    "sending.send": "snniinnnn",
    "openai.transcriptions": SUBMITS,
    "openai.translations": SUBMITS,
    "openai.models": SUBMITS,
    "openai.model": SUBMITS,
    "mine.account": PERSON,
    "mine.change_password": PERSON,
    "mine.end_session": PERSON,
    "mine.end_others": PERSON,
    "people.listing": OF_ADMINS,
    "people.add": OF_ADMINS,
    "people.one": OF_ADMINS,
    "people.change": OF_ADMINS,
    "people.reset": OF_ADMINS,
    "people.remove": OF_ADMINS,
    "people.sessions": OF_ADMINS,
    "people.end_session": OF_ADMINS,
    "programs.listing": OF_ADMINS,
    "programs.make": OF_ADMINS,
    "programs.rotate": OF_ADMINS,
    "programs.revoke": OF_ADMINS,
    "deeds.listing": OF_ADMINS,
    "site.settings": OF_ADMINS,
    "channels.listing": OF_ADMINS,
    "channels.make": OF_ADMINS,
    "channels.one": OF_ADMINS,
    "channels.change": OF_ADMINS,
    "channels.take_back": OF_ADMINS,
    "channels.test": OF_ADMINS,
    "profiles.listing": OF_ADMINS,
    "profiles.make": OF_ADMINS,
    "profiles.one": OF_ADMINS,
    "profiles.change": OF_ADMINS,
    "profiles.reword": OF_ADMINS,
    "profiles.take_back": OF_ADMINS,
    "profiles.unword": OF_ADMINS,
}
NOWHERE = {
    "upload": "0" * 32,
    "model": "m",
    "number": 999_999,
    "attempt": 1,
    "code": "bug",
    "filename": "icon.svg",
    "name": "x",
    "text": "x",
    "id": "x",
}


@dataclass
class Gathering:
    """Everybody who may ask, before one box with a job in each of its two shares."""

    box: Box
    app: Flask
    seen: int  # the job in meetings, which viewer and operator may see
    hidden: int  # the job in archive, which only an admin may see
    headers: dict[str, dict[str, str]] = field(default_factory=dict)

    def ask(self, who: str, method: str, address: str) -> tuple[int, str]:
        """What somebody is answered: status and text."""
        client = self.app.test_client(use_cookies=False)
        answer = client.open(address, method=method, headers=self.headers[who], buffered=True)
        return answer.status_code, answer.headers.get("Location", "") + answer.text

    def outcome(self, who: str, method: str, address: str) -> str:
        """The letter of the table."""
        status, told = self.ask(who, method, address)
        if status == 401 or (status == 303 and told.startswith("/login") and address != "/setup"):
            return "s"
        return "n" if status == 403 and "access.not-allowed" in told else "i"


@pytest.fixture
def gathering(box: Box) -> Iterator[Gathering]:
    app = create_app(box.settings, clock=iter(range(1_000_000)).__next__)
    seen, hidden = box.finish(b"ours.wav").id, box.finish(b"theirs.wav", share="archive").id
    made = Gathering(box, app, seen, hidden)
    made.headers["nobody"] = {}
    for name, role, grants in (
        ("ungranted", Role.VIEWER, {}),
        ("viewer", Role.VIEWER, {"meetings": Role.VIEWER}),
        ("operator", Role.OPERATOR, {"meetings": Role.OPERATOR}),
        ("admin", Role.ADMIN, {}),
    ):
        made.headers[name] = with_word(signed_in.cookie(box.ledger, name, role, grants))
    for scope in Right:
        made.headers[f"key:{scope}"] = signed_in.key(
            box.ledger, scope, shares=["meetings", UPLOADS]
        )
    yield made
    db.close(app)


def with_word(header: dict[str, str]) -> dict[str, str]:
    """A browser's header, and the word that its forms carry."""
    secret = header["Cookie"].partition("=")[2]
    return header | {"X-CSRF-Token": tokens.form_word(secret)}


def ways(app: Flask) -> Iterator[tuple[str, str, Rule]]:
    """Every way into the app: endpoint, method, rule."""
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}) or ["OPTIONS"]:
            yield rule.endpoint, method, rule


def filled(rule: Rule, **more: object) -> str:
    """An address of that rule, of something that is not there."""
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda found: str((NOWHERE | more)[found[1]]), rule.rule)


def test_every_address_has_a_policy_and_a_row(gathering: Gathering) -> None:
    there_are = {endpoint for endpoint, _, _ in ways(gathering.app)}
    assert there_are - POLICIES.keys() == set(), "without a policy nobody comes in: write one"
    assert there_are == TABLE.keys(), "say in the table who shall come in"
    assert POLICIES.keys() - there_are == set()


@pytest.mark.parametrize("who", WHO)
def test_everybody_comes_in_where_the_table_says_and_nowhere_else(
    gathering: Gathering, who: str
) -> None:
    wrong = {}
    for endpoint, method, rule in ways(gathering.app):
        if who in PEOPLE and endpoint in (
            "entry.logout",
            "mine.end_others",
        ):
            continue  # they would end what the next address needs; tried below
        found = gathering.outcome(who, method, filled(rule))
        if found != (expected := TABLE[endpoint][WHO.index(who)]):
            wrong[f"{method} {rule.rule}"] = f"{found}, not {expected}"
    assert wrong == {}


@pytest.mark.parametrize("who", PEOPLE)
def test_whoever_is_signed_in_may_sign_out(gathering: Gathering, who: str) -> None:
    assert gathering.outcome(who, "POST", "/account/sessions/end") == "i"
    assert gathering.ask(who, "POST", "/logout")[0] == 303
    assert gathering.outcome(who, "GET", "/") == "s"


OF_A_JOB = {
    "api.texts.text",
    "api.texts.history",
    "pages.job",
    "pages.log",
    "api.jobs.one",
    "api.jobs.so_far",
    "api.jobs.log",
}


@pytest.mark.parametrize(
    "who", [who for who in WHO if TABLE["api.jobs.one"][WHO.index(who)] == "i"]
)
def test_what_lies_in_another_share_is_not_there(gathering: Gathering, who: str) -> None:
    """As if it did not exist: not 403, which would tell that it does."""
    sees = {"ungranted": [], "admin": [gathering.seen, gathering.hidden]}
    rules = [rule for endpoint, _, rule in ways(gathering.app) if endpoint in OF_A_JOB]
    assert len(rules) == len(OF_A_JOB)
    for rule in rules:
        absent = gathering.ask(who, "GET", filled(rule))
        for number in (gathering.seen, gathering.hidden):
            status, told = gathering.ask(who, "GET", filled(rule, number=number))
            if number in sees.get(who, [gathering.seen]):
                assert status == 200 or rule.endpoint.endswith("log"), rule
            else:
                assert status == absent[0] == 404, rule
                assert "theirs" not in told


@pytest.mark.parametrize("who", ["ungranted", "viewer", "operator", "key:read"])
def test_no_list_and_no_count_tells_of_another_share(gathering: Gathering, who: str) -> None:
    gathering.box.run(b"theirs-too.wav", share="archive")
    gathering.box.add(b"theirs-as-well.wav", share="archive")
    pages = ("/", "/jobs", "/shares", "/alerts", "/search?q=morning")
    for address in (*pages, "/api/v1/status", "/api/v1/jobs"):
        status, told = gathering.ask(who, "GET", address)
        assert status == 200
        assert "theirs" not in told
        assert "archive" not in told
        if address in ("/", "/api/v1/status"):
            assert "nothing to do" in told
        mark = "&" if "?" in address else "?"
        assert "theirs" not in gathering.ask(who, "GET", f"{address}{mark}share=archive")[1]


def test_each_sees_and_counts_their_own(gathering: Gathering) -> None:
    shown = {
        who: re.findall(r"(ours|theirs)\.wav", gathering.ask(who, "GET", "/api/v1/jobs")[1])
        for who in ("ungranted", "viewer", "admin", "key:read")
    }
    assert shown == {
        "ungranted": [],
        "viewer": ["ours"],
        "admin": ["theirs", "ours"],
        "key:read": ["ours"],
    }


# --- policies that no address has yet -----------------------------------------------------------


def asker_with(box: Box, *rights: Right) -> Asker:
    """Somebody signed in with exactly these rights."""
    account = signed_in.account(box.ledger)
    held = sessions.whose(box.ledger, signed_in.secret(box.ledger, account))
    return Asker("user:anna", "", of_key(rights, [EVERY]), signed_in=held)


@pytest.mark.parametrize("policy", [SUBMIT, OPERATE, ADMIN])
def test_a_policy_wants_its_own_right_and_no_other_does(box: Box, policy: Policy) -> None:
    assert policy.right is not None
    others = [right for right in Right if right is not policy.right]
    assert gate.may_enter(policy, asker_with(box, policy.right))
    assert not gate.may_enter(policy, asker_with(box, *others))
    assert not gate.may_enter(policy, Asker("somebody", ""))


def test_a_key_of_every_share_may_do_what_concerns_every_share(gathering: Gathering) -> None:
    for right in Right:
        key = signed_in.key(gathering.box.ledger, right)
        gathering.headers["every"] = key
        for endpoint, method, rule in ways(gathering.app):
            if POLICIES[endpoint].everywhere:
                expected = "i" if right is Right.ADMIN else "n"
                assert gathering.outcome("every", method, filled(rule)) == expected, rule


def test_figures_are_for_this_machine_or_for_a_key(gathering: Gathering) -> None:
    for peer, headers, who, may in (
        ("127.0.0.1", {}, "nobody", True),
        ("::1", {}, "nobody", True),
        ("10.0.0.7", {}, "nobody", False),
        ("", {}, "nobody", False),  # the other end of the socket is a proxy: whoever asks it
        ("", {"X-Forwarded-For": "127.0.0.1"}, "nobody", False),
        ("127.0.0.1", {"X-Forwarded-For": "10.0.0.7"}, "nobody", False),
        ("127.0.0.1", {"Origin": "http://localhost:3000"}, "nobody", False),
        ("10.0.0.7", {}, "key:read", True),
        ("10.0.0.7", {}, "key:submit", False),
        ("10.0.0.7", {}, "viewer", True),
    ):
        environ = {"REMOTE_ADDR": peer}
        sent = headers | gathering.headers[who]
        with gathering.app.test_request_context("/metrics", headers=sent, environ_base=environ):
            found = gate.may_enter(POLICIES["metrics.metrics"], identify())
        assert found is may, (peer, headers, who)


def test_an_address_without_a_policy_answers_nobody(
    gathering: Gathering, caplog: pytest.LogCaptureFixture
) -> None:
    gathering.app.add_url_rule("/forgotten", "forgotten", lambda: "a secret")
    assert gathering.ask("admin", "GET", "/forgotten")[0] == 404
    assert "without a policy" in caplog.text


# --- who somebody is ----------------------------------------------------------------------------


@pytest.fixture
def client(gathering: Gathering) -> Iterator[FlaskClient]:
    with gathering.app.test_client(use_cookies=False) as asking:
        yield asking


def test_what_is_no_key_opens_nothing_even_beside_a_cookie(
    gathering: Gathering, client: FlaskClient
) -> None:
    for header in ("Bearer nonsense", "Basic YW5uYTpzZWNyZXQ=", "Bearer", "apl_x", "Bearer  "):
        sent = {**gathering.headers["admin"], "Authorization": header}
        answer = client.get("/api/v1/jobs", headers=sent)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.json is not None
        assert answer.json["code"] == "access.key-refused"


def test_a_key_in_an_address_opens_nothing(gathering: Gathering, client: FlaskClient) -> None:
    text = gathering.headers["key:read"]["Authorization"].partition(" ")[2]
    for query in (f"token={text}", f"key={text}", f"access_token={text}", f"api_key={text}"):
        assert client.get(f"/api/v1/jobs?{query}").status_code == 401
    assert client.get("/api/v1/jobs", headers={"Cookie": f"appliance={text}"}).status_code == 401


def test_a_person_in_no_share_is_told_whom_to_ask(gathering: Gathering) -> None:
    assert "An admin of this box lets you in" in gathering.ask("ungranted", "GET", "/")[1]


def test_whoever_was_handed_a_password_first_chooses_another(
    gathering: Gathering,
) -> None:
    anna = accounts.named(gathering.box.ledger, "admin")
    assert anna is not None
    accounts.set_password(gathering.box.ledger, anna.id, "x", handed=True)
    for address in ("/", "/jobs", "/admin/users", f"/jobs/{gathering.seen}"):
        status, told = gathering.ask("admin", "GET", address)
        assert (status, told.startswith("/account")) == (303, True)
    assert gathering.ask("admin", "GET", "/api/v1/jobs")[0] == 403
    assert "Somebody else knows your password" in gathering.ask("admin", "GET", "/account")[1]


def test_no_form_is_waited_for_where_nginx_hands_bodies_on_as_they_come(box: Box) -> None:
    """Each byte of it may take a minute, and a thread of the pages with it."""
    unbuffered = re.compile(r"^/(api/v1/uploads|upload$|v1/audio)")
    found = {
        rule.endpoint
        for rule in create_app(box.settings).url_map.iter_rules()
        if unbuffered.match(rule.rule) and (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}
    }
    assert {"uploads.append", "uploads.drop", "uploads.create", "sending.send"} <= found
    assert not [one for one in found if not POLICIES[one].form_later]
