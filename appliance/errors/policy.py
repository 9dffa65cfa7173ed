"""settings.*, policy.* and bugs: the turn of whoever installs, of nobody, and of us."""

from __future__ import annotations

from appliance.errors.family import ApplianceError


class SettingsInvalid(ApplianceError):
    """The settings are wrong: exit 78, with every mistake in one go."""

    code = "settings.invalid"
    message = "{file} has {count} mistake(s):\n{mistakes}"
    hint = "Correct the file and run `appliance settings check`."


class NotReachable(ApplianceError):
    code = "settings.not-reachable"
    message = "{what} does not answer at {where}."
    hint = "Is the appliance running? Start it with `appliance up`."


class Cancelled(ApplianceError):
    code = "policy.cancelled"
    message = "Somebody cancelled this recording."
    hint = "Retry it on the page or with `appliance jobs retry`."


class Interrupted(ApplianceError):
    """The worker is going down in good order: the job goes back into the queue at once."""

    code = "policy.interrupted"
    message = "The box is being stopped; this recording goes on afterwards."
    hint = "Nothing to do."


class Fenced(ApplianceError):
    """Somebody newer has the job: drop everything, touch nothing. Nobody is told."""

    code = "policy.fenced"
    message = "Job {job} is no longer ours (attempt {attempt})."
    hint = "Nothing to do."


class NothingToEdit(ApplianceError):
    """Only a person who edits a text meets this and the next two."""

    code = "policy.nothing-to-edit"
    message = "Recording {job} has no transcript that could be edited yet."
    hint = "Edit it once it has been transcribed; if it failed, retry it first."


class StaleEdit(ApplianceError):
    code = "policy.stale-edit"
    message = "The text of recording {job} was changed by {who} since you opened it."
    hint = "Open it again ({now} is the newest revision, yours was {on}) and repeat your edit."


class EditRefused(ApplianceError):
    code = "policy.edit-refused"
    message = "This edit of recording {job} cannot be made: {why}."
    hint = "Open the text again and repeat your edit."


class RequestUnfit(ApplianceError):
    """A program sent something of another shape than the API's document says."""

    code = "policy.request-unfit"
    message = "This request does not fit: {where}: {why}."
    hint = "Correct it; /api/v1/openapi.json says what is expected."


class Bug(ApplianceError):
    """Our own mistake. Plain words for the person, the traceback for the journal."""

    code = "bug"
    message = "Something went wrong inside the appliance while it worked on {name}."
    hint = "Nothing is lost. Tell the administrator the job number; the journal holds the details."
    note = True
