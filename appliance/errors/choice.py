"""policy.choice-*: the turn of whoever changes a profile, a vocabulary or a channel.

Not here: what may be chosen (choices), mistakes in the files (policy).
"""

from __future__ import annotations

from appliance.errors.family import ApplianceError


class ChoiceError(ApplianceError):
    """Something cannot be chosen like that; everything stays as it was."""


class ChoiceUnfit(ChoiceError):
    code = "policy.choice-unfit"
    message = "{what} was not kept: {where}: {why}."
    hint = "Correct that field and send it again; everything is as it was before."


class ChoiceTaken(ChoiceError):
    code = "policy.choice-taken"
    message = "There is {what} already."
    hint = "Change that one, or choose another name."


class ChoiceStale(ChoiceError):
    """Two people at one form: the second must see what the first did (RFC 9110, 412)."""

    code = "policy.choice-stale"
    message = "{what} was changed since you opened it."
    hint = "Open it again, look at what it says now, and repeat your change."


class ChoiceUnread(ChoiceError):
    """RFC 6585, 428."""

    code = "policy.choice-unread"
    message = "This change of {what} does not say what it was made on."
    hint = "Send the ETag of what you read as If-Match."


class ChoiceOfFiles(ChoiceError):
    code = "policy.choice-of-files"
    message = "{what} stands in the settings' files alone; there is nothing here to take back."
    hint = "Change it here, and this stands in its place; or edit the file."
