"""Setting up, signing in and out, one's own account: as a browser does it, form by form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from appliance.accounts import people, sessions, setup
from appliance.rights import Role
from appliance.store import accounts, audit, keys
from appliance.store import sessions as rows
from tests.signed_in import TEST
from tests.web.box import Box
from web import create_app, db

GOOD = "drei Birnen im Schnee"
WEAK = "password1234"
OTHER = "vier Kraniche am Teich"


@dataclass
class Clock:
    """Seconds of the throttle, as the tests say them."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Browser:
    """Loads pages and sends their forms, the hidden words with them."""

    client: FlaskClient
    box: Box
    clock: Clock

    def send(self, page: str, form: str, **fields: str) -> TestResponse:
        """Load a page and send the form on it that goes to `form`."""
        found = re.search(
            rf'<form[^>]*action="{re.escape(form)}"(.*?)</form>',
            self.client.get(page).text,
            re.DOTALL,
        )
        assert found, f"{page} has no form for {form}"
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', found[1]))
        return self.client.post(form, data=hidden | fields)

    def sign_in(self, name: str = "anna", password: str = GOOD, **more: str) -> TestResponse:
        return self.send("/login", "/login", name=name, password=password, **more)

    @property
    def cookie(self) -> str:
        """What the browser holds."""
        held = self.client.get_cookie("appliance")
        return held.value if held else ""

    def prove_long_ago(self) -> None:
        """Let the password have been given a while ago."""
        with self.box.ledger.writing() as ledger:
            ledger.execute("UPDATE session SET proven_ms = proven_ms - 3600000")


@pytest.fixture
def browser(box: Box) -> Iterator[Browser]:
    clock = Clock()
    app = create_app(box.settings, clock=clock)
    with app.test_client() as client:
        yield Browser(client, box, clock)
    db.close(app)


@pytest.fixture
def anna(box: Box) -> accounts.Account:
    """An admin with a password."""
    return people.add(box.ledger, TEST, "anna", GOOD, role=Role.ADMIN, grants={})[0]


def add(box: Box, name: str, role: Role = Role.VIEWER) -> accounts.Account:
    grants = {"meetings": Role.VIEWER}
    return people.add(box.ledger, TEST, name, GOOD, role=role, grants=grants)[0]


# --- the first admin ----------------------------------------------------------------------------


def test_a_new_box_asks_for_its_code_and_lets_its_first_admin_in(browser: Browser) -> None:
    first = browser.client.get("/jobs")
    assert (first.status_code, first.location) == (303, "/setup")
    code = setup.new_code(browser.box.ledger, TEST)
    done = browser.send("/setup", "/setup", code=code.lower(), name="Anna", password=GOOD)
    assert (done.status_code, done.location) == (303, "/")
    assert browser.client.get("/").status_code == 200
    assert browser.client.get("/admin/users").status_code == 200
    for page in ("/setup", "/login"):
        assert browser.client.get(page).status_code == 303


def test_without_the_code_the_first_visitor_is_nobody_special(browser: Browser) -> None:
    setup.new_code(browser.box.ledger, TEST)
    told = browser.send("/setup", "/setup", code="00000-00000", name="eve", password=GOOD)
    assert told.status_code == 422
    assert "This set-up code is wrong, used or too old." in told.text
    assert browser.client.get("/").location == "/setup"
    assert list(accounts.listing(browser.box.ledger)) == []


def test_a_weak_password_is_told_and_the_code_stays_in_its_field(browser: Browser) -> None:
    code = setup.new_code(browser.box.ledger, TEST)
    told = browser.send("/setup", "/setup", code=code, name="anna", password=WEAK)
    assert "too easy to guess" in told.text
    assert f'value="{code}"' in told.text
    assert WEAK not in told.text


def test_a_code_from_another_continent_does_not_count(browser: Browser) -> None:
    code = setup.new_code(browser.box.ledger, TEST)
    for far in ("8.8.8.8", "::ffff:8.8.8.8"):
        browser.client.environ_base["REMOTE_ADDR"] = far
        told = browser.send("/setup", "/setup", code=code, name="a", password=GOOD)
        assert told.status_code == 422
    browser.client.environ_base["REMOTE_ADDR"] = "192.168.1.20"
    assert browser.send("/setup", "/setup", code=code, name="a", password=GOOD).status_code == 303


def test_codes_cannot_be_tried_one_after_the_other(browser: Browser) -> None:
    code = setup.new_code(browser.box.ledger, TEST)
    for _ in range(5):
        browser.send("/setup", "/setup", code="00000-00000", name="eve", password=GOOD)
    slow = browser.send("/setup", "/setup", code=code, name="eve", password=GOOD)
    assert slow.status_code == 429
    browser.clock.now += 2
    assert browser.send("/setup", "/setup", code=code, name="a", password=GOOD).status_code == 303


# --- signing in ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("anna")
def test_whoever_signs_in_goes_on_to_where_they_wanted(browser: Browser) -> None:
    asked = browser.client.get("/jobs?state=done")
    assert asked.location == "/login?next=/jobs?state%3Ddone"
    done = browser.send(asked.location, "/login", name="Anna ", password=GOOD)
    assert (done.status_code, done.location) == (303, "/jobs?state=done")
    assert browser.client.get("/jobs").status_code == 200


@pytest.mark.usefixtures("anna")
@pytest.mark.parametrize(
    "there",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "\t//x",
        "jobs",
    ],
)
def test_nobody_is_sent_to_another_site(browser: Browser, there: str) -> None:
    browser.client.get("/login")
    done = browser.client.post("/login", data={"name": "anna", "password": GOOD, "next": there})
    assert done.location == "/"


@pytest.mark.usefixtures("anna")
def test_wrong_is_told_alike_whatever_it_was(browser: Browser) -> None:
    told = {
        re.sub(r'value="[^"]*"', "", browser.sign_in(name, password).text)
        for name, password in (("anna", OTHER), ("nobody", GOOD), ("anna", "x"))
    }
    assert len(told) == 1
    assert "The name or the password is wrong." in told.pop()
    assert browser.cookie == ""


@pytest.mark.usefixtures("anna")
def test_the_cookie_is_for_this_site_alone_and_for_no_script(browser: Browser) -> None:
    plain = browser.sign_in().headers["Set-Cookie"]
    for part in ("appliance=", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert part in plain
    assert "Secure" not in plain  # it came by plain HTTP: a browser would never send it back
    assert "Domain" not in plain
    browser.client.delete_cookie("appliance")
    safe = browser.client.post(
        "/login", data={"name": "anna", "password": GOOD}, base_url="https://localhost"
    ).headers["Set-Cookie"]
    assert safe.startswith("__Host-appliance=")
    assert "Secure" in safe


@pytest.mark.usefixtures("anna")
def test_signing_in_makes_a_new_session_whatever_cookie_was_planted(browser: Browser) -> None:
    browser.client.set_cookie("appliance", "planted-by-somebody-else")
    browser.sign_in()
    assert browser.cookie not in ("", "planted-by-somebody-else")
    before = browser.cookie
    with browser.client.application.test_client() as other:
        other.set_cookie("appliance", "planted-by-somebody-else")
        assert other.get("/jobs").status_code == 303
    browser.prove_long_ago()
    assert browser.client.get("/admin/users").location == "/confirm?next=/admin/users"
    done = browser.send("/confirm?next=/admin/users", "/confirm", password=GOOD)
    assert done.location == "/admin/users"
    assert browser.cookie != before
    assert sessions.whose(browser.box.ledger, before) is None


@pytest.mark.usefixtures("anna")
def test_signing_out_ends_the_session_and_not_only_the_cookie(browser: Browser) -> None:
    browser.sign_in()
    before = browser.cookie
    assert browser.send("/account", "/logout").location == "/login"
    assert browser.cookie == ""
    browser.client.set_cookie("appliance", before)
    assert browser.client.get("/jobs").status_code == 303
    assert audit.page(browser.box.ledger)[0].did == "signed-out"


@pytest.mark.usefixtures("anna")
def test_guessing_takes_longer_and_longer_and_nothing_is_locked(browser: Browser) -> None:
    for _ in range(5):
        assert browser.sign_in(password=OTHER).status_code == 403
    slow = browser.sign_in()
    assert slow.status_code == 429
    assert "too many attempts" in slow.text
    assert browser.cookie == ""
    browser.clock.now += 1.5
    assert browser.sign_in(password=OTHER).status_code == 403
    browser.clock.now += 1.5
    assert browser.sign_in().status_code == 429  # two seconds by now
    browser.clock.now += 1.0
    assert browser.sign_in().status_code == 303


@pytest.mark.usefixtures("anna")
def test_a_throttled_attempt_leaves_no_line_in_the_audit_log(browser: Browser) -> None:
    for _ in range(9):
        browser.sign_in(password=OTHER)
    failed = [one for one in audit.page(browser.box.ledger) if one.did == "sign-in-failed"]
    assert len(failed) == 5
    assert {(one.who, one.about) for one in failed} == {("somebody", "user:anna")}


# --- one's own account --------------------------------------------------------------------------


@pytest.mark.usefixtures("anna")
def test_a_new_password_is_told_and_signs_every_other_browser_out(browser: Browser) -> None:
    browser.sign_in()
    elsewhere = sessions.sign_in(browser.box.ledger, "anna", GOOD, address="", browser="Phone")
    before = browser.cookie
    done = browser.send("/account", "/account/password", old=GOOD, new=OTHER)
    assert done.status_code == 303
    assert "Your password is changed." in browser.client.get(done.location).text
    assert browser.cookie != before
    for ended in (elsewhere, before):
        assert sessions.whose(browser.box.ledger, ended) is None
    browser.client.delete_cookie("appliance")
    assert browser.sign_in().status_code == 403
    assert browser.sign_in(password=OTHER).status_code == 303


@pytest.mark.usefixtures("anna")
@pytest.mark.parametrize(
    ("old", "new", "told"),
    [(OTHER, OTHER, "The name or the password is wrong."), (GOOD, "short", "too easy to guess")],
)
def test_a_password_that_is_wrong_or_weak_changes_nothing(
    browser: Browser, old: str, new: str, told: str
) -> None:
    browser.sign_in()
    answer = browser.send("/account", "/account/password", old=old, new=new)
    assert answer.status_code in (403, 422)
    assert told in answer.text
    browser.client.delete_cookie("appliance")
    assert browser.sign_in().status_code == 303


@pytest.mark.usefixtures("anna")
def test_my_browsers_are_listed_and_signed_out_one_by_one_or_all(browser: Browser) -> None:
    browser.sign_in()
    ledger = browser.box.ledger
    phone, tablet = (
        sessions.sign_in(ledger, "anna", GOOD, address="10.0.0.9", browser=f"<b>{name}</b>")
        for name in ("Phone", "Tablet")
    )
    page = browser.client.get("/account").text
    assert "&lt;b&gt;Phone&lt;/b&gt;" in page
    assert "10.0.0.9" in page
    held = sessions.whose(ledger, phone)
    assert held is not None
    browser.send("/account", f"/account/sessions/{held.session.id}/end")
    assert sessions.whose(ledger, phone) is None
    assert sessions.whose(ledger, tablet) is not None
    browser.send("/account", "/account/sessions/end")
    assert sessions.whose(ledger, tablet) is None
    assert browser.client.get("/account").status_code == 200


def test_nobody_ends_the_session_of_somebody_else(browser: Browser) -> None:
    for name in ("bert", "cleo"):
        add(browser.box, name)
    sessions.sign_in(browser.box.ledger, "cleo", GOOD, address="", browser="")
    of_cleo = next(rows.listing(browser.box.ledger))
    people.add(browser.box.ledger, TEST, "admin", GOOD, role=Role.ADMIN, grants={})
    browser.sign_in("bert")
    word = re.search(r'name="csrf" value="(\w+)"', browser.client.get("/account").text)
    assert word
    answer = browser.client.post(f"/account/sessions/{of_cleo.id}/end", data={"csrf": word[1]})
    assert answer.status_code == 404
    assert rows.get(browser.box.ledger, of_cleo.id) is not None


# --- an admin's pages ---------------------------------------------------------------------------


@pytest.mark.usefixtures("anna")
def test_an_admin_lets_somebody_in_who_then_chooses_a_password(browser: Browser) -> None:
    browser.sign_in()
    made = browser.send(
        "/admin/users",
        "/admin/users",
        **{"name": "Bert", "role": "operator", "share:meetings": "viewer"},
    )
    handed = re.search(r'class="secret"><code>([^<]+)', made.text)
    assert handed, made.text
    assert made.headers["Cache-Control"] == "private, no-store"
    assert handed[1] not in browser.client.get("/admin/users").text
    browser.client.delete_cookie("appliance")
    assert browser.sign_in("bert", handed[1]).status_code == 303
    assert browser.client.get("/jobs").location == "/account"
    browser.send("/account", "/account/password", old=handed[1], new=OTHER)
    assert browser.client.get("/jobs").status_code == 200
    bert = accounts.named(browser.box.ledger, "bert")
    assert bert is not None
    assert (bert.role, bert.grants) == (Role.OPERATOR, {"meetings": Role.VIEWER})


@pytest.mark.usefixtures("anna")
def test_a_role_that_is_changed_ends_the_sessions_of_its_owner(browser: Browser) -> None:
    bert = add(browser.box, "bert")
    held = sessions.sign_in(browser.box.ledger, "bert", GOOD, address="", browser="")
    browser.sign_in()
    page = f"/admin/users/{bert.id}"
    assert "selected>as viewer" in browser.client.get(page).text
    browser.send(page, page, role="operator", **{"share:*": "operator"})
    changed = accounts.get(browser.box.ledger, bert.id)
    assert changed is not None
    assert (changed.role, changed.grants) == (Role.OPERATOR, {"*": Role.OPERATOR})
    assert sessions.whose(browser.box.ledger, held) is None
    browser.send(page, f"{page}/remove")
    assert accounts.get(browser.box.ledger, bert.id) is None


@pytest.mark.parametrize("way", ["", "/remove"])
def test_the_last_admin_is_kept_and_told(
    browser: Browser, anna: accounts.Account, way: str
) -> None:
    browser.sign_in()
    page = f"/admin/users/{anna.id}"
    told = browser.send(page, page + way, role="viewer")
    assert told.status_code == 409
    assert "anna is the only admin" in told.text


@pytest.mark.usefixtures("anna")
def test_a_key_is_shown_once_works_and_is_revoked(browser: Browser) -> None:
    browser.sign_in()
    made = browser.send(
        "/admin/keys", "/admin/keys", purpose="<i>scanner</i>", scope="read", share="*", days="30"
    )
    text = re.search(r"apl_\w{8}_\w{32}_\w{6}", made.text)
    assert text, made.text
    page = browser.client.get("/admin/keys").text
    assert text[0] not in page
    assert "&lt;i&gt;scanner&lt;/i&gt;" in page
    program = browser.client.application.test_client()
    header = {"Authorization": f"Bearer {text[0]}"}
    assert program.get("/api/v1/jobs", headers=header).status_code == 200
    key = next(keys.listing(browser.box.ledger))
    assert key.used_ms is not None
    rotated = browser.send("/admin/keys", f"/admin/keys/{key.name}/rotate")
    newer = re.search(r"apl_\w{8}_\w{32}_\w{6}", rotated.text)
    assert newer
    assert program.get("/api/v1/jobs", headers=header).status_code == 200
    browser.send("/admin/keys", f"/admin/keys/{key.name}/revoke")
    assert program.get("/api/v1/jobs", headers=header).status_code == 401
    header = {"Authorization": f"Bearer {newer[0]}"}
    assert program.get("/api/v1/jobs", headers=header).status_code == 200


@pytest.mark.usefixtures("anna")
def test_an_admin_sees_who_is_signed_in_and_what_was_done(browser: Browser) -> None:
    bert = add(browser.box, "bert")
    sessions.sign_in(browser.box.ledger, "bert", GOOD, address="10.0.0.9", browser="Phone")
    of_bert = next(rows.listing(browser.box.ledger, bert.id))
    browser.sign_in()
    browser.send("/admin/sessions", f"/admin/sessions/{of_bert.id}/end")
    assert rows.get(browser.box.ledger, of_bert.id) is None
    page = browser.client.get("/admin/audit").text
    for word in ("signed-out", "account-added", "user:bert", "10.0.0.9"):
        assert word in page


@pytest.mark.usefixtures("anna")
def test_accounts_and_keys_want_the_password_again_after_a_while(browser: Browser) -> None:
    browser.sign_in()
    word = re.search(r'name="csrf" value="(\w+)"', browser.client.get("/admin/keys").text)
    assert word
    browser.prove_long_ago()
    fields = {"csrf": word[1], "purpose": "x", "scope": "read", "share": "*"}
    asked = browser.client.post(
        "/admin/keys", data=fields, headers={"Referer": "http://localhost/admin/keys"}
    )
    assert asked.location == "/confirm?next=/admin/keys"
    assert list(keys.listing(browser.box.ledger)) == []
    wrong = browser.send(asked.location, "/confirm", password=OTHER)
    assert wrong.status_code == 403
    assert browser.client.get("/admin/keys").status_code == 303
    assert browser.send(asked.location, "/confirm", password=GOOD).location == "/admin/keys"
    assert browser.client.get("/admin/keys").status_code == 200
