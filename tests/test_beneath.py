"""Nothing outside a share is opened by a name from inside, with openat2 and without.

On the box systemd takes openat2 away (RestrictSUIDSGID=): there it is always done by hand.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import beneath


class Old:
    """A kernel, or a filter, that does not have the call."""

    def __init__(self, code: int) -> None:
        self._code = code

    def syscall(self, *_arguments: object) -> int:
        ctypes.set_errno(self._code)
        return -1


@pytest.fixture(params=[None, errno.ENOSYS, errno.EPERM], ids=["openat2", "old kernel", "filter"])
def share(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[int]:
    """A share full of links, and a secret beside it."""
    if request.param is not None:
        monkeypatch.setattr(beneath, "_libc", Old(request.param))
    (tmp_path / "secret").write_bytes(b"secret")
    root = tmp_path / "share"
    (root / "folder" / "below").mkdir(parents=True)
    (root / "folder" / "below" / "talk.wav").write_bytes(b"sound")
    (root / "link.wav").symlink_to("folder/below/talk.wav")
    (root / "away.wav").symlink_to(tmp_path / "secret")
    (root / "door").symlink_to("folder")
    (root / "out").symlink_to(tmp_path)
    with beneath.root(str(root)) as root_fd:
        yield root_fd


def test_what_lies_below_is_opened(share: int) -> None:
    fd = beneath.open_at(share, b"folder/./below/talk.wav")
    try:
        assert os.read(fd, 99) == b"sound"
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (b"link.wav", errno.ELOOP),
        (b"away.wav", errno.ELOOP),
        (b"door/below/talk.wav", errno.ELOOP),
        (b"out/secret", errno.ELOOP),
        (b"../secret", errno.EXDEV),
        (b"folder/../../secret", errno.EXDEV),
        (b"folder/nothing", errno.ENOENT),
    ],
)
def test_no_link_and_no_way_up_leads_out(share: int, path: bytes, code: int) -> None:
    with pytest.raises(OSError, match=r".") as caught:
        beneath.open_at(share, path)
    assert caught.value.errno == code


def test_a_folder_behind_a_link_is_none_of_the_share(share: int) -> None:
    with pytest.raises(OSError, match=r".") as caught:
        beneath.open_at(share, b"door", os.O_RDONLY | os.O_DIRECTORY)
    assert caught.value.errno in (errno.ELOOP, errno.ENOTDIR)


def test_an_absolute_path_is_refused(share: int, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r".") as caught:
        beneath.open_at(share, os.fsencode(tmp_path / "secret"))
    assert caught.value.errno == errno.EXDEV


def test_another_file_system_is_not_entered(share: int) -> None:
    assert share
    with beneath.root("/") as top, pytest.raises(OSError, match=r".") as caught:
        beneath.open_at(top, b"proc/version")
    assert caught.value.errno == errno.EXDEV


def test_a_pipe_does_not_hold_us_up(share: int) -> None:
    os.mkfifo(b"pipe", dir_fd=share)
    os.close(beneath.open_at(share, b"pipe"))


def test_a_file_is_made_where_it_belongs_and_only_once(share: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    os.close(beneath.open_at(share, b"folder/new", flags, 0o640))
    for path in (b"folder/new", b"away.wav"):
        with pytest.raises(OSError, match=r".") as caught:
            beneath.open_at(share, path, flags, 0o640)
        assert caught.value.errno in (errno.EEXIST, errno.ELOOP)
