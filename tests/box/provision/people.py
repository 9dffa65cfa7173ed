"""Who may come in, and with what: operators by their keys, the first admin, secrets of a vault.

What a vault holds arrives where one unit alone is handed it, and is found nowhere else.

Not here: the order of the steps (__main__).
"""

from __future__ import annotations

import json
import ssl
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.accounts import people
from image.controller import BIN, Controller
from tests.box.container import Container
from tests.box.steps import expect

OPERATOR: Final = "carla"
ADMIN: Final = "chief"
_PASSWORD: Final = "rain on the seventh roof"  # noqa: S105 - of a person who is gone in a moment
_DESK, _SERVER = "tk_what_the_desk_is_told_with", "what the file server asks for"
SECRETS: Final = (_DESK, _SERVER, _PASSWORD)
_CREDENTIALS: Final = "/etc/appliance/credentials"
# A browser's way in: the form as it comes, filled in.
_SIGN_IN: Final = """
import http.cookiejar, re, ssl, sys, urllib.parse, urllib.request
trusted = ssl.create_default_context(cafile="/etc/appliance/tls/cert.pem")
jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
browser = urllib.request.build_opener(urllib.request.HTTPSHandler(context=trusted), jar)
form = browser.open("https://localhost/login").read().decode()
told = dict(re.findall('<input type="hidden" name="([^"]*)" value="([^"]*)"', form))
told |= {"name": sys.argv[1], "password": sys.argv[2]}
body = urllib.parse.urlencode(told).encode()
browser.open(urllib.request.Request("https://localhost/login", body,
    {"Origin": "https://localhost"}))
told = browser.open("https://localhost/admin/users")
print(told.status, told.url)
"""
# Every file of the box that holds one of the words, whoever has it for an argument or in its
# environment, and the journal.
_SEARCH: Final = r"""
for word in "$@"; do
  holds() { tr '\0' ' ' < "$1" 2>/dev/null | grep -qF -- "$word"; }
  grep -rlF --devices=skip --exclude-dir=proc --exclude-dir=sys --exclude-dir=journal \
    -- "$word" / 2>/dev/null | sed 's/^/file /'
  journalctl --no-pager -o export | grep -qaF -- "$word" && echo journal
  for process in /proc/[0-9]*; do
    [ "$process" = "/proc/$$" ] && continue
    for file in cmdline environ; do
      holds "$process/$file" && echo "process $process/$file"
    done
  done
done
true
"""
_IN_THE_JOURNAL: Final = "Transcription appliance: the pages"


@dataclass(frozen=True, slots=True)
class Site:
    """What a site brings along, in a folder of the controller."""

    folder: Path
    key: Path  # of the operator; its other half beside it

    @property
    def operators(self) -> list[Mapping[str, object]]:
        """As the inventory names them."""
        return [
            {"name": OPERATOR, "keys": [self.key.with_suffix(".pub").read_text().strip()]},
        ]


def site(folder: Path) -> Site:
    """Make what a site has."""
    key = folder / OPERATOR
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    return Site(folder, key)


def come_in(box: Container, controller: Controller, at: Site, only: Sequence[str]) -> None:
    """Everything of a vault and a certificate of its own; who may come in does."""
    cert, tls_key = _certificate(at.folder)
    vault, word = _vault(at.folder)
    words = (*only, "-e", f"@{vault}", "--vault-password-file", str(word))
    told = {
        "appliance_channels": [
            {
                "name": "desk",
                "kind": "webhook",
                "url": "https://desk.example.org/box",
                "secret": "notify_desk",
            }
        ],
        "appliance_tls_cert": str(cert),
        "appliance_tls_key": str(tls_key),
    }
    made = controller.play("site.yml", *words, **told)
    expect(made.status == 0, "site.yml with a vault and a certificate", made.text)
    again = controller.play("site.yml", *words, "--diff", **told)
    changed = again.counts.get("canary-box", {}).get("changed")
    expect(again.status == 0 and changed == 0, "once more: changed 0", again.text)
    held = [secret for secret in SECRETS if secret in made.text + again.text]
    expect(not held, "no secret in what Ansible says", str(held))
    _operator(box, controller, at)
    shown = _page(box, cert)
    at_it = shown == "200 https://localhost/admin/users"
    expect(at_it, f"{ADMIN} signs in, over the site's certificate", shown)
    _secrets(box)


def _certificate(folder: Path) -> tuple[Path, Path]:
    cert, key = folder / "site-cert.pem", folder / "site-key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return cert, key


def _vault(folder: Path) -> tuple[Path, Path]:
    """A file of secrets that Ansible alone can read, and the file with its password."""
    secrets = {
        "appliance_admin": {"name": ADMIN, "hash": people.hashed(_PASSWORD, name=ADMIN)},
        "appliance_channel_secrets": {"desk": _DESK},
        "appliance_share_secrets": {"hearings": {"username": "box", "password": _SERVER}},
    }
    vault, word = folder / "vault.json", folder / "vault-password"
    vault.write_text(json.dumps(secrets))
    word.write_text("open the vault\n")
    argv = (BIN / "ansible-vault", "encrypt", "--vault-password-file", word, vault)
    subprocess.run(argv, check=True, capture_output=True)
    return vault, word


def _operator(box: Container, controller: Controller, at: Site) -> None:
    """By the key and by nothing else; and root is one word away."""
    # The container comes up to basic.target, and whoever is not root may come in a step later.
    box.run("systemctl", "start", "systemd-user-sessions").check_returncode()
    came = _ssh(controller, at.key, "sudo -n id -u")
    expect(came.stdout.split() == ["0"], f"{OPERATOR} comes in by a key and becomes root",
           came.stdout + came.stderr)  # fmt: skip
    stranger = at.folder / "stranger"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", stranger], check=True)
    refused = _ssh(controller, stranger, "id")
    expect(refused.returncode == 255, "somebody with another key does not", refused.stdout)
    told = box.run("/usr/sbin/sshd", "-T").stdout.splitlines()
    expect("passwordauthentication no" in told, "ssh asks for no password")


def _ssh(controller: Controller, key: Path, word: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["ssh", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
         *controller.way("canary-box"), f"{OPERATOR}@canary-box", word],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def _page(box: Container, cert: Path) -> str:
    """What a browser that trusts the site's certificate, and no other, is told."""
    there = box.run("cat", "/etc/appliance/tls/cert.pem").stdout
    same = ssl.PEM_cert_to_DER_cert(there) == ssl.PEM_cert_to_DER_cert(cert.read_text())
    expect(same, "the certificate is the site's")
    told = box.run("/usr/bin/python3", "-c", _SIGN_IN, ADMIN, _PASSWORD)
    return told.stdout.strip() or told.stderr


def _secrets(box: Container) -> None:
    """Each lies where it is handed out from, for root alone, and nowhere else."""
    handed = box.run("cat", "/run/credentials/appliance-notify.service/notify_desk").stdout.strip()
    expect(handed == _DESK, "the messenger is handed its secret")
    for file in ("notify/desk", "shares/hearings"):
        mode = box.run("stat", "-c", "%U %a", f"{_CREDENTIALS}/{file}").stdout.strip()
        expect(mode == "root 600", f"{_CREDENTIALS}/{file} is root's alone", mode)
    known = _search(box, _IN_THE_JOURNAL)
    expect(
        {"journal", "file /usr/local/lib/systemd/system/appliance-web.service"} <= known,
        "what is in the journal and in a unit is found there",
        str(sorted(known)),
    )
    found = _search(box, *SECRETS)
    allowed = {
        f"file {_CREDENTIALS}/notify/desk",
        f"file {_CREDENTIALS}/shares/hearings",
        "file /run/credentials/appliance-notify.service/notify_desk",
    }
    expect(found == allowed, f"secrets are in {len(allowed)} files and nowhere else",
           str(sorted(found ^ allowed)))  # fmt: skip


def _search(box: Container, *words: str) -> set[str]:
    return set(box.run("sh", "-c", _SEARCH, "sh", *words).stdout.splitlines())


def is_one_no_more(box: Container, controller: Controller, at: Site) -> None:
    """Who was taken off the list may not become root any more, nor come in."""
    told = box.run("runuser", "-u", OPERATOR, "--", "sudo", "-n", "id", "-u")
    expect(told.returncode != 0, f"{OPERATOR}, taken off the list, is root no more", told.stdout)
    refused = _ssh(controller, at.key, "id")
    expect(refused.returncode == 255, "nor does the key open anything", refused.stdout)
    groups = box.run("id", "-nG", OPERATOR).stdout.split()
    expect(groups == [OPERATOR], "nor is there a group left to be in", " ".join(groups))
