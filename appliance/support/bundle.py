"""Children → one archive: whole or not at all, for its owner alone, with a list of what it holds.

Not here: what the children gather (parts).
"""

from __future__ import annotations

import contextlib
import glob
import gzip
import io
import json
import os
import re
import tarfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final

from appliance.doctor.asking import PYTHON, Answer, ask
from appliance.errors import on_the_box
from appliance.settings import Settings
from appliance.store.backups import sync
from appliance.support.parts import PARTS, Place, place, told
from appliance.support.scrub import GONE, identity

KEY: Final = "APPLIANCE_SUPPORT_KEY"  # what pseudonyms are made with, for our children
MANIFEST: Final = "MANIFEST.txt"
SECONDS: Final = 300.0  # for all parts together
MOST_BYTES: Final = 2_000_000  # of one file
_ALL_BYTES: Final = 24_000_000
_SAFE: Final = re.compile(r"[a-z0-9][a-z0-9-]*(/[a-z0-9][a-z0-9-]*)?\.(jsonl|txt)")
_CREDENTIALS: Final = "/etc/appliance/credentials"
_SHARES: Final = "shares"  # below it: accounts of file servers, as mount.cifs reads them
_NO_SECRET: Final = frozenset({"username", "user", "domain", "dom", "workgroup"})  # of those
_SHORTEST: Final = 6  # characters of a secret that is looked for: a shorter one is in every text
_ABOUT: Final = """\
A support bundle of a transcription appliance, made {at}.

It holds no text of any recording, no vocabulary, and nothing that looked like a password, a key
or an address of a person. {names}
Every file is lines of JSON: read them before you send them. Nothing was sent anywhere.
"""
_PSEUDONYMS: Final = (
    "Recordings are called\nfile-…, the same one alike in every bundle of this box; "
    "failed.jsonl names the job of each, and\n`appliance jobs show N` on the box says which "
    "recording that is."
)
_NAMED: Final = "Recordings are called\nby their names, because --with-names was given."


@dataclass(frozen=True, slots=True)
class Held:
    """What a bundle holds."""

    file: str
    size: int
    title: str


@dataclass(slots=True)
class Bundle:
    """What was gathered, until it is written."""

    files: dict[str, list[bytes]] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def add(self, file: str, line: bytes, title: str) -> bool:
        """Add a line; say whether there was room."""
        mine = sum(map(len, self.files.get(file, ()))) if file in self.files else 0
        everything = sum(sum(map(len, lines)) for lines in self.files.values())
        if mine + len(line) > MOST_BYTES or everything + len(line) > _ALL_BYTES:
            return False
        self.files.setdefault(file, []).append(line)
        self.titles.setdefault(file, title)
        return True

    def held(self) -> list[Held]:
        """Every file, the manifest not counted."""
        return [
            Held(file, sum(map(len, lines)), self.titles[file])
            for file, lines in sorted(self.files.items())
        ]


def gather(file: str | None, *, names: bool, seconds: float = SECONDS) -> Bundle:
    """Ask every part, one after the other, for so long at most."""
    until = time.monotonic() + seconds
    key = identity()
    at = place(file, key, names=names)
    removed = secrets_of(at.settings)
    made = Bundle()
    for name, part in PARTS.items():
        if part.seconds is None:
            found = [json.loads(json.dumps(one, default=str)) for one in told(part, at)]
            missing = list(_take(found, made, part.title, removed))
        else:
            patience = min(part.seconds, until - time.monotonic())
            missing = list(_by_child(name, file, at, made, removed, key, patience))
        made.left_out += [f"{name}: {why}" for why in missing]
    return made


def _by_child(
    name: str,
    file: str | None,
    at: Place,
    made: Bundle,
    removed: Sequence[str],
    key: bytes,
    patience: float,
) -> Iterator[str]:
    """Have a child gather a part; yields why something is missing."""
    if patience <= 0:
        yield "the time for all parts was over"
        return
    words = ["-P", "-m", "appliance.support", name, *(["--names"] if at.scrubber.names else ())]
    argv = [PYTHON, *words, *([file] if file else [])]
    answer = ask(argv, patience, environment={KEY: key.hex()})
    yield from _take(_read(answer), made, PARTS[name].title, removed)
    if answer.code is None:
        yield f"it did not end within {patience:.0f} seconds"
    elif answer.code != 0:
        yield f"its child died ({_kind(answer)})"


def _read(answer: Answer) -> Iterator[dict[str, Any]]:
    for text in answer.said.splitlines():
        with contextlib.suppress(ValueError):  # cut off in the middle
            yield json.loads(text)


def _take(
    found: Iterable[dict[str, Any]], made: Bundle, title: str, removed: Sequence[str]
) -> Iterator[str]:
    """Put what was gathered into the bundle; yields why something is missing."""
    full: dict[str, int] = {}
    for one in found:
        if "left_out" in one:
            yield _cleared(str(one["left_out"]), removed)
        elif _SAFE.fullmatch(str(one.get("file"))):
            line = _cleared(json.dumps(one["line"], ensure_ascii=False), removed)
            if not made.add(one["file"], f"{line}\n".encode("utf-8", "replace"), title):
                full[one["file"]] = full.get(one["file"], 0) + 1
    for file, count in full.items():
        yield f"{count} more lines of {file}: it is as large as it may be"


def _kind(answer: Answer) -> str:
    """Of what kind its last words were; not the words, in which anything might stand."""
    last = answer.complained.strip().splitlines()[-1:] or [""]
    found = re.match(r"[A-Za-z_.]+(?=:|$)", last[0])
    return f"exit {answer.code}, {found[0] if found else 'unknown'}"


# --- secrets that we know ------------------------------------------------------------------------


def secrets_of(settings: Settings, folder: str = _CREDENTIALS) -> list[str]:
    """Secrets of this box, as far as this account may read them: whatever they stand in, they go.

    Files that a channel names below a share are not opened.
    """
    roots = [f"{share.root.rstrip('/')}/" for share in settings.share]
    named = [
        channel.secret
        for channel in settings.notify.channel
        if channel.secret.startswith("/") and not channel.secret.startswith(tuple(roots))
    ]
    found: set[str] = set()
    for file in [*named, *glob.glob(f"{folder}/**", recursive=True)]:
        with contextlib.suppress(OSError):
            fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            with open(fd, encoding="utf-8", errors="replace") as stream:
                lines = stream.read(65_536).splitlines()
            if os.path.dirname(file) == os.path.join(folder, _SHARES):
                lines = [_of_an_account(line) for line in lines]
            for line in lines:
                found |= {line.strip(), line.partition("=")[2].strip()}
    return sorted((one for one in found if len(one) >= _SHORTEST), key=len, reverse=True)


def _of_an_account(line: str) -> str:
    """What of a line of an account is secret: not its name, but a password that follows it.

    An account is called `appliance`, or as the house is: words that stand everywhere.
    """
    name, _, value = line.partition("=")
    return value.partition("%")[2] if name.strip().lower() in _NO_SECRET else line


def _cleared(text: str, removed: Sequence[str]) -> str:
    for secret in removed:
        for spelt in (
            secret,
            json.dumps(secret)[1:-1],
            json.dumps(secret, ensure_ascii=False)[1:-1],
        ):
            text = text.replace(spelt, GONE)
    return text


# --- the archive ---------------------------------------------------------------------------------


def manifest(made: Bundle, *, names: bool, at: float) -> str:
    """What the bundle holds, what was left out, and why."""
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))
    rows = [f"{one.size:>10,}  {one.file:<28}  {one.title}" for one in made.held()]
    missing = [f"  {why}" for why in made.left_out] or ["  nothing"]
    about = _ABOUT.format(at=when, names=_NAMED if names else _PSEUDONYMS)
    return "\n".join([about, "Held, in bytes:", *rows, "", "Left out:", *missing, ""])


def write(path: str, made: Bundle, *, names: bool, at: float) -> str:
    """Write the archive; its manifest comes back. Raises node.disk-full, node.io, FileExistsError.

    It appears under its name when it is whole and on disk; one that is there stays.
    """
    listed = manifest(made, names=names, at=at)
    folder = os.path.dirname(os.path.abspath(path))
    temp = os.path.join(folder, f".{os.path.basename(path)}.{os.getpid()}.new")
    with on_the_box(folder):
        descriptor = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with on_the_box(folder), open(descriptor, "wb") as stream:
            _pack(stream, made, listed, top=_top(path), at=at)
            stream.flush()
            os.fsync(descriptor)
        _into_place(temp, path)
        with on_the_box(folder):
            sync(folder)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temp)
    return listed


def _top(path: str) -> str:
    """The folder that it unpacks into."""
    name = os.path.basename(path)
    for end in (".tar.gz", ".tgz"):
        name = name.removesuffix(end)
    return name or "support"


def _into_place(temp: str, path: str) -> None:
    """Give it its name, unless that is taken. Raises FileExistsError."""
    try:
        os.link(temp, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        os.rename(temp, path)


def _pack(stream: BinaryIO, made: Bundle, listed: str, *, top: str, at: float) -> None:
    with (
        gzip.GzipFile("", "wb", fileobj=stream, mtime=at) as packed,
        tarfile.open(mode="w", fileobj=packed, format=tarfile.PAX_FORMAT) as archive,
    ):
        _put(archive, f"{top}/{MANIFEST}", listed.encode(), at)
        for file, lines in sorted(made.files.items()):
            _put(archive, f"{top}/{file}", b"".join(lines), at)


def _put(archive: tarfile.TarFile, name: str, content: bytes, at: float) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(content), 0o600, int(at)
    archive.addfile(member, io.BytesIO(content))
