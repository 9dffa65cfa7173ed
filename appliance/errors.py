"""Every failure and every warning a person can meet: code, sentence, next step, whose turn it is.

Nothing is raised in this house that is not named here, except a bug. The catalogue is
what `NAME.ERROR.txt`, the page, the API and `/help/<code>` print from.

Not here: deciding what becomes of the job (states), writing the error file (report).
"""

from __future__ import annotations

import enum
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from appliance.nouns import Detail


class Retry(enum.Enum):
    """What repeats a job that failed."""

    NEVER = "never"  # only a changed file or a person
    WHEN_WELL = "when-well"  # the gate of this error opens again; costs no attempt
    LATER = "later"  # time, a few times


class Budget(enum.Enum):
    """Which of a job's counters a failure is charged to."""

    NONE = "none"
    ERRORS = "errors"  # transient: five
    CRASHES = "crashes"  # a child that died, hung or outgrew its limits: three
    LOSSES = "losses"  # the worker or the box died: nothing, until the fifth within an hour


class _Facts(dict[str, object]):
    """The facts of an error; one that is missing reads as its own name, never as a KeyError."""

    def __missing__(self, key: str) -> str:
        return f"({key})"


class ApplianceError(Exception):
    """A failure with a name. Facts come as keywords and fill the sentence.

    `ShareReadOnly(path="talk.mp4", share="meetings")`
    """

    code: ClassVar[str] = ""
    message: ClassVar[str] = ""
    hint: ClassVar[str] = ""
    retry: ClassVar[Retry] = Retry.NEVER
    budget: ClassVar[Budget] = Budget.NONE
    gate: ClassVar[str | None] = None  # name of the gate this closes, with facts in braces
    note: ClassVar[bool] = False  # a person in the folder can mend it: leave NAME.ERROR.txt

    def __init__(self, **detail: str | float) -> None:
        super().__init__(detail)
        self.detail: Detail = detail

    def __str__(self) -> str:
        return f"{self.code}: {self.sentence}"

    @property
    def sentence(self) -> str:
        """What happened, for a person."""
        return _fill(self.message, self.detail)

    @property
    def next_step(self) -> str:
        """What the person can do about it."""
        return _fill(self.hint, self.detail)

    @property
    def gate_name(self) -> str | None:
        """The gate that holds jobs back until this is well again."""
        return None if self.gate is None else _fill(self.gate, self.detail)


def _fill(template: str, detail: Detail) -> str:
    return string.Formatter().vformat(template, (), _Facts(detail))


# --- source.*: the turn of whoever dropped the file -------------------------------------------


class SourceError(ApplianceError):
    """Something about the file itself. Only another file, or a person, changes that."""

    note = True


class SourceEmpty(SourceError):
    code = "source.empty"
    message = "The file {name} is empty: nothing has arrived in it."
    hint = "Copy it into the folder again; if it is empty where it comes from, record it again."


class SourceUnreadable(SourceError):
    code = "source.unreadable"
    message = "The file {name} is not a recording we can open: it is damaged or no sound file."
    hint = "Play it on your computer; if that works, save it as WAV, MP3 or MP4 and drop it again."


class NoAudioTrack(SourceError):
    code = "source.no-audio-track"
    message = "The file {name} holds no sound: it is a picture or a film without an audio track."
    hint = "Export it again with its sound, or drop the sound as a file of its own."


class NoAudioData(SourceError):
    code = "source.no-audio-data"
    message = "The file {name} has an audio track, but there is no sound in it."
    hint = "The recording probably stopped before it began. Check the original and drop it again."


class CodecUnsupported(SourceError):
    code = "source.codec-unsupported"
    message = "The sound in {name} is stored as {codec}, which we cannot decode."
    hint = "Save the recording as WAV, FLAC, MP3 or M4A and drop that."


class OverLimit(SourceError):
    code = "source.over-limit"
    message = "The file {name} says it has {what} of {value}; we accept up to {limit}."
    hint = "Files like this are usually damaged. Save the recording again as WAV, MP3 or MP4."


class TooLong(SourceError):
    code = "source.too-long"
    message = "The recording {name} is longer than {limit_hours:g} hours, the limit of this folder."
    hint = "Cut it into shorter parts, or ask the administrator to raise max_hours for this share."


class TooBig(SourceError):
    code = "source.too-big"
    message = "The file {name} has {size} bytes; this folder accepts up to {limit}."
    hint = "Save it in a smaller format (MP3, M4A), or ask the administrator to raise max_bytes."


class PlaylistRefused(SourceError):
    code = "source.playlist-refused"
    message = "The file {name} is a list that points to other files, not a recording."
    hint = "Drop the recording itself. For safety we never follow such lists."


class Protected(SourceError):
    code = "source.protected"
    message = "The recording {name} is copy-protected; its sound cannot be read."
    hint = "Use a copy without protection."


class NotRegular(SourceError):
    code = "source.not-regular"
    message = "{name} is not an ordinary file but {what}."
    hint = "Drop the recording itself."
    note = False  # nothing we could write beside a device or a pipe would be expected there


class LinkRefused(SourceError):
    code = "source.link-refused"
    message = "{name} is a link to somewhere else. For safety we never follow links."
    hint = "Copy the recording itself into the folder."
    note = False


class NameTooLong(SourceError):
    code = "source.name-too-long"
    message = "The name of {name} is so long that no transcript can be named after it."
    hint = "Give the recording a shorter name."


class ExportConflict(SourceError):
    code = "source.export-conflict"
    message = "There is no free name left beside {name} for the transcript."
    hint = "Move some of the files named like it out of the folder, then delete this note."


class DecoderCrash(SourceError):
    code = "source.decoder-crash"
    message = "The file {name} made our decoder fail {times} times in a row."
    hint = "The file is probably damaged. Save the recording again as WAV or MP3 and drop that."


class SourceTimeout(SourceError):
    code = "source.timeout"
    message = "The recording {name} took longer than its limit of {limit_minutes:g} minutes."
    hint = "Drop it in shorter parts; if this happens to ordinary files, tell the administrator."


class OverMemory(SourceError):
    code = "source.over-memory"
    message = "Decoding {name} needed more memory than a job may use."
    hint = "The file is probably damaged. Save the recording again as WAV or MP3 and drop that."


class TruncatedUpload(SourceError):
    code = "source.truncated-upload"
    message = "The file {name} arrived incompletely: {seconds:g} of {declared:g} seconds are there."
    hint = "Copy it into the folder again."


class SourceChanged(ApplianceError):
    """The file grew or was replaced while we copied it: not a failure, it must settle again."""

    code = "source.changed"
    message = "The file {name} changed while we were reading it."
    hint = "Nothing to do: we wait until it is complete and start again."


class SourceMissing(ApplianceError):
    """The file is gone: moved, renamed or deleted by its owner."""

    code = "source.missing"
    message = "The file {name} is no longer in the folder."
    hint = "If it was moved inside the share we find it again by ourselves."


# --- share.*: the turn of whoever runs the file server ----------------------------------------


class ShareError(ApplianceError):
    """The folder, not the file. Jobs wait and lose nothing; they go on when it is well again."""

    retry = Retry.WHEN_WELL
    gate = "share:{share}"


class ShareOffline(ShareError):
    code = "share.offline"
    message = "The share {share} does not answer."
    hint = "Check the file server and the network. Its recordings wait and go on by themselves."


class ShareWrongMarker(ShareError):
    code = "share.wrong-marker"
    message = "What is mounted at {root} is not the share {share} we know: its marker differs."
    hint = "Mount the right folder, or run `appliance share add` for the new one."


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


# --- node.*: the turn of whoever runs the box --------------------------------------------------


class NodeError(ApplianceError):
    """Something on the box. It tries again by itself, a few times."""

    retry = Retry.LATER
    budget = Budget.ERRORS
    note = True


class DiskFull(NodeError):
    code = "node.disk-full"
    message = "The disk of the box is full: {free_gb:.1f} GB left in {where}."
    hint = "Make room there, or lower [retention]; waiting jobs go on by themselves."
    retry = Retry.WHEN_WELL
    budget = Budget.NONE
    gate = "disk"
    note = False


class SpoolFull(NodeError):
    code = "node.spool-full"
    message = "The spool has no room for {name} ({size} bytes; {free} bytes are free)."
    hint = "Raise [node] spool_gb or wait until running jobs have finished."
    retry = Retry.WHEN_WELL
    budget = Budget.NONE
    gate = "spool"
    note = False


class LedgerBusy(NodeError):
    code = "node.ledger-busy"
    message = "The ledger was locked for {seconds:g} seconds."
    hint = "If this repeats, look for a process that hangs: `appliance doctor`."


class NodeIO(NodeError):
    code = "node.io"
    message = "The box could not read or write {where}: {why}."
    hint = "Look at the disk (`appliance doctor`, `journalctl -k`)."


class EngineLost(NodeError):
    code = "node.engine-lost"
    message = "The engine stopped while it worked on this recording."
    hint = "It restarts by itself. If this repeats: `appliance doctor` and the engine's journal."
    budget = Budget.CRASHES


class EngineUnreachable(NodeError):
    """No engine answers: nothing about this recording, so its turn costs nothing."""

    code = "node.engine-unreachable"
    message = "No engine answers on this box."
    hint = "Start it (`appliance engine`, or the unit appliance-engine); jobs go on by themselves."
    retry = Retry.WHEN_WELL
    budget = Budget.NONE
    gate = "engine"
    note = False


class EngineVersion(NodeError):
    code = "node.engine-version"
    message = "The engine speaks version {theirs} of our protocol, we speak {ours}."
    hint = "Restart every part of the appliance after an update."
    retry = Retry.WHEN_WELL
    budget = Budget.NONE
    gate = "engine"
    note = False


class GpuMemory(NodeError):
    code = "node.gpu-memory"
    message = "The GPU has not enough free memory for the model {model}."
    hint = "Close other programs on the GPU, or choose a smaller model or compute_type = int8."


class GpuLost(NodeError):
    code = "node.gpu-lost"
    message = "The GPU stopped answering."
    hint = "The engine restarts. If this repeats, restart the box and look at `nvidia-smi`."


class ModelMissing(NodeError):
    code = "node.model-missing"
    message = "The model {model} is not on this box (looked in {where})."
    hint = "Fetch it once with `appliance model pull {model}`, or choose another in the profile."
    retry = Retry.WHEN_WELL
    budget = Budget.NONE
    gate = "model:{model}"
    note = False


class ModelCorrupt(NodeError):
    code = "node.model-corrupt"
    message = "The model {model} on this box is damaged: {why}."
    hint = "Fetch it again with `appliance model pull {model}`."
    retry = Retry.WHEN_WELL
    budget = Budget.NONE
    gate = "model:{model}"
    note = False


class ChildKilled(NodeError):
    code = "node.child-killed"
    message = "The decoder of {name} died ({why})."
    hint = "It is tried again by itself."
    budget = Budget.CRASHES


class Stalled(NodeError):
    code = "node.stalled"
    message = "Nothing moved in {name} for {seconds:g} seconds, so it was stopped."
    hint = "It is tried again by itself."
    budget = Budget.CRASHES


class WorkerDied(NodeError):
    """Found by recover: the owner of a running job is dead."""

    code = "node.worker-died"
    message = "The box or its worker stopped in the middle of this recording."
    hint = "It goes on by itself."
    budget = Budget.LOSSES


class AlreadyRunning(NodeError):
    code = "node.already-running"
    message = "Another appliance is already running on {where}."
    hint = "Stop it first, or choose another [node] state_dir."
    retry = Retry.NEVER
    note = False


# --- settings.*, policy.* and bugs --------------------------------------------------------------


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


class Bug(ApplianceError):
    """Our own mistake. Plain words for the person, the traceback for the journal."""

    code = "bug"
    message = "Something went wrong inside the appliance while it worked on {name}."
    hint = "Nothing is lost. Tell the administrator the job number; the journal holds the details."
    note = True


# --- warnings: the job is done, and the reader should know -------------------------------------


@dataclass(frozen=True, slots=True)
class Caution:
    """A warning's sentence and what a person may do about it."""

    code: str
    message: str
    hint: str

    def sentence(self, detail: Detail) -> str:
        """What the reader should know, with the facts filled in."""
        return _fill(self.message, detail)


WARNINGS: Final[Mapping[str, Caution]] = {
    caution.code: caution
    for caution in (
        Caution(
            "warning.no-speech",
            "No speech was found in this recording.",
            "If somebody does speak in it, drop a louder copy.",
        ),
        Caution(
            "warning.low-confidence",
            "The model was unsure of {percent:g} % of the words.",
            "Read those passages against the recording.",
        ),
        Caution(
            "warning.repetition",
            "The model repeated itself around {at}; that passage is probably wrong.",
            "Listen to it, or transcribe it again with another model.",
        ),
        Caution(
            "warning.language-unsure",
            "The language was hard to tell; {language} was the best guess ({percent:g} %).",
            "If it is wrong, set the language in .transcribe.toml and drop the file again.",
        ),
        Caution(
            "warning.decode-errors",
            "{count} damaged places in the file were skipped.",
            "Compare with the original recording.",
        ),
        Caution(
            "warning.missing-seconds",
            "{seconds:g} seconds promised by the file are not in it.",
            "The upload may be incomplete; copy it again if so.",
        ),
        Caution(
            "warning.cpu-fallback",
            "No GPU was usable; the processor did the work, which is slower.",
            "Run `appliance doctor`.",
        ),
        Caution(
            "warning.short-input-redone",
            "Some short passages were transcribed twice to be sure of them.",
            "Nothing to do.",
        ),
        Caution(
            "warning.selftest-model",
            "Made by the built-in self-test model, which knows about 100 words. "
            "This is not a real transcript.",
            "Choose a real model: `appliance model pull` and README, «A real model».",
        ),
    )
}


def _tree(root: type[ApplianceError]) -> Iterator[type[ApplianceError]]:
    for child in root.__subclasses__():
        if child.code:
            yield child
        yield from _tree(child)


CATALOGUE: Final[Mapping[str, type[ApplianceError]]] = {
    error.code: error for error in _tree(ApplianceError)
}


def named(code: str, detail: Detail) -> ApplianceError:
    """Make the error again that a child process or the ledger wrote down as code and facts."""
    return CATALOGUE.get(code, Bug)(**detail)
