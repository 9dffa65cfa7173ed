"""Every choice a site has, with its default; and where the box keeps its things.

In: TOML (`/etc/appliance/appliance.toml` and `conf.d/*.toml`, on a laptop
`./appliance.toml`, or nothing at all). Out: a frozen `Settings`, or SettingsInvalid
with every mistake at once. No other module reads configuration.

    sections   the tables of the file, and the types of what stands in them
    notify     whom to tell
    site       all of them together: what follows from them, what contradicts what
    chosen     what the page says, laid over them
    reading    files and environment → settings, every mistake named

Not here: keeping what the page changes (choices), what a folder says about itself (admit).
"""

from appliance.settings.chosen import overlaid
from appliance.settings.notify import Channel, NotifySettings
from appliance.settings.reading import (
    Effective,
    default_file,
    dotted,
    effective,
    folder_choice,
    load,
    shown,
)
from appliance.settings.sections import (
    AUTO,
    FORMATS,
    GB,
    BackupSettings,
    DiskSettings,
    EngineSettings,
    FolderChoice,
    Glossary,
    Manner,
    NodeSettings,
    Profile,
    RetentionSettings,
    Share,
    UploadSettings,
    WebSettings,
    WorkerSettings,
)
from appliance.settings.site import (
    BOX_FILE,
    BOX_LISTEN,
    BOX_STATE,
    LAPTOP_FILE,
    LAPTOP_STATE,
    Settings,
)

__all__ = [
    "AUTO",
    "BOX_FILE",
    "BOX_LISTEN",
    "BOX_STATE",
    "FORMATS",
    "GB",
    "LAPTOP_FILE",
    "LAPTOP_STATE",
    "BackupSettings",
    "Channel",
    "DiskSettings",
    "Effective",
    "EngineSettings",
    "FolderChoice",
    "Glossary",
    "Manner",
    "NodeSettings",
    "NotifySettings",
    "Profile",
    "RetentionSettings",
    "Settings",
    "Share",
    "UploadSettings",
    "WebSettings",
    "WorkerSettings",
    "default_file",
    "dotted",
    "effective",
    "folder_choice",
    "load",
    "overlaid",
    "shown",
]
