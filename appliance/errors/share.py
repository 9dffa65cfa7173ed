"""share.*: the turn of whoever runs the file server. Jobs wait and lose nothing."""

from __future__ import annotations

from typing import ClassVar

from appliance.errors.family import ApplianceError, Budget, Retry


class ShareError(ApplianceError):
    """The folder, not the file. Jobs wait and lose nothing; they go on when it is well again."""

    retry = Retry.WHEN_WELL
    gate: ClassVar[str | None] = "share:{share}"


class ShareOffline(ShareError):
    code = "share.offline"
    message = "The share {share} does not answer."
    hint = "Check the file server and the network. Its recordings wait and go on by themselves."


class ShareWrongMarker(ShareError):
    code = "share.wrong-marker"
    message = "What is mounted at {root} is not the share {share} we know: its marker differs."
    hint = (
        "Mount the right folder. If this is the right one from now on:"
        " `appliance share adopt {share} --existing ignore`."
    )


class ShareReadOnly(ShareError):
    code = "share.read-only"
    message = "The text for {name} is ready, but {share} does not let us save it."
    hint = "Give the appliance's account write access to the folder; we try again by ourselves."


class ShareFull(ShareError):
    code = "share.full"
    message = "The share {share} is full: the text for {name} does not fit."
    hint = "Make room on the file server; we try again by ourselves."


class ShareDenied(ShareError):
    code = "share.denied"
    message = "The share {share} does not let us read {name}."
    hint = "Give the appliance's account read access; we try again by ourselves."


class ShareBusy(ShareError):
    code = "share.busy"
    message = "The file {name} on {share} is locked by another program."
    hint = "Close the program that uses it; we try again by ourselves."
    retry = Retry.LATER
    budget = Budget.ERRORS
    gate = None
