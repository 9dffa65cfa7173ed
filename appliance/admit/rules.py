"""Which files are not ours to transcribe, by their name alone; and what each rule is called.

Every rule has a name, because nothing may be skipped silently: `explain` and the page
print the sentence of the rule that caught a file. No I/O here.

Not here: options of a folder (admit.folder), what a look at the file tells (watch).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from appliance.nouns import EXTENSIONS

_I = re.IGNORECASE

# Order matters: the first that matches gives its name. Matched against one component.
_ANY: Final = (  # files and folders
    ("own-file", re.compile(rb"\.~appliance-|\.transcribe")),
    ("office-lock", re.compile(rb"~\$|\.~lock\.")),
    ("sync-temporary", re.compile(rb"\.syncthing\.|~syncthing~|\.~tmp~$|\.rsync-partial$", _I)),
    ("server-temporary", re.compile(rb"\.smbdelete|\.nfs|\.fuse_hidden|\.pending-")),
    ("mac-twin", re.compile(rb"\._")),
    ("hidden", re.compile(rb"\.")),
)
_FILES: Final = (
    ("own-file", re.compile(rb".*\.ERROR\.txt$", re.DOTALL)),
    (
        "partial-download",
        re.compile(
            rb".*\.(part|partial|filepart|crdownload|download|tmp|temp|!ut|!qb|aria2|processing)$",
            _I | re.DOTALL,
        ),
    ),
)
_FOLDERS: Final = (
    (
        "system-folder",
        re.compile(
            rb"(@eaDir|#recycle|#snapshot|@Recycle|@Recently-Snapshot|\$RECYCLE\.BIN"
            rb"|System Volume Information|lost\+found|~snapshot|__MACOSX|Network Trash Folder"
            rb"|Temporary Items)$",
            _I,
        ),
    ),
)

SENTENCES: Final[Mapping[str, str]] = {
    "own-file": "It is a file of the appliance itself.",
    "office-lock": "It is the lock file of an office program.",
    "sync-temporary": "It is a temporary file of a sync program; the finished one is taken.",
    "server-temporary": "It is a temporary file of the file server.",
    "mac-twin": "It is the twin a Mac writes beside a file; the file itself is taken.",
    "hidden": "Files and folders that begin with a dot are left alone.",
    "partial-download": "It is still being downloaded; it is taken once it has its final name.",
    "system-folder": "It lies in a folder that belongs to the file server.",
    "not-media": "Its name does not end like a sound or video file.",
    "notranscribe": "A file named .notranscribe in its folder, or above, says so.",
    "link": "It is a link. For safety links are never followed.",
    "not-regular": "It is not an ordinary file.",
    "other-filesystem": "It lies on another disk that is mounted inside this share.",
    "too-deep": "It lies more than 32 folders deep.",
    "not-adopted": "It was there before the share was adopted; nothing runs until you decide: "
    "`appliance share adopt NAME --existing ignore|process`.",
    "forgotten": "Somebody had its job forgotten; a file that changes is taken again.",
    "old-file": "It was there before the share was adopted, and old files were to be left alone.",
}


def of_file(name: bytes) -> str | None:
    """The rule that keeps a file of this name out; None when it is a recording."""
    return _first(name, _FILES + _ANY) or (None if is_media(name) else "not-media")


def of_folder(name: bytes) -> str | None:
    """The rule that keeps a folder of this name out, and all that lies in it."""
    return _first(name, _ANY + _FOLDERS)


def of_path(path: bytes) -> str | None:
    """The rule that keeps the file at this path (below the share's root) out."""
    folder, _, name = path.rpartition(b"/")
    return (of_tree(folder) if folder else None) or of_file(name)


def of_tree(path: bytes) -> str | None:
    """The rule that keeps a folder at this path out, by its own name or one above it."""
    return next(filter(None, map(of_folder, path.split(b"/"))), None)


def is_media(name: bytes) -> bool:
    """Tell by its last suffix whether a file is meant to hold sound."""
    stem, dot, suffix = name.rpartition(b".")
    return bool(stem and dot) and suffix.decode("ascii", "replace").lower() in EXTENSIONS


def _first(name: bytes, rules: tuple[tuple[str, re.Pattern[bytes]], ...]) -> str | None:
    return next((rule for rule, pattern in rules if pattern.match(name)), None)
