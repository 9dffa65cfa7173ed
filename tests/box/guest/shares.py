"""A share of a file server under a whole box: break the server, look, mend it, judge.

Each case wakes up with a share that is mounted from the box's own settings, adopted and at rest.
A recording is being worked on when the server fails, another comes meanwhile behind its back.
What is asked of every fault:

- the pages answer: none takes two seconds, and of a hundred 99 at most five times as long as in
  the same guest when all is well;
- the share is shown down within 15 s, and work goes on within 15 s of the server's return;
- nothing lies where the share is mounted, and nothing can be put there;
- both recordings are done once, whole, and no attempt was charged (the judge of tests/faults).

Times are the guest's.

Not here: the servers and their faults (servers), what else is tried (nas, nfs).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.box.guest import lab, servers
from tests.box.guest.lab import Asked, Drop
from tests.box.guest.machine import Guest
from tests.box.guest.servers import FOLDER, ROOT, SHARE, Server

READY: Final = "ready"  # the state that cases begin in
SLOWEST_SECONDS: Final = 2.0
TIMES: Final = 5.0
DOWN_SECONDS: Final = 15.0
RESUME_SECONDS: Final = 15.0
LONG_SECONDS: Final = 30.0  # of sound: it is worked on long enough to be caught at it
_SETTINGS: Final = """
[web]
listen = "/run/appliance/web.sock"
[[share]]
name = "{share}"
root = "{root}"
kind = "{kind}"
source = "{source}"
existing = "process"
quiet_seconds = 5
formats = ["txt", "srt", "json"]
"""
_WELL_SECONDS: Final = 20.0
_PATIENCE: Final = 300.0
_HOLD_SECONDS: Final = 20.0
_BARE: Final = "/run/bare"


@dataclass
class Bench:
    """One guest with one server, and what is known of it when all is well."""

    server: Server
    key: str = ""
    well: float = 0.0  # p99 of its pages, in seconds
    first: list[Drop] = field(default_factory=list)

    def prepare(self, guest: Guest) -> None:
        """Have a share from a server, adopted and at rest, and keep the machine."""
        self.mount(guest)
        self.key = lab.key_of(guest)
        self.first = [self.drop(guest, "first.wav")]
        lab.until(guest, "done", "first.wav", seconds=_PATIENCE)
        lab.until(guest, "well", SHARE, seconds=_PATIENCE)
        assert lab.state(guest, SHARE)["method"] == "scan"
        lab.ask_on(guest, self.key)
        self.first.append(self.drop(guest, "second.wav", LONG_SECONDS))
        lab.until(guest, "done", "second.wav", seconds=_PATIENCE)
        guest.run(f"sleep {_WELL_SECONDS:g}")
        self.well = lab.p99([one.seconds for one in lab.asked(guest)])
        guest.keep(READY)

    def mount(self, guest: Guest) -> None:
        """Start the server, and a box that has the share from it."""
        named = {"share": SHARE, "root": ROOT, "source": self.server.source}
        settings = _SETTINGS.format(**named, kind=self.server.kind)
        lab.bring(guest, settings)
        guest.run(f"{self.server.make}\n{self.server.start}")
        secrets = f"/etc/appliance/credentials/shares/{SHARE}"
        guest.put(secrets, servers.SECRET.encode())
        guest.run(f"chmod 600 {secrets}; systemctl start appliance.target")

    def drop(self, guest: Guest, name: str, seconds: float = 3.0) -> Drop:
        """Put a recording onto the server, behind the back of everybody who has it mounted."""
        content = lab.hum(name, seconds)
        return lab.drop(guest, SHARE, FOLDER, name, content, owner=servers.OWNER)

    def fault(self, guest: Guest, name: str) -> str:
        """One fault, from the kept state on; the figures come back. Raises AssertionError."""
        fault = self.server.faults[name]
        guest.go_back(READY)
        lab.ask_on(guest, self.key)
        dropped = [*self.first, self.drop(guest, "before.wav", LONG_SECONDS)]
        lab.until(guest, "running", "before.wav")
        began = float(guest.run(f"cut -d' ' -f1 /proc/uptime\n{fault.begins}").split()[0])
        if fault.takes_files:
            dropped.append(self.drop(guest, "during.wav"))
        guest.run(f"sleep {fault.lasts or _HOLD_SECONDS:g}")
        why = lab.state(guest, SHARE)["why"]
        wrong = list(written_below(guest))
        guest.run(fault.ends)
        return self.judged(guest, dropped, began, wrong, f"«{why}»")

    def judged(
        self,
        guest: Guest,
        dropped: Sequence[Drop],
        began: float,
        wrong: Sequence[str],
        told: str,
    ) -> str:
        """The server is back: what came of a fault that began then. Raises AssertionError."""
        back = lab.now(guest)
        resumed = max(lab.until(guest, "well", SHARE, seconds=_PATIENCE) - back, 0.0)
        names = [one.path for one in dropped]
        lab.until(guest, "done", *names, seconds=_PATIENCE)
        seen = [one for one in lab.asked(guest) if one.at + one.seconds >= began]
        down, code = shown_down(seen, began)
        wrong = [*wrong, *lab.judged(guest, {SHARE: FOLDER}, dropped), *self.unwell(seen)]
        if down > DOWN_SECONDS:
            wrong.append("shown down too late")
        if resumed > RESUME_SECONDS:
            wrong.append("went on too late")
        figures = (
            f"shown down after {down:.1f} s ({code}, {told}), went on {resumed:.1f} s after its "
            f"return, {len(names)} done once; {self.pages(seen)}"
        )
        assert not wrong, f"{wrong}; {figures}"
        return figures

    def pages(self, seen: Sequence[Asked]) -> str:
        """How the pages were."""
        p99 = lab.p99([one.seconds for one in seen])
        slowest = max(seen, key=lambda one: one.seconds)
        return (
            f"{len(seen)} pages, p99 {p99:.2f} s ({self.well:.2f} s when well), slowest "
            f"{slowest.seconds:.2f} s ({slowest.path})"
        )

    def unwell(self, seen: Sequence[Asked]) -> Iterator[str]:
        """What was wrong with the pages."""
        for one in seen:
            if one.status != 200 and (one.path, one.status) != ("/readyz", 503):
                yield f"{one.path} answered {one.status}"
            if one.seconds > SLOWEST_SECONDS:
                yield f"{one.path} took {one.seconds:.2f} s"
        if lab.p99([one.seconds for one in seen]) > TIMES * self.well:
            yield "the pages became slow"


def shown_down(seen: Sequence[Asked], began: float) -> tuple[float, str]:
    """How many seconds after `began` the share was shown down, and as what."""
    for one in seen:
        if one.share.get("status") == "fail":
            return one.at + one.seconds - began, one.share.get("code", "")
    return float("inf"), "never"


def written_below(guest: Guest) -> Iterator[str]:
    """What lies below the mount, and whether root can put something there."""
    seen = guest.run(
        f"mkdir -p {_BARE}; mount --bind / {_BARE}\n"
        f"find {_BARE}{ROOT} -mindepth 1; touch {_BARE}{ROOT}/x 2>&1 || true; umount {_BARE}"
    ).splitlines()
    if len(seen) != 1 or "not permitted" not in seen[0]:
        yield f"below the mount: {seen}"
