"""Passwords, codes and keys: which are good, and what may be kept of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.credentials import keys, passwords, tokens
from appliance.errors import PasswordWeak

GOOD = "drei Birnen im Schnee"


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "eleven-char",
        "x" * 300,
        "aaaaaaaaaaaaaaaa",
        "abababababab",
        "123456789012",
        "password1234",
        "P@ssw0rd2024!!",
        "Willkommen2026!",
        "qwertyuiop12",
        "1q2w3e4r5t6y",
        "Transcription-1",
        "maria1234567",
        "Maria.2026!!!",
    ],
)
def test_what_is_tried_first_is_no_password(password: str) -> None:
    with pytest.raises(PasswordWeak):
        passwords.accept(password, name="maria")


@pytest.mark.parametrize(
    "password",
    [
        GOOD,
        "correct horse battery",
        "k7#p!9zq$x2m",
        "会議の議事録を毎週まとめる",
        "wUx-8Lq-37n-Rt0",
    ],
)
def test_long_and_unusual_is_enough(password: str) -> None:
    passwords.accept(password, name="maria")


def test_a_hash_tells_one_password_from_another_and_nobodys_from_any() -> None:
    known = passwords.hashed("Ärger im Büro 7")
    assert known.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert passwords.matches("A\u0308rger im Bu\u0308ro 7", known)  # composed otherwise
    assert not passwords.matches("Arger im Buro 7", known)
    assert not passwords.matches("Ärger im Büro 7", None)
    assert not passwords.matches("Ärger im Büro 7", "no hash at all")
    assert not passwords.is_outdated(known)
    assert passwords.is_hash(known)
    assert not passwords.is_hash("$argon2id$broken")
    assert not passwords.is_hash("$2b$12$abc")


def test_a_password_to_hand_over_can_be_typed_and_comes_once() -> None:
    made = {passwords.one_to_hand_over() for _ in range(50)}
    assert len(made) == 50
    assert all(len(one) == 19 and not set(one) & set("0o1il") for one in made)


def test_a_code_is_the_same_however_it_is_typed() -> None:
    code = tokens.code()
    assert len(tokens.as_meant(code)) == 10
    for typed in (code.lower(), f"  {code} ", code.replace("-", ""), code.replace("-", " - ")):
        assert tokens.as_meant(typed) == tokens.as_meant(code)
    assert tokens.as_meant("oO-iL") == "0011"


def test_a_key_is_read_back_as_it_was_made_and_its_secret_is_not_kept() -> None:
    shown, text = keys.make()
    assert keys.read(text) == shown
    secret = text.split("_")[2]
    assert secret not in repr(shown)
    assert len(shown.digest) == 64


@settings(max_examples=50)
@given(place=st.integers(0, 51), letter=st.sampled_from("abcdefghijklmnopqrstuvwxyz234567_"))
def test_a_key_with_one_letter_wrong_is_not_even_looked_up(place: int, letter: str) -> None:
    shown, text = keys.make()
    wrong = text[:place] + letter + text[place + 1 :]
    assert keys.read(wrong) == (shown if wrong == text else None)


@given(st.text(max_size=80))
def test_what_is_no_key_is_read_as_none(text: str) -> None:
    assert keys.read(text) is None
