"""policy.* of what is sent to the box instead of dropped: the turn of whoever sends it.

Not here: which answer of the page goes with which (web.failures), a recording that turns out
to be none (source).
"""

from __future__ import annotations

from appliance.errors.family import ApplianceError


class UploadError(ApplianceError):
    """Something was sent, or asked for, that cannot be taken like this. No job is concerned."""


class UploadsOff(UploadError):
    code = "policy.uploads-off"
    message = "This box takes no uploads."
    hint = "Drop the recording into a share, or have the admin set `[uploads] enabled`."


class UploadRefused(UploadError):
    code = "policy.upload-refused"
    message = "This upload cannot be taken: {why}."
    hint = "Correct that and send it again."


class UploadBroken(UploadError):
    code = "policy.upload-broken"
    message = "The upload ended before all of it was there."
    hint = "Send it again; a resumable upload goes on at the offset that HEAD tells."


class NoSuchUpload(UploadError):
    code = "policy.no-such-upload"
    message = "There is no such upload of yours."
    hint = "Begin a new one: what is not finished within a day is forgotten."


class UploadMoved(UploadError):
    code = "policy.upload-offset"
    message = "This upload stands at {offset} bytes, not at {given}."
    hint = "Ask for its offset with HEAD and go on there."


class UploadBusy(UploadError):
    code = "policy.upload-busy"
    message = "Another connection is sending to this upload."
    hint = "Wait until that one has ended, ask for the offset and go on there."


class UploadArrived(UploadError):
    code = "policy.upload-arrived"
    message = "This upload is complete and has become a recording."
    hint = "Cancel its job instead; the recording goes when its time is over."


class KeyReused(UploadError):
    code = "policy.key-reused"
    message = "This Idempotency-Key was used for another upload."
    hint = "Take a new key for each recording and the same one only to repeat a request."


class OverQuota(UploadError):
    code = "policy.quota"
    message = "Your uploads would take {size} bytes; you may have {limit} here."
    hint = "Older ones go by themselves; the admin can raise `[uploads] per_person_gb`."


class TooManyAtOnce(UploadError):
    code = "policy.too-many-at-once"
    message = "The box is taking as many {what} as it can at once."
    hint = "Try again in {seconds:.0f} seconds."


class StillWorking(UploadError):
    code = "policy.still-working"
    message = "The recording is not transcribed yet (job {job}); the work goes on."
    hint = "Send the same request again: it is recognised and waits for the same job."


class NoSuchModel(UploadError):
    code = "policy.no-such-model"
    message = "There is no model {model} here."
    hint = "`GET /v1/models` names those there are; `whisper-1` is always one of them."
