"""What the folders of a share say about their own recordings, in `.transcribe.toml`.

In: the folder of a recording. Out: the options of its job: what the settings say for the
share, then each folder's file from the root down, the nearest last. A file with a mistake
counts as absent, and `.transcribe.ERROR.txt` beside it says in plain words what is wrong.

Not here: which keys there are (settings.FolderChoice), the ignore rules (admit.rules).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final

from appliance import beneath
from appliance.errors import SettingsInvalid
from appliance.nouns import Options, display
from appliance.settings import AUTO, FolderChoice, folder_choice

NAME: Final = b".transcribe.toml"
NOTE: Final = b".transcribe.ERROR.txt"
LIMIT: Final = 8 * 1024  # bytes; the time to read one grows with the square of its size
_REMEMBERED: Final = 1_000  # folders
_FIRST_LINE: Final = "The appliance cannot use the file .transcribe.toml in this folder."
_MARK: Final = b"\r\nNote of the appliance, number "
_NOTE_LIMIT: Final = 256 * 1024  # bytes; more than any list of mistakes takes


@dataclass(frozen=True, slots=True)
class _Read:
    """One folder's file as we last read it."""

    signature: tuple[int, int, int]
    choice: FolderChoice | None  # None: it has a mistake


class FolderOptions:
    """The folder files of one share, read again only when they change."""

    def __init__(self) -> None:
        self._read: OrderedDict[bytes, _Read] = OrderedDict()

    def options(self, root_fd: int, path: bytes, default: Options) -> Options:
        """What the recording at `path` is asked for. A file we cannot read counts as absent."""
        options = default
        for folder in _folders_above(path):
            if (choice := self._choice(root_fd, folder)) is not None:
                options = merged(options, choice)
        return options

    def _choice(self, root_fd: int, folder: bytes) -> FolderChoice | None:
        file = os.path.join(folder, NAME)
        try:
            fd = beneath.open_at(root_fd, file)
        except OSError:
            if self._read.pop(folder, None) is not None:
                withdraw(root_fd, folder)
            return None
        try:
            return self._fresh(root_fd, folder, fd).choice
        finally:
            os.close(fd)

    def _fresh(self, root_fd: int, folder: bytes, fd: int) -> _Read:
        found = os.fstat(fd)
        signature = (found.st_ino, found.st_size, found.st_mtime_ns)
        known = self._read.get(folder)
        if known is not None and known.signature == signature:
            self._read.move_to_end(folder)
            return known
        try:
            choice = parse(fd, found, os.path.join(folder, NAME))
        except SettingsInvalid as mistake:
            complain(root_fd, folder, mistake)
            choice = None
        else:
            withdraw(root_fd, folder)
        self._read[folder] = _Read(signature, choice)
        if len(self._read) > _REMEMBERED:
            self._read.popitem(last=False)
        return self._read[folder]


def merged(options: Options, choice: FolderChoice) -> Options:
    """Lay what a folder says over what stands."""
    said = choice.model_dump(exclude_none=True)
    if choice.language == AUTO:
        said["language"] = None
    return replace(options, **said)


def parse(fd: int, found: os.stat_result, path: bytes) -> FolderChoice:
    """Read an open folder file. Raises SettingsInvalid that names every mistake."""
    file = display(path)
    if not stat.S_ISREG(found.st_mode) or found.st_size > LIMIT:
        mistakes = f"  it must be an ordinary file of at most {LIMIT // 1024} KiB"
        raise SettingsInvalid(file=file, count=1, mistakes=mistakes)
    with os.fdopen(os.dup(fd), "rb") as stream:
        return folder_choice(file, stream.read(LIMIT + 1))


def _folders_above(path: bytes) -> list[bytes]:
    """The folders that hold `path`, from the root (b"") down."""
    parts = path.split(b"/")[:-1]
    return [b"/".join(parts[:count]) for count in range(len(parts) + 1)]


# --- the note beside a bad one ------------------------------------------------------------------


def complain(root_fd: int, folder: bytes, mistake: SettingsInvalid) -> None:
    """Say beside a bad file what is wrong with it. A folder we cannot write to stays as it is."""
    text = _FIRST_LINE + (
        f"\n\n{mistake.detail.get('mistakes', '')}\n\n"
        "Until it is corrected, the options of the folder above hold here.\n"
        "It may set: language, task, formats, vocabulary. For example:\n\n"
        '  language = "de"\n  formats = ["txt", "srt"]\n  vocabulary = ["Frau Nowak"]\n\n'
        "This note goes away by itself, unless you change it: then it is yours.\n"
    )
    with contextlib.suppress(OSError):
        if _is_ours(root_fd, folder):
            _put(root_fd, folder, _sealed(text.replace("\n", "\r\n").encode()))


def withdraw(root_fd: int, folder: bytes) -> None:
    """Take our note away again, if it is there and ours."""
    with contextlib.suppress(OSError), beneath.folder_of(root_fd, os.path.join(folder, NOTE)) as at:
        if os.stat(NOTE, dir_fd=at[0], follow_symlinks=False) and _is_ours(root_fd, folder):
            os.unlink(NOTE, dir_fd=at[0])


def _is_ours(root_fd: int, folder: bytes) -> bool:
    """Tell whether the note's name is free, or taken by a note of ours that nobody changed."""
    try:
        fd = beneath.open_at(root_fd, os.path.join(folder, NOTE))
    except FileNotFoundError:
        return True
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return False
        note = os.read(fd, _NOTE_LIMIT)
    finally:
        os.close(fd)
    text, mark, _seal = note.rpartition(_MARK)
    return bool(mark) and note == _sealed(text)


def _sealed(text: bytes) -> bytes:
    """The text of a note with its checksum below: what we know our own by."""
    return text + _MARK + hashlib.sha256(text).hexdigest()[:16].encode() + b"\r\n"


def _put(root_fd: int, folder: bytes, content: bytes) -> None:
    """Write the note whole: under a hidden name first, then renamed into place."""
    with beneath.folder_of(root_fd, os.path.join(folder, NOTE)) as (folder_fd, name):
        temporary = b".~appliance-folder"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder_fd)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(temporary, flags, 0o664, dir_fd=folder_fd)
        with os.fdopen(fd, "wb") as stream:
            stream.write(content)
        os.rename(temporary, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
