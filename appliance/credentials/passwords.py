"""Passwords: which are good enough, their hash, and comparing them.

Twelve characters, no rules of composition, none of those everybody tries first (NIST
SP 800-63B 5.1.1.2). Argon2id with 19 MiB, two passes, one lane (OWASP's first choice for
it): the library's own 64 MiB would let a handful of strangers fill the memory of the box.

Not here: how often somebody may try (web.access.throttle).
"""

from __future__ import annotations

import functools
import re
import secrets
import unicodedata
from typing import Final

from argon2 import PasswordHasher, Type, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError

from appliance.errors import PasswordWeak

LEAST: Final = 12  # characters
MOST: Final = 256  # characters; hashing is not to be somebody's way to keep the box busy
_LEAST_OWN: Final = 5  # characters that are left when what everybody tries is taken out
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# What the long ones among the most common passwords are made of.
_TRIED_FIRST: Final = """
    transcription transcribe appliance administrator administrador password passwort kennwort
    motdepasse contrasena wachtwoord correcthorsebatterystaple qwertyuiop qwertzuiop azertyuiop
    asdfghjkl zxcvbnm yxcvbnm qwerty qwertz azerty iloveyou letmein welcome willkommen changeme
    trustno1 football baseball princess sunshine superman starwars dragon monkey shadow master
    secret geheim login admin root test user guest abcdefghijklmnopqrstuvwxyz abcdef abc
    1q2w3e4r5t6y 1q2w3e4r 1qaz2wsx3edc 1qaz2wsx zaq12wsx
""".split()  # noqa: SIM905 - one word a line would fill the page
_LETTERS: Final = str.maketrans("@4301$5", "aaeoiss")  # as people disguise them


def accept(password: str, *, name: str) -> None:
    """Raise PasswordWeak for a password that `name` should not have."""
    if len(password) < LEAST:
        raise PasswordWeak(why=f"it has {len(password)} characters of the {LEAST} it needs")
    if len(password) > MOST:
        raise PasswordWeak(why=f"it has more than {MOST} characters")
    if len(set(password)) < _LEAST_OWN:
        raise PasswordWeak(why="it repeats the same few characters")
    folded = _plain(password).casefold()
    spellings = (folded, folded.translate(_LETTERS))
    if any(_own(spelling, name.casefold()) < _LEAST_OWN for spelling in spellings):
        raise PasswordWeak(why="it is made of words and rows of keys that are tried first")


def _own(password: str, name: str) -> int:
    """How many characters are left without the name, common words, years and rows of digits."""
    words = sorted((word for word in (*_TRIED_FIRST, name) if len(word) > 2), key=len, reverse=True)
    for word in words:
        password = password.replace(word, "")
    password = re.sub(r"(19|20)\d\d", "", password)
    letters = re.sub(r"[\W\d_]", "", password)
    signs = set(re.sub(r"[^\W_]", "", password))
    return len(letters) + len(signs) + len(_unordered_digits(password))


def _unordered_digits(text: str) -> str:
    """The digits that do not merely go on from the one before: of 123456 that is the 1."""
    digits = re.sub(r"[^0-9]", "", text)
    return "".join(
        digit
        for before, digit in zip(" " + digits, digits, strict=False)
        if before == " " or (int(digit) - int(before)) % 10 not in (0, 1, 9)
    )


def hashed(password: str) -> str:
    """Its hash, salt and parameters included; 20 MB and some 25 ms of a processor each time."""
    return _HASHER.hash(_plain(password))


def matches(password: str, known: str | None) -> bool:
    """Tell whether it belongs to a hash; None, for nobody's, takes the same time to say no."""
    try:
        right = _HASHER.verify(known or _nobodys(), _plain(password[: MOST + 1]))
    except (VerificationError, InvalidHashError):
        return False
    return right and known is not None


def is_outdated(known: str) -> bool:
    """Tell whether a hash was made with other parameters than today's."""
    return _HASHER.check_needs_rehash(known)


def is_hash(text: str) -> bool:
    """Tell whether a text is an argon2id hash, such as a provisioner may bring."""
    try:
        return text.startswith("$argon2id$") and extract_parameters(text).type is Type.ID
    except InvalidHashError:
        return False


def one_to_hand_over() -> str:
    """A password for the first time, to be read out and typed: 80 random bits."""
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789"
    groups = ("".join(secrets.choice(alphabet) for _ in range(4)) for _ in range(4))
    return "-".join(groups)


@functools.cache
def _nobodys() -> str:
    return _HASHER.hash(secrets.token_hex(16))


def _plain(password: str) -> str:
    """The same characters, however a keyboard composes them."""
    return unicodedata.normalize("NFKC", password)
