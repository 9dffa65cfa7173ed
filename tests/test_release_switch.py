"""What of a release lies elsewhere on the box, and a trial that was cut off."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from image.release import gate, install, judge, places, switch
from image.release.bundle import Refused


def release(top: Path, version: str, *units: str) -> Path:
    """A release with these units, complete."""
    path = Path(install.folder(str(top), version))
    for unit in units:
        file = path / "share/appliance/systemd" / unit
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# of {version}\n")
    (path / "complete").touch()
    return path


# --- places -------------------------------------------------------------------------------------


def test_what_a_release_does_not_have_any_more_goes_and_the_rest_is_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "usr/local/lib/systemd/system"
    folder.mkdir(parents=True)
    (folder / "others.service").write_text("# not ours\n")
    one = release(tmp_path, "1", "appliance-web.service", "appliance-old.service")
    two = release(tmp_path, "2", "appliance-web.service", "appliance-web.service.d/60-needs.conf")
    assert places.place(str(one), root=str(tmp_path))
    assert not places.place(str(one), root=str(tmp_path))
    assert places.place(str(two), root=str(tmp_path))
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert there == {
        "others.service",
        "appliance-web.service",
        "appliance-web.service.d/60-needs.conf",
    }
    assert (folder / "appliance-web.service").read_text() == "# of 2\n"


# --- a trial ------------------------------------------------------------------------------------


def test_a_trial_that_a_power_cut_ended_ends_with_the_release_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed: list[str] = []
    monkeypatch.setattr(places, "place", placed.append)
    monkeypatch.setattr(places, "take_effect", lambda: None)
    monkeypatch.setattr(gate, "is_coming", lambda: False)
    one = release(tmp_path, "1", "appliance-web.service")
    release(tmp_path, "2", "appliance-web.service")
    os.symlink("releases/2", tmp_path / "current")
    (tmp_path / "trial").write_text("1\n")
    assert switch.settle(str(tmp_path)) == "1"
    assert switch.current(str(tmp_path)) == "1"
    assert placed == [str(one)]
    assert switch.settle(str(tmp_path)) is None


class Box:
    """A box below a folder: what systemd was asked for, and a verdict for each release."""

    def __init__(self, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.top = str(top)
        self.asked: list[str] = []
        self.wrong: dict[str, str] = {}
        self.ends: list[int] = []  # what SIGINT would have done in there
        self.comes_up = False  # at a boot that starts the target
        monkeypatch.setattr(places, "place", lambda _release: True)
        monkeypatch.setattr(places, "take_effect", lambda: None)
        monkeypatch.setattr(switch, "SETTINGS", str(top / "none.toml"))
        monkeypatch.setattr(switch, "_stop", lambda path, _patience: self._note("stop", path))
        monkeypatch.setattr(switch, "_systemctl", self._systemctl)
        monkeypatch.setattr(switch, "_thin_out", lambda _top: None)
        monkeypatch.setattr(gate, "is_ready", lambda: True)
        monkeypatch.setattr(gate, "is_coming", lambda: self.comes_up)
        monkeypatch.setattr(gate, "wait", lambda *_asked, **_more: self._judged())

    def _note(self, what: str, path: str) -> None:
        self.asked.append(f"{what} {os.path.basename(path)}")

    def _systemctl(self, *words: str) -> int:
        if words[0] == "start":
            assert words[1] == "--no-block"
            self.asked.append(f"start {switch.current(self.top)}")
            self.ends.append(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)
        return 0

    def _judged(self) -> str | None:
        return self.wrong.get(switch.current(self.top) or "")


def turned(box: Box, version: str, name: str = "current") -> None:
    link = os.path.join(box.top, name)
    os.unlink(link)
    os.symlink(f"releases/{version}", link)


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    for version in ("1", "2", "3"):
        release(tmp_path, version, "appliance-web.service")
    os.symlink("releases/2", tmp_path / "current")
    os.symlink("releases/1", tmp_path / "previous")
    return Box(tmp_path, monkeypatch)


@pytest.mark.parametrize(("comes_up", "asked"), [(True, ["start 2"]), (False, [])])
def test_what_only_the_release_before_has_is_started_in_that_boot(
    comes_up: bool, asked: list[str], box: Box
) -> None:
    """Not where the boot ends at a rescue shell: there nothing of ours is to start."""
    turned(box, "3")
    Path(box.top, "trial").write_text("2\n")
    box.comes_up = comes_up
    assert switch.settle(box.top) == "2"
    assert box.asked == asked


@pytest.mark.parametrize("at_boot", [True, False])
def test_what_was_found_well_stays_when_it_is_cut_off_there(
    at_boot: bool, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cut(BaseException):
        pass

    def cut(path: str) -> None:
        if path.endswith("trial"):
            raise Cut
        unlink(path)

    unlink = switch._unlink
    with monkeypatch.context() as during:
        during.setattr(switch, "_unlink", cut)
        with pytest.raises(Cut):
            switch.activate(box.top, "3")
    assert os.path.exists(os.path.join(box.top, "trial"))
    before = list(box.asked)
    if at_boot:
        box.comes_up = True
        assert switch.settle(box.top) is None
    else:
        assert switch.activate(box.top, "3").version == "3"
    assert box.asked == before
    assert not os.path.exists(os.path.join(box.top, "trial"))
    assert (switch.current(box.top), switch.current(box.top, "previous")) == ("3", "2")


def test_a_link_that_cannot_be_turned_undoes_nothing_at_the_next_boot(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(top: str, version: str, name: str = "current") -> None:
        if name == "previous":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        turn(top, version, name)

    turn = switch._turn
    monkeypatch.setattr(switch, "_turn", full)
    with pytest.raises(OSError, match="No space"):
        switch.activate(box.top, "3")
    assert switch.settle(box.top) is None
    assert switch.current(box.top) == "3"


def test_a_release_is_not_before_itself(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command of old left that was cut off: nothing to go back to, and no trial is over."""
    turned(box, "2", "previous")
    with pytest.raises(Refused, match="no release before"):
        switch.back(box.top)
    monkeypatch.setattr(gate, "wait", lambda *_asked, **_more: pytest.fail("the plug is pulled"))
    with pytest.raises(pytest.fail.Exception):
        switch.activate(box.top, "3")
    assert switch.settle(box.top) == "2"
    assert switch.current(box.top) == "2"


def test_no_key_ends_a_change_in_its_middle(box: Box) -> None:
    before = signal.getsignal(signal.SIGINT)
    assert switch.activate(box.top, "3").version == "3"
    assert box.ends == [True]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("wanted", ["2", "3"])
def test_a_change_that_was_cut_short_is_ended_before_another(box: Box, wanted: str) -> None:
    """Killed between the turn and the verdict: 3 was found well by nobody."""
    turned(box, "3")
    Path(box.top, "trial").write_text("2\n")
    done = switch.activate(box.top, wanted)
    assert (done.version, done.changed, done.well) == (wanted, True, True)
    assert box.asked[:3] == ["stop 3", "stop 2", "start 2"]
    assert box.asked[-1] == f"start {wanted}"
    assert not os.path.exists(os.path.join(box.top, "trial"))


def test_what_goes_wrong_with_the_disk_in_the_middle_goes_back(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = switch._turn

    def full(top: str, version: str, name: str = "current") -> None:
        if version == "3":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        turn(top, version, name)

    monkeypatch.setattr(switch, "_turn", full)
    done = switch.activate(box.top, "3")
    assert (done.version, done.changed, done.well) == ("2", False, True)
    assert "No space left" in (done.why or "")
    assert box.asked[-1] == "start 2"


def test_what_keeps_the_new_release_from_being_put_keeps_nothing_from_being_started(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise subprocess.CalledProcessError(1, "systemctl", stderr="no room for it")

    monkeypatch.setattr(places, "take_effect", refuse)
    done = switch.activate(box.top, "3")
    assert (done.version, done.well, box.asked[-1]) == ("2", True, "start 2")
    assert "no room for it" in (done.why or "")
    Path(box.top, "trial").write_text("2\n")
    assert switch.settle(box.top) == "2"
    assert not os.path.exists(os.path.join(box.top, "trial"))


def test_what_a_power_cut_left_half_put_is_taken_away_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = release(tmp_path, "1", "appliance-web.service")
    two = release(tmp_path, "2", "appliance-new.service", "appliance-web.service")
    places.place(str(one), root=str(tmp_path))
    put = places._put

    def cut(file: str, target: str) -> bool:
        put(file, target)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as during:
        during.setattr(places, "_put", cut)
        with pytest.raises(OSError, match="No space"):
            places.place(str(two), root=str(tmp_path))
    places.place(str(one), root=str(tmp_path))
    there = os.listdir(tmp_path / "usr/local/lib/systemd/system")
    assert there == ["appliance-web.service"]


def test_going_back_from_a_release_leaves_boxes_that_run_another(box: Box) -> None:
    left = switch.back(box.top, leave="3")
    assert (left.version, left.changed, box.asked) == ("2", False, [])
    assert switch.back(box.top, leave="2").version == "1"
    again = switch.back(box.top, leave="2")
    assert (again.version, again.changed) == ("1", False)


def test_one_change_at_a_time(box: Box) -> None:
    with install.alone(box.top):
        for change in (
            lambda: switch.activate(box.top, "3"),
            lambda: install.install("none.tar", "none", box.top),
        ):
            with pytest.raises(Refused, match="under way"):
                change()


def test_what_is_not_installed_is_not_tried(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="not installed"):
        switch.activate(str(tmp_path), "9")
    with pytest.raises(Refused, match="no release before"):
        switch.back(str(tmp_path))


# --- settings -----------------------------------------------------------------------------------


def this_one_runs(top: Path) -> None:
    command = top / "current" / "bin" / "appliance"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m appliance "$@"\n')
    command.chmod(0o755)


def test_settings_are_judged_with_what_the_site_laid_over_them(tmp_path: Path) -> None:
    """Right by itself, and no part would start with it: two shares of one name."""
    this_one_runs(tmp_path)
    etc, file = tmp_path / "etc", tmp_path / "new.toml"
    share = '[[share]]\nname = "dictation"\nroot = "/srv/dictation"\n'
    file.write_text(share)
    (etc / "conf.d").mkdir(parents=True)
    drop_in = etc / "conf.d" / "20-site.toml"
    drop_in.write_text("[worker]\ncount = 1\n")
    judge.judge(str(file), str(tmp_path), etc=str(etc), account=None)
    drop_in.write_text(share)
    with pytest.raises(Refused, match="two shares are named"):
        judge.judge(str(file), str(tmp_path), etc=str(etc), account=None)


def test_settings_that_say_where_the_state_lies_are_judged_by_that(tmp_path: Path) -> None:
    """Else the judge would find right what ends every part: a share in the state."""
    this_one_runs(tmp_path)
    etc, file = tmp_path / "etc", tmp_path / "new.toml"
    (etc / "conf.d").mkdir(parents=True)
    node = '[node]\nstate_dir = "/srv"\n'
    share = '[[share]]\nname = "dictation"\nroot = "/srv/dictation"\n'
    file.write_text(node + share)
    with pytest.raises(Refused, match="lie inside each other"):
        judge.judge(str(file), str(tmp_path), etc=str(etc), account=None)
    file.write_text(share)
    judge.judge(str(file), str(tmp_path), etc=str(etc), account=None)
    (etc / "conf.d" / "20-site.toml").write_text(node)
    with pytest.raises(Refused, match="lie inside each other"):
        judge.judge(str(file), str(tmp_path), etc=str(etc), account=None)
