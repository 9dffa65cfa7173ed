"""A file of settings, tried as it would stand on the box: with the drop-ins of `conf.d` beside it.

By itself a file may be right and yet clash with what the site has laid over it, and every part
would end with 78 then.

Not here: what there is to set (the release that runs judges it).
"""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import subprocess
import tempfile
import tomllib
from typing import Final

from .bundle import Refused

ETC: Final = "/etc/appliance"
STATE: Final = "/var/lib/appliance"
_ACCOUNT: Final = "appliance"
_SECONDS: Final = 60.0


def judge(file: str, top: str, *, etc: str = ETC, account: str | None = _ACCOUNT) -> None:
    """Raise Refused with what the release that runs below `top` finds wrong with `file`."""
    with tempfile.TemporaryDirectory(prefix="appliance-settings-") as folder:
        tried = os.path.join(folder, "appliance.toml")
        shutil.copy(file, tried)
        beside = os.path.join(etc, "conf.d")
        if os.path.isdir(beside):
            shutil.copytree(beside, os.path.join(folder, "conf.d"))
        _let_read(folder, account)
        environment = {
            "PATH": "/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
            "APPLIANCE_SETTINGS": tried,
        }
        # The box's own file says by its name where its state lies, unless it says so itself: then
        # that is what the parts would start with, and the environment would only hide it.
        if not any(map(_names_its_state, [tried, *glob.glob(f"{folder}/conf.d/*.toml")])):
            environment["APPLIANCE_STATE_DIR"] = STATE
        told = subprocess.run(
            [os.path.join(top, "current", "bin", "appliance"), "settings", "check"],
            user=account, group=account, extra_groups=None if account is None else [],
            cwd="/", env=environment, timeout=_SECONDS, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if told.returncode:
            why = (told.stderr or told.stdout).strip()
            raise Refused(why.replace(tried, file).replace(folder, etc))


def _names_its_state(file: str) -> bool:
    # What cannot be read is for the release to name.
    with contextlib.suppress(OSError, ValueError, RecursionError), open(file, "rb") as stream:
        node = tomllib.load(stream).get("node")
        return isinstance(node, dict) and "state_dir" in node
    return False


def _let_read(folder: str, account: str | None) -> None:
    """The account of the box alone, and root."""
    for path, _, names in os.walk(folder):
        for one, mode in ((path, 0o750), *((os.path.join(path, name), 0o640) for name in names)):
            os.chmod(one, mode)
            if account is not None:
                shutil.chown(one, group=account)
