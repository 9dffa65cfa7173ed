"""Every choice a site has, with its default; and where the box keeps its things.

In: TOML (`/etc/appliance/appliance.toml` and `conf.d/*.toml`, on a laptop
`./appliance.toml`, or nothing at all). Out: a frozen `Settings`, or SettingsInvalid
with every mistake at once. No other module reads configuration.

Not here: what the page may change (the ledger's), what a folder says about itself (admit).
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from appliance import links
from appliance.errors import SettingsInvalid
from appliance.nouns import LANGUAGES, Options

BOX_FILE: Final = "/etc/appliance/appliance.toml"
BOX_STATE: Final = "/var/lib/appliance"
LAPTOP_FILE: Final = "appliance.toml"
LAPTOP_STATE: Final = ".appliance"
GB: Final = 1_000_000_000

Format = Literal["txt", "srt", "vtt", "json", "docx", "md"]
FORMATS: Final[tuple[Format, ...]] = ("txt", "srt", "vtt", "json", "docx", "md")
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Positive = Annotated[float, Field(gt=0)]
Word = Annotated[str, Field(min_length=1, max_length=100)]
Vocabulary = Annotated[tuple[Word, ...], Field(max_length=200)]

# fmt: off
EXTENSIONS: Final = frozenset((
    "wav", "wave", "mp3", "m4a", "m4b", "aac", "flac", "ogg", "oga", "opus", "wma", "amr", "aif",
    "aiff", "caf", "au", "ac3", "mka", "mp4", "m4v", "mov", "mkv", "webm", "avi", "wmv", "asf",
    "mpg", "mpeg", "ts", "mts", "m2ts", "flv", "3gp", "3g2", "ogv", "vob", "mxf",
))
# fmt: on


def _spoken(code: str) -> str:
    if code in LANGUAGES:
        return code
    near = code[:2].lower()
    hint = f"did you mean {near}?" if near in LANGUAGES else "write two letters, such as de or en"
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


Folder = Annotated[str, AfterValidator(_absolute)]
Language = Annotated[str, AfterValidator(_spoken)]
Formats = Annotated[
    tuple[Format, ...], AfterValidator(lambda formats: tuple(dict.fromkeys(formats)))
]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class NodeSettings(_Section):
    """The box itself."""

    state_dir: str = ""  # "": /var/lib/appliance where the box's file is read, else ./.appliance
    spool_gb: Positive = 20.0


class Share(_Section):
    """A folder tree we watch."""

    name: Name
    root: Folder
    kind: Literal["auto", "local", "smb", "nfs"] = "auto"
    profile: str = "default"
    formats: Formats | None = None  # None: as the profile says
    max_bytes: Annotated[int, Field(gt=0)] = 50 * GB
    max_hours: Positive = 12.0
    existing: Literal["ask", "ignore", "process"] = "ask"
    require_marker: bool = True
    error_files: bool = True
    quiet_seconds: Positive | None = None  # None: 2 on a local disk, 15 on a network share


class Profile(_Section):
    """How a kind of recording is transcribed."""

    model: str = "selftest"
    language: Language | None = None
    task: Literal["transcribe", "translate", "both"] = "transcribe"
    vocabulary: Vocabulary = ()
    initial_prompt: Annotated[str, Field(max_length=800)] | None = None
    beam: Annotated[int, Field(ge=1, le=16)] = 5
    vad: bool = True
    subtitle_rules: str = "standard"
    formats: Formats = FORMATS
    language_suffix: Literal["never", "always", "translations"] = "translations"


class FolderChoice(_Section):
    """What a folder may say about its own recordings, in its `.transcribe.toml`. Never more:
    whoever may drop a file writes it.
    """

    language: Language | None = None
    task: Literal["transcribe", "translate", "both"] | None = None
    formats: Formats | None = None
    vocabulary: Vocabulary | None = None


class EngineSettings(_Section):
    """The process that holds the model."""

    device: Literal["auto", "cuda", "cpu"] = "auto"
    compute_type: str = "auto"
    model_dir: str = ""  # "": models/ in the state directory
    threads: Annotated[int, Field(ge=0)] = 0  # 0: as many as there are processors
    batch: Annotated[int, Field(ge=0, le=256)] = 0  # 0: 4 on a processor, 16 on a GPU
    idle_unload_s: Annotated[float, Field(ge=0)] = 0.0  # 0: the model stays warm


class WorkerSettings(_Section):
    """The process that carries jobs, and the limits of one job."""

    count: Annotated[int, Field(ge=1, le=64)] = 2
    max_attempts: Annotated[int, Field(ge=1)] = 13  # failures of any kind; the budgets allow 13
    job_memory_mb: Annotated[int, Field(ge=128)] = 1024
    job_cpu: Positive = 1.0  # processors
    job_timeout_factor: Positive = 4.0  # times the length of the recording, at least ten minutes
    require_cgroups: bool = False
    require_isolation: bool = False  # refuse to decode unless every wall around it stands


class DiskSettings(_Section):
    """When the box complains about its disk, and when it stops taking work."""

    warn_below_gb: Annotated[float, Field(ge=0)] = 5.0
    stop_below_gb: Annotated[float, Field(ge=0)] = 1.0
    reserve_mb: Annotated[int, Field(ge=0)] = 64  # given up so that a full disk can be noted


class BackupSettings(_Section):
    """The ledger is backed up hourly beside itself."""

    copy_to: Folder | None = None  # a folder on another disk that gets each backup too


class RetentionSettings(_Section):
    """How long the box keeps its own records. Originals and exports never go."""

    logs_days: Positive = 90  # of attempts
    events_days: Positive = 365  # of jobs that have ended
    sightings_days: Positive = 90  # of files that are gone
    uploads_days: Positive = 30
    quarantine_days: Positive = 30  # what was damaged and put aside
    partials_days: Positive = 1  # half a model, half a backup, copies that nobody reads


class WebSettings(_Section):
    """The page."""

    listen: Annotated[str, AfterValidator(_address)] = "127.0.0.1:8080"


class NotifySettings(_Section):
    """Whom to tell. Channels come with the notification issue."""


class Settings(_Section):
    """All of it."""

    node: NodeSettings = NodeSettings()
    share: tuple[Share, ...] = ()
    profile: Mapping[str, Profile] = Field(default_factory=dict)
    engine: EngineSettings = EngineSettings()
    worker: WorkerSettings = WorkerSettings()
    disk: DiskSettings = DiskSettings()
    backup: BackupSettings = BackupSettings()
    retention: RetentionSettings = RetentionSettings()
    web: WebSettings = WebSettings()
    notify: NotifySettings = NotifySettings()

    @model_validator(mode="after")
    def _fits_together(self) -> Settings:
        if mistakes := list(_contradictions(self)):
            raise ValueError("\n".join(mistakes))
        return self

    @property
    def state_dir(self) -> str:
        """Where ledger, queue, spool, logs and models lie; absolute."""
        return os.path.abspath(self.node.state_dir or LAPTOP_STATE)

    @property
    def run_dir(self) -> str:
        """Where sockets and owner locks lie."""
        if self.state_dir == BOX_STATE:
            return "/run/appliance"
        return os.path.join(self.state_dir, "run")

    @property
    def model_dir(self) -> str:
        """Where model folders lie."""
        return self.engine.model_dir or os.path.join(self.state_dir, "models")

    @property
    def engine_socket(self) -> str:
        """The engine's door."""
        return os.path.join(self.run_dir, "engine-0.sock")

    def state(self, *parts: str) -> str:
        """A path below the state directory."""
        return os.path.join(self.state_dir, *parts)

    def share_named(self, name: str) -> Share | None:
        """The share of that name, if it is (still) configured."""
        return next((share for share in self.share if share.name == name), None)

    def options_for(self, share: Share) -> Options:
        """What a recording in this share is asked for, before its folder has a word."""
        profile = self.profile.get(share.profile, Profile())
        return Options(
            profile=share.profile,
            formats=share.formats or profile.formats,
            **profile.model_dump(exclude={"formats"}),
        )


def _contradictions(settings: Settings) -> Iterator[str]:
    names = [share.name for share in settings.share]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"share: two shares are named {name}"
    state_dir = links.resolved(settings.state_dir)
    shares = [(share, links.resolved(share.root)) for share in settings.share]
    for share, root in shares:
        if share.profile != "default" and share.profile not in settings.profile:
            yield f"share {share.name}: there is no [profile.{share.profile}]"
        for other, around in shares:
            if share is not other and _inside(root, around):
                yield f"share {share.name}: its root lies inside the share {other.name}"
        if _inside(root, state_dir) or _inside(state_dir, root):
            yield f"share {share.name}: its root and [node] state_dir lie inside each other"
    yield from _english_only(settings)


def _english_only(settings: Settings) -> Iterator[str]:
    for name, profile in settings.profile.items():
        if not profile.model.partition("@")[0].endswith(".en"):
            continue
        if profile.language not in (None, "en") or profile.task != "transcribe":
            yield (
                f"profile {name}: the model {profile.model} knows English only and translates "
                f"nothing; choose {profile.model.partition('.en')[0]}, or language and task to fit"
            )


def _inside(path: str, folder: str) -> bool:
    return os.path.commonpath([path, folder]) == folder


def default_file() -> str | None:
    """The settings file in force without `--settings`: environment, box, laptop, or none."""
    if named := os.environ.get("APPLIANCE_SETTINGS"):
        return named
    return next((file for file in (BOX_FILE, LAPTOP_FILE) if os.path.exists(file)), None)


def load(file: str | None = None) -> Settings:
    """Read the settings. Raises SettingsInvalid that names every mistake, with file and key."""
    file = file or default_file()
    tables: dict[str, Any] = {}
    for part in _parts(file):
        _merge(tables, _read(part))
    _from_environment(tables, box=file == BOX_FILE)
    try:
        return Settings.model_validate(tables)
    except ValidationError as error:
        raise _invalid(file or "The environment", _mistakes(error)) from None


def folder_choice(file: str, text: bytes) -> FolderChoice:
    """Read a folder's options. Raises SettingsInvalid that names every mistake."""
    tables = _parsed(file, text)
    try:
        return FolderChoice.model_validate(tables)
    except ValidationError as error:
        raise _invalid(file, _mistakes(error, FolderChoice)) from None


def _parts(file: str | None) -> list[str]:
    if file is None:
        return []
    folder = os.path.join(os.path.dirname(file), "conf.d")
    drop_ins = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return [file, *(os.path.join(folder, name) for name in drop_ins if name.endswith(".toml"))]


def _read(file: str) -> dict[str, Any]:
    try:
        with open(file, "rb") as stream:
            return _parsed(file, stream.read())
    except OSError as error:
        raise _invalid(file, [f"cannot be read: {error.strerror}"]) from error


def _parsed(file: str, text: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(text.decode("utf-8"))
    except ValueError as error:  # no TOML, no UTF-8, or a number of thousands of digits
        raise _invalid(file, [f"is not TOML: {error}"]) from error
    except RecursionError as error:
        raise _invalid(file, ["is not TOML: it is nested too deeply"]) from error


def _merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    """Lay a drop-in over what stands: tables merge, lists of tables grow, the rest is replaced."""
    for key, value in more.items():
        there = into.get(key)
        if isinstance(there, dict) and isinstance(value, dict):
            _merge(there, value)
        elif isinstance(there, list) and isinstance(value, list):
            there.extend(value)
        else:
            into[key] = value


def _from_environment(tables: dict[str, Any], *, box: bool) -> None:
    node = tables.setdefault("node", {})
    web = tables.setdefault("web", {})
    if isinstance(node, dict):
        if state_dir := os.environ.get("APPLIANCE_STATE_DIR"):
            node["state_dir"] = state_dir
        elif box:
            node.setdefault("state_dir", BOX_STATE)
    if isinstance(web, dict) and (listen := os.environ.get("APPLIANCE_WEB_LISTEN")):
        web["listen"] = listen


def _invalid(file: str, mistakes: list[str]) -> SettingsInvalid:
    lines = "\n".join(f"  {mistake}" for mistake in mistakes)
    return SettingsInvalid(file=file, count=len(mistakes), mistakes=lines)


def _mistakes(error: ValidationError, whole: type[BaseModel] = Settings) -> list[str]:
    return [
        f"{_dotted(found['loc'])}{line}"
        for found in error.errors(include_url=False)
        for line in (_unknown(found, whole) or found["msg"].removeprefix("Value error, ")).split(
            "\n"
        )
    ]


def _dotted(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return f"{text}: " if text else ""


def _unknown(found: Mapping[str, Any], whole: type[BaseModel]) -> str | None:
    """For a key we do not know: the nearest one we do."""
    if found["type"] != "extra_forbidden":
        return None
    section: Any = whole
    for part in found["loc"][:-1]:
        if isinstance(part, str) and issubclass(section, BaseModel):
            section = _section_of(section, part)
    near = difflib.get_close_matches(str(found["loc"][-1]), list(section.model_fields), n=1)
    return f"unknown, did you mean {near[0]}?" if near else "unknown"


def _section_of(section: type[BaseModel], key: str) -> type[BaseModel]:
    named: dict[str, type[BaseModel]] = {"share": Share, "profile": Profile}
    if key in named:
        return named[key]
    field = section.model_fields.get(key)
    kind = field.annotation if field else None
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else section
