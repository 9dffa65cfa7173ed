"""Messages leave the box signed, in time, to where they may go, and to nowhere else."""

from __future__ import annotations

import base64
import email
import hashlib
import hmac
import importlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from email import policy
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import SettingsInvalid
from appliance.notify import addresses, post, secret, spoken, webhook
from appliance.notify.post import AGAIN_SECONDS, REST_SECONDS, Postman, deliver
from appliance.settings import Channel, Settings, load
from appliance.store import outbox, schema
from appliance.store.ledger import Ledger, Moment, read_clock
from appliance.store.outbox import Letter
from tests.notify.receivers import LOOPBACK, Mail, Web, mail, web

KEY = "a key that nobody knows"
BODY = {
    "kind": "alert",
    "level": "failure",
    "title": "box: The share inbox does not answer.",
    "text": "The share inbox does not answer.\n\nWhat it means: \u00fcmlauts & <tags>",
    "url": "https://box.lan/help/share.offline",
}
LETTER = Letter("0123abcd", "desk", BODY, 0)
HERE = (LOOPBACK,)


@pytest.fixture
def receiver() -> Iterator[Web]:
    with web() as lent:
        yield lent


@pytest.fixture
def post_office() -> Iterator[Mail]:
    with mail() as lent:
        yield lent


@pytest.fixture
def kept(tmp_path: Path) -> str:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    file.chmod(0o640)
    return str(file)


def channel(kind: str, url: str, **more: object) -> Channel:
    return Channel.model_validate({"name": "desk", "kind": kind, "url": url, **more})


# --- webhook ------------------------------------------------------------------------------------


def test_a_request_is_signed_over_id_time_and_body(receiver: Web, kept: str) -> None:
    to = channel("webhook", f"http://{LOOPBACK}:{receiver.port}/in?box=1", secret=kept)
    assert deliver(to, LETTER, HERE) is None
    (heard,) = receiver.heard
    number, stamp = heard.headers["webhook-id"], heard.headers["webhook-timestamp"]
    assert (heard.path, number, json.loads(heard.body)) == ("/in?box=1", "0123abcd", BODY)
    assert abs(time.time() - int(stamp)) < 30
    signed = f"{number}.{stamp}.".encode() + heard.body
    ours = base64.b64encode(hmac.new(KEY.encode(), signed, hashlib.sha256).digest()).decode()
    assert heard.headers["webhook-signature"] == f"v1,{ours}"


def test_the_signature_is_that_of_the_published_example() -> None:
    """The example of github.com/standard-webhooks/standard-webhooks, spec, "Verifying"."""
    body = b'{"test": 2432232314}'
    known = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    found = webhook.signature("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body, known)
    assert found == "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_redirect_is_not_followed(receiver: Web, kept: str) -> None:
    with web() as other:
        receiver.answers, receiver.location = [307], f"http://{LOOPBACK}:{other.port}/"
        to = channel("webhook", f"http://{LOOPBACK}:{receiver.port}/", secret=kept)
        why = deliver(to, LETTER, HERE)
        assert why is not None
        assert "points elsewhere (307)" in why
        assert other.heard == []


@pytest.mark.parametrize("kind", ["webhook", "ntfy"])
def test_this_machine_is_refused_unless_its_address_is_listed(
    receiver: Web, kept: str, kind: str
) -> None:
    for host in ("localhost", LOOPBACK, "[::1]"):
        to = channel(kind, f"http://{host}:{receiver.port}/in", secret=kept)
        for allow in ((), ("localhost",), ("10.0.0.0/8",)):
            why = deliver(to, LETTER, allow)
            assert why is not None, (host, allow)
            assert "this machine" in why or "not on the list" in why
    assert receiver.heard == []


def test_a_secret_is_never_in_a_channels_trouble(receiver: Web, kept: str) -> None:
    receiver.answers = [500]
    whys = [
        deliver(channel(kind, f"http://{LOOPBACK}:{receiver.port}/in", secret=kept), LETTER, HERE)
        for kind in ("webhook", "ntfy")
    ]
    assert all(whys)
    assert not any(KEY in str(why) for why in whys)


@pytest.mark.parametrize(
    ("host", "address", "allow", "may"),
    [
        ("hooks.lan", "192.168.1.9", (), True),
        ("hooks.example", "93.184.216.34", (), True),
        ("hooks.lan", "127.0.0.1", (), False),
        ("hooks.lan", "127.8.0.1", (), False),
        ("hooks.lan", "::1", (), False),
        ("hooks.lan", "::ffff:127.0.0.1", (), False),
        ("hooks.lan", "0.0.0.0", (), False),  # noqa: S104 - refused
        ("meta", "169.254.169.254", (), False),
        ("meta", "fe80::1", (), False),
        ("meta", "fd00:ec2::254", (), False),
        ("meta", "100.100.100.200", (), False),
        ("all", "224.0.0.1", (), False),
        ("hooks.lan", "192.168.1.9", ("hooks.lan",), True),
        ("HOOKS.lan.", "192.168.1.9", ("hooks.lan",), True),
        ("hooks.lan", "127.0.0.1", ("hooks.lan",), False),  # its name was turned against us
        ("hooks.lan", "192.168.1.9", ("192.168.0.0/16",), True),
        ("hooks.lan", "10.1.1.1", ("192.168.0.0/16",), False),
        ("hooks.lan", "169.254.169.254", ("169.254.169.254/32",), True),
        ("other.lan", "192.168.1.9", ("hooks.lan",), False),
    ],
)
def test_where_a_message_may_go(host: str, address: str, allow: tuple[str, ...], may: bool) -> None:
    assert addresses.may_go(host, address, allow) is may


def test_a_receiver_that_never_answers_costs_seconds(
    kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(spoken, "LIMIT_SECONDS", 1.0)
    with socket.create_server((LOOPBACK, 0)) as deaf:
        port = deaf.getsockname()[1]
        begun = time.monotonic()
        for kind in ("webhook", "ntfy"):
            assert deliver(channel(kind, f"http://{LOOPBACK}:{port}/in", secret=kept), LETTER, HERE)
        assert time.monotonic() - begun < 8


# --- ntfy and mail ------------------------------------------------------------------------------


def test_ntfy_gets_title_text_priority_and_token(receiver: Web, kept: str) -> None:
    receiver.answers = [200]
    to = channel("ntfy", f"http://{LOOPBACK}:{receiver.port}/box-alerts", secret=kept)
    assert deliver(to, LETTER, HERE) is None
    (heard,) = receiver.heard
    assert heard.headers["authorization"] == f"Bearer {KEY}"
    told = json.loads(heard.body)
    assert (told["topic"], told["title"], told["message"]) == (
        "box-alerts",
        BODY["title"],
        BODY["text"],
    )
    assert heard.headers["x-priority"] == "high"


def test_mail_gets_a_letter_in_plain_text(post_office: Mail) -> None:
    to = channel(
        "email",
        f"smtp://{LOOPBACK}:{post_office.port}",
        sender="box@office.lan",
        to=["it@office.lan", "boss@office.lan"],
    )
    assert deliver(to, LETTER, HERE) is None
    assert {one for people, _ in post_office.letters for one in people} == {
        "it@office.lan",
        "boss@office.lan",
    }
    told = email.message_from_string(post_office.letters[0][1], policy=policy.default)
    assert told["Subject"] == BODY["title"]
    assert "box@office.lan" in told["From"]
    text = told.get_body(("plain",))
    assert text is not None
    assert text.get_content().replace("\r\n", "\n").strip() == BODY["text"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # apprise's own
@pytest.mark.parametrize(
    ("url", "port", "mode"),
    [
        ("smtps://mail.lan", 465, "ssl"),
        ("smtp+starttls://mail.lan:2587", 2587, "starttls"),
        ("smtp://mail.lan", 25, "insecure"),
        ("smtps://[2001:db8::1]", 465, "ssl"),
    ],
)
def test_apprise_understands_what_it_is_told_of_a_mail_server(
    url: str, port: int, mode: str, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(spoken, "_speak", lambda _to, told, _letter, _allow: asked.append(told))
    word = "p@ss:w/rd+ %x"
    people = {"sender": "box@office.lan", "to": ["it@office.lan"], "user": "b x@office.lan"}
    spoken.email(channel("email", url, secret=kept, **people), word, LETTER, ())
    found: Any = importlib.import_module("apprise").Apprise.instantiate(asked[0])
    assert (found.port, found.secure_mode) == (port, mode)
    assert (found.user, found.password) == ("b x@office.lan", word)
    assert [one for _, one in found.targets] == ["it@office.lan"]


def test_mail_that_is_refused_did_not_arrive(post_office: Mail) -> None:
    post_office.full = True
    to = channel("email", f"smtp://{LOOPBACK}:{post_office.port}", sender="a@b.lan", to=["c@d.lan"])
    assert deliver(to, LETTER, HERE) is not None


# --- secrets and settings -----------------------------------------------------------------------


def test_a_secret_comes_from_a_file_or_a_credential(
    kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert secret.read(kept).text == KEY
    assert KEY not in repr(secret.read(kept))
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert "no credential" in str(secret.read("desk").trouble)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert secret.read("key").text == KEY
    os.chmod(kept, 0o644)
    assert "by everybody" in str(secret.read(kept).trouble)
    assert "cannot be read" in str(secret.read(str(tmp_path / "none")).trouble)
    assert secret.read(str(tmp_path)).trouble


@pytest.mark.parametrize(
    ("lines", "mistake"),
    [
        ("kind = 'webhook'\nurl = 'https://user:word@host/'\nsecret = '/k'", "use user and secret"),
        ("kind = 'webhook'\nurl = 'https://host/'", "where the key is kept"),
        ("kind = 'ntfy'\nurl = 'https://host/'", "must end with a topic"),
        ("kind = 'ntfy'\nurl = 'https://host/a/b'", "must end with a topic"),
        ("kind = 'email'\nurl = 'smtps://host'", "e-mail needs both"),
        ("kind = 'email'\nurl = 'https://host'", "email wants smtps"),
        ("kind = 'ntfy'\nurl = 'https://host/a'\nshares = ['no']", "there is no share no"),
        ("kind = 'ntfy'\nurl = 'https://host/a'\nsecrets = 'x'", "did you mean secret?"),
    ],
)
def test_mistakes_in_a_channel_are_named(tmp_path: Path, lines: str, mistake: str) -> None:
    file = tmp_path / "appliance.toml"
    file.write_text(f"[[notify.channel]]\nname = 'desk'\n{lines}\n")
    with pytest.raises(SettingsInvalid, match=mistake.replace("?", r"\?")):
        load(str(file))


def test_a_list_of_places_is_read(tmp_path: Path) -> None:
    file = tmp_path / "appliance.toml"
    file.write_text("[notify]\nallow = ['Ntfy.Office.LAN', '192.168.1.9', '10.0.0.0/8']\n")
    assert load(str(file)).notify.allow == ("ntfy.office.lan", "192.168.1.9/32", "10.0.0.0/8")
    file.write_text("[notify]\nallow = ['https://host/']\n")
    with pytest.raises(SettingsInvalid, match="no name, no address and no range"):
        load(str(file))


# --- the post -----------------------------------------------------------------------------------


class Office:
    """A ledger with a channel, a postman, and time that passes when the test says so."""

    def __init__(self, folder: Path, receiver: Web, kept: str) -> None:
        url = f"http://{LOOPBACK}:{receiver.port}/in"
        told = {"name": "desk", "kind": "webhook", "url": url, "secret": kept}
        self.settings = Settings.model_validate(
            {
                "node": {"state_dir": str(folder / "state")},
                "notify": {"channel": [told], "allow": [LOOPBACK]},
            }
        )
        schema.prepare(self.settings.state_dir)
        os.makedirs(self.settings.run_dir)
        self.later = 0.0
        self.ledger = Ledger(self.settings.state_dir, clock=self.now)
        self.postman = Postman(self.ledger, self.settings, self.settings.notify.channel[0])

    def now(self) -> Moment:
        real = read_clock()
        later = round(self.later * 1000)
        return replace(real, wall_ms=real.wall_ms + later, boot_s=real.boot_s + self.later)

    def write(self, **body: Any) -> Letter:
        (letter,) = outbox.letters(["desk"], {**BODY, **body}, self.now().wall_ms)
        outbox.put(self.ledger, [letter])
        return letter

    def state(self, letter: Letter) -> tuple[str, int]:
        row = self.ledger.row("SELECT state, tries FROM outbox WHERE id = ?", [letter.id])
        assert row is not None
        return row["state"], row["tries"]


@pytest.fixture
def office(tmp_path: Path, receiver: Web, kept: str) -> Iterator[Office]:
    made = Office(tmp_path, receiver, kept)
    yield made
    made.ledger.close()


def test_a_letter_is_tried_again_at_its_times_with_the_same_id(
    office: Office, receiver: Web
) -> None:
    receiver.answers = [503]
    letter = office.write()
    office.postman.round()
    for number, pause in enumerate(AGAIN_SECONDS, start=1):
        office.later += pause - 1
        office.postman.round()
        assert len(receiver.heard) == number
        office.later += 2
        office.postman.round()
        assert len(receiver.heard) == number + 1
    assert office.state(letter) == (outbox.GIVEN_UP, 5)
    assert {one.headers["webhook-id"] for one in receiver.heard} == {letter.id}
    office.later += 86_000
    office.postman.round()
    assert len(receiver.heard) == 5


def test_a_letter_that_arrives_late_is_sent_once(office: Office, receiver: Web) -> None:
    receiver.answers = [503, 204]
    letter = office.write()
    office.postman.round()
    office.later += 31
    for _ in range(3):
        office.postman.round()
        office.later += 4000
    assert office.state(letter) == (outbox.SENT, 2)
    assert len(receiver.heard) == 2


def test_a_channel_that_failed_ten_times_rests_and_is_named(office: Office, receiver: Web) -> None:
    receiver.answers = [500]
    for _ in range(14):
        office.write()
    office.postman.round()
    assert len(receiver.heard) == 10
    office.later += 60
    office.postman.round()
    assert len(receiver.heard) == 10, "it rests"
    fares = outbox.channel(office.ledger, "desk", most=10)
    assert (fares.failures, fares.rests) == (10, True)
    assert "answers 500" in str(fares.why)
    office.later += REST_SECONDS
    office.postman.round()
    assert len(receiver.heard) == 11, "after its rest it is tried, once"
    receiver.answers = [204]
    office.later += REST_SECONDS + 1
    office.postman.round()
    fares = outbox.channel(office.ledger, "desk", most=10)
    assert (fares.failures, fares.rests) == (0, False)


def test_a_test_of_a_channel_ends_its_rest(office: Office, receiver: Web) -> None:
    receiver.answers = [500]
    for _ in range(10):
        office.write()
    office.postman.round()
    (desk,) = office.settings.notify.channel
    assert post.test(office.ledger, office.settings, desk) is not None
    receiver.answers = [204]
    assert post.test(office.ledger, office.settings, desk) is None
    assert not outbox.channel(office.ledger, "desk", most=10).rests
    assert json.loads(receiver.heard[-1].body)["kind"] == "test"


def test_a_test_goes_before_what_waits_once_and_to_a_channel_that_rests(
    office: Office, receiver: Web
) -> None:
    receiver.answers = [500]
    for _ in range(30):
        office.write()
    office.postman.round()
    first, second = office.write(kind="test"), office.write(kind="test")
    office.postman.round()
    assert [json.loads(one.body)["kind"] for one in receiver.heard[10:]] == ["test", "test"]
    office.later += REST_SECONDS / 2
    receiver.answers = [204]
    office.postman.round()
    assert len(receiver.heard) == 12, "it still rests, and no test is tried again"
    third = office.write(kind="test")
    office.postman.round()
    assert json.loads(receiver.heard[12].body)["kind"] == "test"
    states = [office.state(one)[0] for one in (first, second, third)]
    assert states == [outbox.GIVEN_UP, outbox.GIVEN_UP, outbox.SENT]
    assert len(receiver.heard) > 13, "it works: what waited goes on"


def test_nobody_waits_for_ever_for_one_who_sends_nothing(office: Office) -> None:
    (desk,) = office.settings.notify.channel
    found = post.ask(office.ledger, office.settings, desk, seconds=0.0)
    assert found is not None
    assert found.state == outbox.WAITING


def test_yesterdays_news_is_not_sent(office: Office, receiver: Web) -> None:
    letter = office.write()
    office.later += 90_000
    office.postman.round()
    assert receiver.heard == []
    assert office.state(letter) == (outbox.GIVEN_UP, 0)
    assert outbox.channel(office.ledger, "desk", most=10).failures == 0


def test_yesterdays_news_does_not_keep_back_todays(office: Office, receiver: Web) -> None:
    receiver.answers = [500]
    stale = [office.write() for _ in range(30)]
    office.postman.round()
    assert outbox.channel(office.ledger, "desk", most=10).failures == 10
    receiver.answers, receiver.heard[:] = [204], []
    office.later += 90_000
    alert = office.write()
    office.postman.round()
    assert {office.state(one)[0] for one in stale} == {outbox.GIVEN_UP}
    assert office.state(alert) == (outbox.SENT, 1)
    assert len(receiver.heard) == 1
    assert outbox.channel(office.ledger, "desk", most=10).failures == 0


def test_a_channel_that_hangs_keeps_back_no_other(
    office: Office, receiver: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(post, "ROUND_SECONDS", 0.05)
    monkeypatch.setattr(webhook, "PATIENCE_SECONDS", 2.0)
    (desk,) = office.settings.notify.channel
    with socket.create_server((LOOPBACK, 0)) as deaf:
        stuck = desk.model_copy(
            update={"name": "stuck", "url": f"http://{LOOPBACK}:{deaf.getsockname()[1]}/"}
        )
        told = office.settings.notify.model_copy(update={"channel": (stuck, desk)})
        settings = office.settings.model_copy(update={"notify": told})
        outbox.put(office.ledger, outbox.letters(["stuck", "desk"], BODY, office.now().wall_ms))
        stop = threading.Event()
        carrying = threading.Thread(target=post.carry, args=(office.ledger, settings, stop))
        begun = time.monotonic()
        carrying.start()
        while not receiver.heard and time.monotonic() - begun < 10:
            time.sleep(0.02)
        took = time.monotonic() - begun
        stop.set()
        carrying.join()
    assert receiver.heard
    assert took < 1.5
