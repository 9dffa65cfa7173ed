"""What an install that was cut short leaves on a small disk, and what it may never take away."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from image.release import bundle, install
from image.release.bundle import Refused, Release

RELEASE = Release("9", "", "appliance.whl", ("3.11",), "x86_64", "0123")


def half(top: Path, *versions: str) -> None:
    for version in versions:
        (top / "releases" / version / "lib").mkdir(parents=True)


def installed(top: Path) -> None:
    install.install("appliance-9.tar", "signers", str(top))


@pytest.fixture
def believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle that is believed and fits."""
    monkeypatch.setattr(bundle, "opened", lambda *_asked: RELEASE)
    monkeypatch.setattr(install, "_fits", lambda *_asked: None)


@pytest.mark.usefixtures("believed")
def test_what_was_left_half_done_goes_before_another_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half(tmp_path, "1", "2", "3", "4")
    os.symlink("releases/1", tmp_path / "previous")
    os.symlink("releases/2", tmp_path / "current")
    (tmp_path / "trial").write_text("3\n")
    half(tmp_path, "5")
    (tmp_path / "releases" / "5" / "complete").touch()
    (tmp_path / ".incoming-killed").mkdir()
    seen: list[str] = []
    monkeypatch.setattr(
        install, "_make", lambda *_asked: seen.extend(os.listdir(tmp_path / "releases"))
    )
    installed(tmp_path)
    assert sorted(seen) == ["1", "2", "3", "5"], "4 is half of one, and nothing names it"
    assert not (tmp_path / ".incoming-killed").exists()


@pytest.mark.usefixtures("believed")
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), OSError),
        (Refused("it calls itself 8 and not 9"), Refused),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (subprocess.CalledProcessError(1, "pip", stderr="no such wheel"), Refused),
    ],
)
@pytest.mark.parametrize("names", [(), ("complete",)], ids=["during", "at the very end"])
def test_an_install_that_fails_leaves_nothing(
    error: BaseException,
    told: type[BaseException],
    names: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_asked: object) -> None:
        half(tmp_path, "9")
        for name in names:
            (tmp_path / "releases" / "9" / name).touch()
        raise error

    monkeypatch.setattr(install, "_make", fail)
    with pytest.raises(told):
        installed(tmp_path)
    assert os.listdir(tmp_path / "releases") == []


def test_a_release_that_is_taken_away_half_is_not_taken_for_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half(tmp_path, "9")
    path = tmp_path / "releases" / "9"
    (path / "complete").touch()
    monkeypatch.setattr(shutil, "rmtree", lambda *_asked, **_more: None)  # a power cut
    install.remove(str(path))
    assert path.exists()
    assert not install.is_complete(str(path))


def test_modules_are_compiled_for_their_content_whatever_becomes_of_their_hour(
    tmp_path: Path,
) -> None:
    (tmp_path / "part.py").write_text("VALUE = 1\n")
    compile_all = "import compileall, sys; compileall.compile_file(sys.argv[1], force=True)"
    install._run(sys.executable, "-c", compile_all, str(tmp_path / "part.py"))  # as pip does
    (compiled,) = tmp_path.glob("__pycache__/*.pyc")
    assert compiled.read_bytes()[4] == 0b11, "PEP 552: a hash, and it is looked at"
