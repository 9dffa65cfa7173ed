"""The tables of the settings, each with its defaults, and the types of what stands in them.

Not here: whom to tell (notify), how they fit together (site), how they are read (reading).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from appliance.nouns import LANGUAGES, SEVERAL

GB: Final = 1_000_000_000

Format = Literal["txt", "srt", "vtt", "json", "docx", "md"]
SubtitleRules = Literal["standard", "cjk", "none"]
FORMATS: Final[tuple[Format, ...]] = ("txt", "srt", "vtt", "json", "docx", "md")
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Positive = Annotated[float, Field(gt=0)]
Word = Annotated[str, Field(min_length=1, max_length=100)]
Vocabulary = Annotated[tuple[Word, ...], Field(max_length=200)]
Written = Annotated[str, Field(max_length=200)]
Replacements = Annotated[Mapping[Word, Written], Field(max_length=500)]  # heard → written


AUTO: Final = "auto"  # in the place of a language: listen and find out


def _spoken(code: str) -> str:
    if code in (*LANGUAGES, AUTO, SEVERAL):
        return code
    near = code[:2].lower()
    hint = (
        f"did you mean {near}?"
        if near in LANGUAGES
        else "write two letters, such as de or en, or auto, or several"
    )
    raise ValueError(f"the model knows no language {code[:20]!r}, {hint}")


def _absolute(path: str) -> str:
    if not os.path.isabs(path):
        raise ValueError("must be an absolute path")
    return os.path.normpath(path)


def _address(listen: str) -> str:
    host, colon, port = listen.rpartition(":")
    if not listen.startswith("/") and not (colon and host and port.isdigit()):
        raise ValueError("must be host:port or the path of a socket")
    return listen


_SERVED: Final = re.compile(r"(//[^/\s,]+/[^\0-\x1f,\"\\]+|[^/\s,:]+:/[^\0-\x1f,\"\\]*)")


def _served(source: str) -> str:
    if not _SERVED.fullmatch(source):
        raise ValueError("must be //server/share (smb) or server:/path (nfs)")
    return source


Folder = Annotated[str, AfterValidator(_absolute)]
Served = Annotated[str, AfterValidator(_served)]
Language = Annotated[str, AfterValidator(_spoken)]
Formats = Annotated[
    tuple[Format, ...], AfterValidator(lambda formats: tuple(dict.fromkeys(formats)))
]


class Section(BaseModel):
    """A table: nothing in it that we do not know, and nothing that changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class NodeSettings(Section):
    """The box itself."""

    state_dir: str = ""  # "": /var/lib/appliance where the box's file is read, else ./.appliance
    spool_gb: Positive = 20.0


Memory = Annotated[int, Field(ge=128)]  # MB


class JobLimits(Section):
    """What one job may use up, where it is not what [worker] says (None)."""

    job_memory_mb: Memory | None = None
    job_cpu: Positive | None = None
    job_timeout_factor: Positive | None = None


class Share(JobLimits):
    """A folder tree we watch."""

    name: Name
    root: Folder
    kind: Literal["auto", "local", "smb", "nfs"] = "auto"
    source: Served | None = None  # what is mounted at the root; None: nothing, or by somebody else
    seal: bool = False  # SMB alone: nothing goes over the wire in the clear
    profile: str = "default"
    formats: Formats | None = None  # None: as the profile says
    max_bytes: Annotated[int, Field(gt=0)] = 50 * GB
    max_hours: Positive = 12.0
    existing: Literal["ask", "ignore", "process"] = "ask"
    require_marker: bool = True
    error_files: bool = True
    quiet_seconds: Positive | None = None  # None: 2 on a local disk, 15 on a network share


class Manner(Section):
    """How a kind of recording is heard and written down."""

    model: Annotated[str, Field(min_length=1, max_length=100)] = "selftest"
    language: Language | None = None
    task: Literal["transcribe", "translate", "both"] = "transcribe"
    initial_prompt: Annotated[str, Field(max_length=800)] | None = None
    beam: Annotated[int, Field(ge=1, le=16)] = 5
    vad: bool = True
    subtitle_rules: SubtitleRules = "standard"
    formats: Formats = FORMATS
    language_suffix: Literal["never", "always", "translations"] = "translations"


class Glossary(Section):
    """Names and words that the model should expect, and spellings that people want."""

    vocabulary: Vocabulary = ()
    replacements: Replacements = Field(default_factory=dict)


class Profile(JobLimits, Glossary, Manner):
    """How a kind of recording is transcribed."""


class FolderChoice(Section):
    """What a folder may say about its own recordings, in its `.transcribe.toml`. Never more:
    whoever may drop a file writes it.
    """

    language: Language | None = None
    task: Literal["transcribe", "translate", "both"] | None = None
    formats: Formats | None = None
    vocabulary: Vocabulary | None = None


class EngineSettings(Section):
    """The process that holds the model."""

    device: Literal["auto", "cuda", "cpu"] = "auto"
    compute_type: str = "auto"
    model_dir: str = ""  # "": models/ in the state directory
    threads: Annotated[int, Field(ge=0)] = 0  # 0: as many as there are processors
    batch: Annotated[int, Field(ge=0, le=256)] = 0  # 0: 4 on a processor, 16 on a GPU
    idle_unload_s: Annotated[float, Field(ge=0)] = 0.0  # 0: the model stays warm
    shorten: bool = False  # hear short windows with a shorter input: faster, if the words hold


_THREADS: Final = 16  # each is thin: how many long recordings are heard at once is the roster's


class WorkerSettings(Section):
    """The process that carries jobs, and the limits of one job."""

    count: Annotated[int, Field(ge=0, le=64)] = 0  # threads; 0: as many as are of use
    max_attempts: Annotated[int, Field(ge=1)] = 13  # failures of any kind; the budgets allow 13
    job_memory_mb: Memory = 1024
    job_cpu: Positive = 2.0  # processors
    job_timeout_factor: Positive = 4.0  # times the length of the recording, and at least so much:
    job_timeout_least_s: Positive = 600.0
    require_cgroups: bool = False  # refuse to work where the kernel does not hold these limits
    require_isolation: bool = False  # refuse to decode unless every wall around it stands

    @property
    def threads(self) -> int:
        """Jobs that may be in hand at once, short ones included."""
        return self.count or _THREADS


class DiskSettings(Section):
    """When the box complains about its disk, and when it stops taking work."""

    warn_below_gb: Annotated[float, Field(ge=0)] = 5.0
    warn_above_percent: Annotated[float, Field(gt=0, le=100)] = 95.0  # used
    stop_below_gb: Annotated[float, Field(ge=0)] = 1.0
    reserve_mb: Annotated[int, Field(ge=0)] = 64  # given up so that a full disk can be noted


class BackupSettings(Section):
    """The ledger is backed up hourly beside itself."""

    copy_to: Folder | None = None  # a folder on another disk that gets each backup too


class RetentionSettings(Section):
    """How long the box keeps its own records, and what was uploaded to it. What lies in a share
    never goes.
    """

    logs_days: Positive = 90  # of attempts
    events_days: Positive = 365  # of jobs that have ended
    sightings_days: Positive = 90  # of files that are gone
    uploads_days: Positive = 30  # recordings that were uploaded, and their transcripts as files
    answered_days: Positive = 1  # those whose text went straight back, and that text
    quarantine_days: Positive = 30  # what was damaged and put aside
    partials_days: Positive = 1  # half a model, half a backup, copies that nobody reads


class UploadSettings(Section):
    """Recordings that come over the page or the API, into a share that is the box's own."""

    enabled: bool = True
    profile: str = "default"
    max_bytes: Annotated[int, Field(gt=0)] = 20 * GB
    per_person_gb: Positive = 100.0  # what one person's, or one key's, may take altogether


class WebSettings(Section):
    """The page."""

    listen: Annotated[str, AfterValidator(_address)] = "127.0.0.1:8080"
    names: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+$")], ...] = ()  # it answers to
