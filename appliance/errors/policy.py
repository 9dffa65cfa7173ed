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


class BoxRefused(ApplianceError):
    """Another box, asked over its API, did not do it."""

    code = "policy.box-refused"
    message = "The box answers {told}: {why}"
    hint = "{step} Its page /help/{told} says more."


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


class StepRefused(ApplianceError):
    """The table of states has no such step, or somebody else was quicker."""

    code = "policy.step-refused"
    message = "Recording {job} is {state}; it cannot be {wanted} now."
    hint = "Look at it again; what runs can be cancelled, what has ended can be retried."


class NotReady(ApplianceError):
    code = "policy.not-ready"
    message = "Recording {job} is {state}; there is no text of it yet."
    hint = "Ask again once it is done; if it failed, retry it first."


class TagMissing(ApplianceError):
    """An edit must name the text it was made on (RFC 6585, 428)."""

    code = "policy.tag-missing"
    message = "This edit does not say which text of recording {job} it was made on."
    hint = "Send the ETag of the text that you read as If-Match."


class NothingChosen(ApplianceError):
    code = "policy.nothing-chosen"
    message = "This would forget every job; say which."
    hint = "Name jobs, states, a share, a tag or a time; with dry_run you see what would go."


class StreamsFull(ApplianceError):
    code = "policy.streams-full"
    message = "As many programs listen to this box as it can serve at once."
    hint = "Ask /api/v1/events without a stream every few seconds, or try again later."


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
