"""Every failure and every warning a person can meet: code, sentence, next step, whose turn it is.

Nothing is raised in this house that is not named here, except a bug. The catalogue is
what `NAME.ERROR.txt`, the page, the API and `/help/<code>` print from.

Not here: deciding what becomes of the job (states), writing the error file (report).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from appliance.errors.access import (
    AccessError,
    AuditBroken,
    CodeWrong,
    FormStale,
    KeyRefused,
    LastAdmin,
    NameTaken,
    NameUnfit,
    NoSuchAccount,
    NoSuchKey,
    NotAllowed,
    PasswordWeak,
    SetUpAlready,
    SignInNeeded,
    SignInSlow,
    SignInWrong,
)
from appliance.errors.family import ApplianceError, Budget, Retry
from appliance.errors.node import (
    AlreadyRunning,
    BackupOld,
    BoxUnwell,
    ChannelPaused,
    ChildKilled,
    ClockWrong,
    DiskFull,
    DiskLow,
    EngineLost,
    EngineUnreachable,
    EngineVersion,
    GpuLost,
    GpuMemory,
    GpuMissing,
    IsolationWeak,
    LedgerBusy,
    LedgerDamaged,
    LimitsWeak,
    ModelCorrupt,
    ModelMissing,
    ModelUnknown,
    ModelUnreachable,
    NoBackup,
    NodeError,
    NodeIO,
    QueueIdle,
    SpoolFull,
    Stalled,
    TellerStopped,
    WatchStopped,
    WorkerDied,
    WorkerStopped,
    on_the_box,
)
from appliance.errors.policy import (
    Bug,
    Cancelled,
    EditRefused,
    Fenced,
    Interrupted,
    NothingToEdit,
    NotReachable,
    SettingsInvalid,
    StaleEdit,
)
from appliance.errors.share import (
    ShareBusy,
    ShareDenied,
    ShareError,
    ShareFull,
    ShareOffline,
    ShareReadOnly,
    ShareWrongMarker,
)
from appliance.errors.source import (
    CodecUnsupported,
    DecoderCrash,
    ExportConflict,
    LinkRefused,
    NameTooLong,
    NoAudioData,
    NoAudioTrack,
    NotRegular,
    OverLimit,
    OverMemory,
    PlaylistRefused,
    Protected,
    SourceChanged,
    SourceEmpty,
    SourceError,
    SourceMissing,
    SourceTimeout,
    SourceUnreadable,
    TooBig,
    TooLong,
    TruncatedUpload,
)
from appliance.errors.warning import WARNINGS, Caution
from appliance.nouns import Detail

__all__ = [
    "CATALOGUE",
    "WARNINGS",
    "AccessError",
    "AlreadyRunning",
    "ApplianceError",
    "AuditBroken",
    "BackupOld",
    "BoxUnwell",
    "Budget",
    "Bug",
    "Cancelled",
    "Caution",
    "ChannelPaused",
    "ChildKilled",
    "ClockWrong",
    "CodeWrong",
    "CodecUnsupported",
    "DecoderCrash",
    "DiskFull",
    "DiskLow",
    "EditRefused",
    "EngineLost",
    "EngineUnreachable",
    "EngineVersion",
    "ExportConflict",
    "Fenced",
    "FormStale",
    "GpuLost",
    "GpuMemory",
    "GpuMissing",
    "Interrupted",
    "IsolationWeak",
    "KeyRefused",
    "LastAdmin",
    "LedgerBusy",
    "LedgerDamaged",
    "LimitsWeak",
    "LinkRefused",
    "ModelCorrupt",
    "ModelMissing",
    "ModelUnknown",
    "ModelUnreachable",
    "NameTaken",
    "NameTooLong",
    "NameUnfit",
    "NoAudioData",
    "NoAudioTrack",
    "NoBackup",
    "NoSuchAccount",
    "NoSuchKey",
    "NodeError",
    "NodeIO",
    "NotAllowed",
    "NotReachable",
    "NotRegular",
    "NothingToEdit",
    "OverLimit",
    "OverMemory",
    "PasswordWeak",
    "PlaylistRefused",
    "Protected",
    "QueueIdle",
    "Retry",
    "SetUpAlready",
    "SettingsInvalid",
    "ShareBusy",
    "ShareDenied",
    "ShareError",
    "ShareFull",
    "ShareOffline",
    "ShareReadOnly",
    "ShareWrongMarker",
    "SignInNeeded",
    "SignInSlow",
    "SignInWrong",
    "SourceChanged",
    "SourceEmpty",
    "SourceError",
    "SourceMissing",
    "SourceTimeout",
    "SourceUnreadable",
    "SpoolFull",
    "StaleEdit",
    "Stalled",
    "TellerStopped",
    "TooBig",
    "TooLong",
    "TruncatedUpload",
    "WatchStopped",
    "WorkerDied",
    "WorkerStopped",
    "named",
    "on_the_box",
]


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
