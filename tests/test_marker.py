"""The marker of a share: only an ordinary small file of ours says that the share is ours."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance import marker
from appliance.errors import ApplianceError, ShareDenied, ShareOffline, ShareWrongMarker
from appliance.settings import Share
from appliance.store import schema
from appliance.store.ledger import Ledger
from appliance.watch import adopt, standing


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    schema.prepare(str(tmp_path / "state"))
    with Ledger(str(tmp_path / "state")) as opened:
        yield opened


@pytest.fixture
def share(tmp_path: Path, ledger: Ledger) -> Share:
    (tmp_path / "share").mkdir()
    mine = Share(name="s", root=str(tmp_path / "share"))
    adopt(ledger, mine, existing="process")
    marker.guard(ledger, mine)()
    return mine


def pipe(file: Path) -> None:
    os.mkfifo(file)


def held_pipe(file: Path) -> None:
    os.mkfifo(file)
    os.open(file, os.O_RDWR | os.O_NONBLOCK)  # a reader would wait for what never comes


def huge(file: Path) -> None:
    with file.open("wb") as stream:
        stream.truncate(10**9)


def long(file: Path) -> None:
    file.write_text(f"{'x' * 300}\n")


def link(file: Path) -> None:
    file.symlink_to("/etc/hostname")


@pytest.mark.parametrize("put", [pipe, held_pipe, huge, long, link, Path.mkdir, Path.touch])
def test_what_is_no_marker_makes_it_another_share(
    ledger: Ledger, share: Share, put: Callable[[Path], None]
) -> None:
    file = Path(share.root, os.fsdecode(marker.NAME))
    file.unlink()
    put(file)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ShareWrongMarker):
        marker.guard(ledger, share)()
    found = standing.look(share, marker.expected(ledger, share))
    assert isinstance(found.error, ShareWrongMarker)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("trouble", "kind"), [(PermissionError(13, ""), ShareDenied), (OSError(5, ""), ShareOffline)]
)
def test_the_guard_names_every_trouble(
    ledger: Ledger,
    share: Share,
    trouble: OSError,
    kind: type[ApplianceError],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(_root_fd: int) -> str:
        raise trouble

    monkeypatch.setattr(marker, "read", fails)
    with pytest.raises(kind):
        marker.guard(ledger, share)()
