"""source.*: the turn of whoever dropped the file. Only another file, or a person, changes it."""

from __future__ import annotations

from appliance.errors.family import ApplianceError


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
    message = "The file {name} arrived incompletely: its end is missing."
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
