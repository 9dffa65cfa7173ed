"""A killed child that the kernel cannot let go of: no successor where it hangs, none kept away."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance import links
from appliance.errors import ShareOffline
from appliance.nouns import Options, Source
from appliance.porter import Porters
from appliance.settings import Settings, Share
from appliance.store import jobs, schema
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger
from appliance.watch.supervisor import Child
from tests.faults.mounted import deaf, may_mount, unmount

pytestmark = may_mount


@dataclass
class Site:
    """Two shares, of which one is to hang."""

    settings: Settings
    ledger: Ledger

    @property
    def nas(self) -> Share:
        return self.settings.share[0]

    @property
    def good(self) -> Share:
        return self.settings.share[1]

    def job(self, share: Share, name: str) -> Job:
        """A recording of five bytes, claimed; it need not be there."""
        source = Source(share.name, os.fsencode(name), 5, 0)
        born = jobs.add(self.ledger, source, Options(), correlation="c")
        assert born is not None
        job = jobs.claim(self.ledger, born.id, owner="tests")
        assert job is not None
        return job


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    roots = {name: tmp_path / name for name in ("nas", "good")}
    for root in roots.values():
        root.mkdir()
        (root / "talk.wav").write_bytes(b"sound")
        os.utime(root / "talk.wav", ns=(0, 0))
    shares = [
        {"name": name, "root": str(root), "require_marker": False} for name, root in roots.items()
    ]
    facts = {"node": {"state_dir": str(tmp_path / "state")}, "share": shares}
    settings = Settings.model_validate(facts)
    schema.prepare(settings.state_dir)
    with Ledger(settings.state_dir) as ledger:
        yield Site(settings, ledger)


def go_on() -> None:
    """Nobody stops it."""


def state_of(pid: int) -> str:
    """What the kernel has a process do; nothing when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def children() -> dict[int, str]:
    """Our children and theirs, and what the kernel has them do."""
    found: dict[int, str] = {}
    todo = [os.getpid()]
    while todo:
        for one in Path(f"/proc/{todo.pop()}/task").glob("*/children"):
            with suppress(OSError):
                todo += [int(pid) for pid in one.read_text().split() if int(pid) not in found]
        found |= {pid: state_of(pid) for pid in todo}
    return found


def hanging() -> list[int]:
    """Those that the kernel does not let go of, once it had a moment to do so."""
    time.sleep(0.5)
    return [pid for pid, state in children().items() if state == "D"]


def gone(held: list[int]) -> bool:
    """Whether the kernel has let go of them within ten seconds (the dead may lie unburied)."""
    until = time.monotonic() + 10
    while any(state_of(pid) not in ("", "Z") for pid in held) and time.monotonic() < until:
        time.sleep(0.05)
    return all(state_of(pid) in ("", "Z") for pid in held)


def test_nothing_is_begun_where_a_killed_porter_hangs(site: Site) -> None:
    root = Path(site.nas.root)
    with Porters(site.settings, silence=1.0) as porters:
        with deaf(root):
            lost = site.job(site.nas, "talk.wav")
            with pytest.raises(ShareOffline):
                porters.stage(lost, site.nas, stop=go_on)
            held = hanging()
            assert len(held) == 1, "the kernel does not let go of it"
            before = children().keys()
            with pytest.raises(ShareOffline):
                porters.stage(lost, site.nas, stop=go_on)
            assert children().keys() == before, "no second one was sent"
            good = site.job(site.good, "talk.wav")
            assert porters.stage(good, site.good, stop=go_on).size == 5
            unmount(root)  # umount -l: what lies below it is another mount
            assert porters.stage(lost, site.nas, stop=go_on).size == 5
            assert state_of(held[0]) == "D"
        assert gone(held)


def test_the_watch_of_a_share_goes_on_at_a_new_mount(site: Site) -> None:
    root = Path(site.nas.root)
    child = Child(site.settings, site.nas, deadline=1.0)
    with ExitStack() as mounted:
        mounted.enter_context(deaf(root))
        mount = links.mount_id(str(root))
        death = None
        while death is None:
            death = child.turn(time.monotonic())
            time.sleep(0.02)
        assert death.hung
        held = child.pid
        assert held is not None
        for _ in range(100):
            assert child.turn(time.monotonic()) is None
            time.sleep(0.01)
        assert child.pid == held, "no second one at the same mount"
        assert state_of(held) == "D"
        unmount(root)
        assert links.mount_id(str(root)) != mount
        until = time.monotonic() + 10
        while child.pid in (None, held):
            assert time.monotonic() < until
            child.turn(time.monotonic())
            time.sleep(0.02)
    assert gone([held])
    child.stop()
    child.end(5.0)
    assert state_of(held) == ""
