"""access.*: the turn of whoever signs in, or of the admin who lets them.

Not here: which answer of the page goes with which (web.failures).
"""

from __future__ import annotations

from appliance.errors.family import ApplianceError


class AccessError(ApplianceError):
    """Somebody is not let in, or not this far. No recording is concerned."""


class SignInNeeded(AccessError):
    code = "access.sign-in-needed"
    message = "This needs somebody who is signed in, or a key."
    hint = "Sign in on the page; a program sends its key as `Authorization: Bearer …`."


class SignInWrong(AccessError):
    code = "access.sign-in-wrong"
    message = "The name or the password is wrong."
    hint = "Try again; on the box `appliance user reset NAME` sets a new password."


class SignInSlow(AccessError):
    code = "access.sign-in-slow"
    message = "There were too many attempts; the next one counts in {seconds:.0f} seconds."
    hint = "Wait, then try again. Nothing is locked for good."


class NotAllowed(AccessError):
    code = "access.not-allowed"
    message = "Your account may not do this."
    hint = "Ask an admin of the box for it."


class ConfirmNeeded(AccessError):
    code = "access.confirm-needed"
    message = "This needs a password that was given a moment ago."
    hint = "Confirm it at /confirm, then ask again; a program uses a key of scope admin."


class KeyRefused(AccessError):
    """Mistyped, unknown, expired and revoked alike: a stranger learns nothing."""

    code = "access.key-refused"
    message = "This key opens nothing."
    hint = "Look at `appliance key list`: it may be mistyped, expired or revoked."


class KeyUnsafe(AccessError):
    code = "access.key-unsafe"
    message = "A key would cross the network in the clear to {where}; it was not sent."
    hint = "Use https, or http to this machine itself."


class FormStale(AccessError):
    code = "access.form-stale"
    message = "This form does not belong to your session; nothing was changed."
    hint = "Load the page again and repeat what you did."


class CodeWrong(AccessError):
    code = "access.code-wrong"
    message = "This set-up code is wrong, used or too old."
    hint = "On the box, `appliance user setup` makes a new one."


class SetUpAlready(AccessError):
    code = "access.set-up-already"
    message = "This box has an admin already."
    hint = "Sign in; on the box `appliance user reset NAME` sets a new password."


class PasswordWeak(AccessError):
    code = "access.password-weak"
    message = "This password is too easy to guess: {why}."
    hint = "Take twelve characters or more; four words that have nothing to do with each other do."


class NameUnfit(AccessError):
    code = "access.name-unfit"
    message = "{name} cannot be the name of an account."
    hint = "Use up to 63 small letters, digits, dots, dashes and underscores."


class NameTaken(AccessError):
    code = "access.name-taken"
    message = "There is an account named {name} already."
    hint = "Choose another name."


class NoSuchAccount(AccessError):
    code = "access.no-such-account"
    message = "There is no account named {name}."
    hint = "`appliance user list` names them."


class NoSuchKey(AccessError):
    code = "access.no-such-key"
    message = "There is no key {name} that could still be used."
    hint = "`appliance key list` names them."


class LastAdmin(AccessError):
    code = "access.last-admin"
    message = "{name} is the only admin: nobody could let anybody in afterwards."
    hint = "Make somebody else an admin first."


class AuditBroken(AccessError):
    code = "access.audit-broken"
    message = "The audit log does not hold together at entry {n}: {why}."
    hint = "Keep the ledger as it is and compare the entry with the journal and the backups."
