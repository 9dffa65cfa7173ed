"""What may leave the house: facts, figures and words of our own; never a secret, never a name.

Two ways, by where a text comes from. A sentence of our own (`text`) keeps its words and
loses what looks like a secret or an address. What others wrote into a line (`fact`) loses
every word that is not known to be harmless: names, titles and what was said alike.

A name becomes a pseudonym that is the same in every bundle of a box and nowhere else: a
hash with the box's own identity as its key, because names of files are easily guessed.

Not here: which part gets which treatment (parts, lines, chosen).
"""

from __future__ import annotations

import enum
import errno
import hashlib
import hmac
import itertools
import os
import re
import secrets
from collections.abc import Collection, Iterable
from typing import Final

from appliance.errors import CATALOGUE, WARNINGS
from appliance.journal import visible
from appliance.nouns import EXTENSIONS, display
from appliance.settings import FORMATS


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


GONE: Final = "(removed)"
_MASK: Final = "…"
_MACHINE: Final = "/etc/machine-id"
_ENDS: Final = EXTENSIONS | set(FORMATS)

# Each is looked for in every text, those of our own included.
_SECRETS: Final = (
    (re.compile(r"-----BEGIN [A-Z ]+-----.*?(-----END [A-Z ]+-----|\Z)", re.DOTALL), GONE),
    (re.compile(r"(?<=://)[^/\s@]*@"), f"{GONE}@"),  # who logs in there, and with what
    (re.compile(r"(?<=//)[^/\s@]*:[^/\s@]*@"), f"{GONE}@"),  # the same of an SMB server
    (re.compile(r"(?i)\b(bearer|basic|token)\s+[\w.~+/=-]{6,}"), rf"\1 {GONE}"),
    (
        re.compile(
            r"(?i)(\w*(?:passw(?:or)?d|passwort|passphrase|secret|token|api[_-]?key|credential)\w*"
            r"[\"']?\s*(?:=|:)\s*)(\"[^\"]*\"|'[^']*'|\S+)"
        ),
        rf"\1{GONE}",
    ),
    (re.compile(r"apl_[a-z2-7]{8}_\w+"), GONE),  # a key of ours
    (re.compile(r"\b[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}\b"), GONE),  # a set-up code
    (re.compile(r"\$argon2\S+"), GONE),
    (re.compile(r"[^\s@,;:<>\"'()/]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+"), "(address)"),
)
_URL: Final = re.compile(r"\b([a-z][a-z0-9+.-]*://[^/\s\"'?#]+)[/?#][^\s\"']*")
_LONG: Final = re.compile(r"[A-Za-z0-9_+=-]{20,}")  # random, if letters and digits are mixed
_TIMED: Final = re.compile(r"\d{4}-\d\d-\d\dT|^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")

_CODED: Final = re.compile(r"([a-z]+(?:\.[a-z-]+)?): ")
_FIGURE: Final = re.compile(r"[-+]?\d[\d.,:]*(%|s|ms|MB|GB|kB)?")
_EDGES: Final = "[](){}<>.,:;!?'\"`«»"
# These are known only between others that are: alone they would show how somebody's sentence went.
_SMALL: Final = words(
    """a an and at be by cannot could did does for from has have in is it its no not of on or out
    that the there to too was were with while"""
)
_WORDS: Final = words(
    """address aborted access allocate allocation already audio available bad bit bits block broken
    buffer bytes cannot channel channels child closed codec configuration connection container
    core corrupt cpu cublas cuda cudnn damaged data database decode decoder decoding device died
    disk dns driver dump end eof errno error exception exit exited failed failure fatal file files
    flac format found frame frames full gpu header headers host http https illegal image index input
    instruction invalid ioerror kernel killed layer library libav limit load loaded locked lookup
    malformed memory missing mode model mount mp3 mp4 negative network number open operation
    oserror output overflow packet packets parse partial permission pipe pool port process read
    reading refused reserved reset resource response runtimeerror sample samples seek segment
    segmentation sequence server service size skipped socket sqlite start started status stop
    stopped stream streams supported syscall system table temporary thread time timeout timed
    timestamp tls truncated unable unauthorized unavailable unexpected unknown unsupported
    valueerror version video wait wav write writing wrong receiving settling settled ignored gone"""
)
_ERRNO: Final = frozenset(
    word.strip(_EDGES).lower() for number in errno.errorcode for word in os.strerror(number).split()
)


def identity(file: str = _MACHINE) -> bytes:
    """What pseudonyms are made with: this box's identity, or chance where it has none."""
    try:
        with open(file, "rb") as stream:
            found = stream.read(64).strip()
    except OSError:
        found = b""
    # Never the identity itself: machine-id(5) asks to keep it in the house.
    return hmac.digest(found or secrets.token_bytes(32), b"appliance support bundle", "sha256")


def without_secrets(text: str) -> str:
    """A text without anything that looks like a secret, or an address of a person."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    text = _URL.sub(rf"\1/{_MASK}", text)
    return _LONG.sub(lambda found: GONE if _is_random(found[0]) else found[0], text)


def _is_random(word: str) -> bool:
    if _TIMED.search(word):
        return False
    kinds = (str.isdigit, str.islower, str.isupper)
    found = sum(any(kind(letter) for letter in word) for kind in kinds)
    digits = sum(letter.isdigit() for letter in word)
    return found == len(kinds) or (found > 1 and digits >= 4)


class Scrubber:
    """What one bundle does with names and words."""

    def __init__(
        self,
        key: bytes,
        *,
        names: bool = False,
        nouns: Iterable[str] = (),
        roots: Collection[str] = (),
    ) -> None:
        """`nouns` are words of the settings that may be shown; `roots` the folders of shares."""
        self._key = key
        self.names = names
        self._nouns = frozenset(noun.lower() for noun in nouns)
        self._roots = [re.compile(rf"({re.escape(root.rstrip('/'))}/)[^\n]+") for root in roots]

    def name(self, share: str, spelt: bytes | str) -> str:
        """A file in a share: its pseudonym, or its name where names may be shown."""
        name = visible(spelt if isinstance(spelt, str) else display(spelt))
        if self.names:
            return without_secrets(name)
        told = f"{share}\0{name}".encode("utf-8", "surrogatepass")
        word = hmac.digest(self._key, told, hashlib.sha256).hex()[:10]
        end = name.rpartition(".")[2].lower()
        return f"file-{word}.{end}" if end in _ENDS else f"file-{word}"

    def text(self, text: str) -> str:
        """A sentence of our own."""
        for root in self._roots:
            text = root.sub(rf"\1{_MASK}", text)
        return visible(without_secrets(text))

    def fact(self, text: str) -> str:
        """What somebody else may have put in: known words and figures stay, the rest is masked.

        An error of ours says no more than its code, which says everything but the names.
        """
        coded = _CODED.match(text)
        if coded and (coded[1] in CATALOGUE or coded[1] in WARNINGS):
            return coded[1]
        kept: list[str] = []
        for known, run in itertools.groupby(self._judged(without_secrets(text).split()), _known):
            kept += [word for word, _ in run] if known else [_MASK]
        return " ".join(kept)

    def _judged(self, spoken: list[str]) -> list[tuple[str, bool]]:
        """Each word, and whether it is known. A small one is where both its neighbours are."""
        judged: list[tuple[str, bool]] = []
        runs = [(kind, list(run)) for kind, run in itertools.groupby(spoken, key=self._kind)]
        for n, (kind, run) in enumerate(runs):
            beside = [one for one, _ in (*runs[max(n - 1, 0) : n], *runs[n + 1 : n + 2])]
            alone = len(spoken) == 1 and kind is _Kind.SMALL
            between = bool(beside) and all(one is _Kind.KNOWN for one in beside)
            known = kind is _Kind.KNOWN or (kind is _Kind.SMALL and (between or alone))
            judged += [(word, known) for word in run]
        return judged

    def _kind(self, word: str) -> _Kind:
        bare = word.strip(_EDGES).lower()
        if not bare or bare in _SMALL or _FIGURE.fullmatch(bare):
            return _Kind.SMALL
        ours = bare in self._nouns or bare in CATALOGUE or bare in WARNINGS or word == GONE
        return _Kind.KNOWN if ours or bare in _WORDS or bare in _ERRNO else _Kind.STRANGE


class _Kind(enum.Enum):
    """What is known of a word."""

    KNOWN = "known"  # harmless
    SMALL = "small"  # harmless among others that are
    STRANGE = "strange"


def _known(judged: tuple[str, bool]) -> bool:
    return judged[1]
