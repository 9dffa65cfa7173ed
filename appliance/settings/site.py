"""All the settings of a site: where its things lie, what a share asks for, what contradicts what.

Not here: the single tables (sections), how they are read (reading).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import Field, model_validator

from appliance import links
from appliance.nouns import SEVERAL, UPLOADS, Options, Replacement
from appliance.settings.notify import NotifySettings
from appliance.settings.sections import (
    AUTO,
    BackupSettings,
    DiskSettings,
    EngineSettings,
    JobLimits,
    Manner,
    NodeSettings,
    Profile,
    RetentionSettings,
    Section,
    Share,
    UploadSettings,
    WebSettings,
    WorkerSettings,
)

BOX_FILE: Final = "/etc/appliance/appliance.toml"
BOX_STATE: Final = "/var/lib/appliance"
BOX_LISTEN: Final = "/run/appliance/web.sock"  # nginx stands before it
LAPTOP_FILE: Final = "appliance.toml"
LAPTOP_STATE: Final = ".appliance"


@dataclass(frozen=True, slots=True)
class Allowed:
    """What one job may use up."""

    job_memory_mb: int
    job_cpu: float  # processors
    job_timeout_factor: float  # times the length of its recording
    job_timeout_least_s: float


class Settings(Section):
    """All of it."""

    node: NodeSettings = NodeSettings()
    share: tuple[Share, ...] = ()
    profile: Mapping[str, Profile] = Field(default_factory=dict)
    engine: EngineSettings = EngineSettings()
    worker: WorkerSettings = WorkerSettings()
    disk: DiskSettings = DiskSettings()
    backup: BackupSettings = BackupSettings()
    retention: RetentionSettings = RetentionSettings()
    uploads: UploadSettings = UploadSettings()
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

    @property
    def watched(self) -> tuple[Share, ...]:
        """Every share there is: those of the site, and the box's own, in which uploads lie."""
        if not self.uploads.enabled:
            return self.share
        own = Share(
            name=UPLOADS,
            root=self.state(UPLOADS),
            profile=self.uploads.profile,
            max_bytes=self.uploads.max_bytes,
            existing="process",
            require_marker=False,
            error_files=False,  # nobody looks into that folder but through the page
        )
        return (*self.share, own)

    def share_named(self, name: str) -> Share | None:
        """The share of that name, if it is (still) configured."""
        return next((share for share in self.watched if share.name == name), None)

    def options_for(self, share: Share) -> Options:
        """What a recording in this share is asked for, before its folder has a word."""
        profile = self.profile.get(share.profile, Profile())
        elsewhere = {"formats", "language", "replacements", *JobLimits.model_fields}
        said = profile.model_dump(exclude=elsewhere)
        return Options(
            profile=share.profile,
            formats=share.formats or profile.formats,
            language=None if profile.language == AUTO else profile.language,
            replacements=tuple(Replacement(*pair) for pair in profile.replacements.items()),
            **said,
        )

    def limits_for(self, share: Share, profile: str) -> Allowed:
        """What one job may use up: as its share says, else its profile, else [worker]."""
        said = (share, self.profile.get(profile, Profile()), self.worker)
        return Allowed(
            **{
                name: next(value for one in said if (value := getattr(one, name)) is not None)
                for name in JobLimits.model_fields
            },
            job_timeout_least_s=self.worker.job_timeout_least_s,
        )

    @property
    def most_memory_mb(self) -> int:
        """The most memory that any job may use."""
        said = (one.job_memory_mb for one in (*self.share, *self.profile.values()))
        return max(self.worker.job_memory_mb, *(mb for mb in said if mb is not None), 0)


def _contradictions(settings: Settings) -> Iterator[str]:
    names = [share.name for share in settings.share]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"share: two shares are named {name}"
    if UPLOADS in names:
        yield f"share: {UPLOADS} is the name of the box's own share; choose another"
    if settings.uploads.profile not in ("default", *settings.profile):
        yield f"uploads: there is no [profile.{settings.uploads.profile}]"
    state_dir = links.resolved(settings.state_dir)
    shares = [(share, links.resolved(share.root)) for share in settings.share]
    for share, root in shares:
        if share.profile != "default" and share.profile not in settings.profile:
            yield f"share {share.name}: there is no [profile.{share.profile}]"
        if share.source is not None and share.kind not in (AUTO, _kind_of(share.source)):
            yield f'share {share.name}: {share.source} wants kind = "{_kind_of(share.source)}"'
        if share.source is not None and not share.root.isprintable():
            yield f"share {share.name}: a folder of that name cannot be mounted on"
        for other, around in shares:
            if share is not other and _inside(root, around):
                yield f"share {share.name}: its root lies inside the share {other.name}"
        if _inside(root, state_dir) or _inside(state_dir, root):
            yield f"share {share.name}: its root and [node] state_dir lie inside each other"
    yield from _english_only(settings)
    yield from _channels(settings, frozenset({*names, UPLOADS}))


def _channels(settings: Settings, shares: frozenset[str]) -> Iterator[str]:
    names = [channel.name for channel in settings.notify.channel]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"notify: two channels are named {name}"
    for channel in settings.notify.channel:
        for share in channel.shares:
            if share not in shares:
                yield f"notify.channel {channel.name}: there is no share {share}"


def _english_only(settings: Settings) -> Iterator[str]:
    for name, profile in settings.profile.items():
        if why := english_only(profile):
            yield f"profile {name}: {why}"


def english_only(manner: Manner) -> str | None:
    """What is wrong where a model that knows English only is asked for more; None: nothing."""
    if not manner.model.partition("@")[0].endswith(".en"):
        return None
    if manner.language in (None, AUTO, SEVERAL, "en") and manner.task == "transcribe":
        return None
    return (
        f"the model {manner.model} knows English only and translates nothing; choose"
        f" {manner.model.partition('.en')[0]}, or language and task to fit"
    )


def _kind_of(source: str) -> str:
    return "smb" if source.startswith("//") else "nfs"


def _inside(path: str, folder: str) -> bool:
    return os.path.commonpath([path, folder]) == folder
