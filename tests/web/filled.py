"""A box with something on every page, and the addresses of all of them.

Not here: what is asked of them (test_browser, tests.proof.looks).
"""

from __future__ import annotations

import os
import shutil

from appliance import marker, revise
from appliance.beneath import root
from appliance.choices import channels
from appliance.nouns import Source, Word
from appliance.rights import Right
from appliance.settings import Channel
from appliance.store import alerts, jobs, shares, transcripts
from appliance.store.alerts import Alert, Phase
from appliance.store.jobs import Job
from tests import signed_in
from tests.export import speech
from tests.line.running import SAMPLES
from tests.web.box import WELL, Box

LINES = ("Good morning, everybody.", "Anna Shone house has the floor.", "Thank you, Anna.")


def recorded(box: Box, *, times: int = 1, pace: float = 0.5) -> Job:
    """A recording that lies in its share and can be played, with a text whose words have times.

    The text says its lines so many times over, a word every `pace` seconds.
    """
    share = box.settings.share[0]
    os.makedirs(share.root, exist_ok=True)
    with root(share.root) as fd:
        shares.adopt(box.ledger, share.name, marker=marker.write(fd), existing="process")
    name = "welcome-english.wav"
    found = os.stat(shutil.copy(os.path.join(SAMPLES, name), share.root))
    source = Source(share.name, name.encode(), found.st_size, found.st_mtime_ns)
    born = jobs.add(box.ledger, source, WELL, correlation="c")
    assert born is not None
    job = jobs.claim(box.ledger, born.id, owner="w1")
    assert job is not None
    segments, at = [], 0.0
    for place, line in enumerate(LINES * times):
        words = []
        for text in line.split():
            sure = 0.2 if text == "Shone" else 0.9
            words.append(Word(at, at + pace, f" {text}", sure))
            at += pace
        segments.append(speech.segment(f" {line}", words[0].start, at, words, place))
    transcripts.record(box.ledger, job, speech.transcript(*segments), asked_sha256="a")
    return jobs.finish(box.ledger, job, (), rss_peak=None)


def every_page(box: Box) -> list[str]:
    """An address of every page there is, with something on it."""
    every = [f"/jobs/{job.id}" for job in box.every_state().values()]
    gone = {f"/jobs/{jobs.listing(box.ledger)[-1].id}"}  # its recording is none: nothing to play
    played = f"/jobs/{recorded(box).id}"
    revise.edit(
        *(box.ledger, int(played.rpartition("/")[2])),
        on="1.0",
        task="transcribe",
        first=0,
        texts=["Good evening."],
        who="ann",
    )
    signed_in.key(box.ledger, Right.READ)
    phone = Channel(name="phone", kind="ntfy", url="https://ntfy.example/box")
    channels.make(box.ledger, box.settings, signed_in.TEST, phone, "")
    told = ("disk", "disk", 2, "The disk is full.", "Make room.", "node.disk-full")
    alerts.keep(box.ledger, [Alert(*told, Phase.OPEN, 1_000, 0.0, "b", 1_500, None)])
    return [
        *("/", "/jobs", "/jobs?state=failed", *(one for one in every if one not in gone)),
        *(
            played,
            f"{played}?edit=1",
            f"{played}/review",
            f"{played}/replace?heard=Anna&written=Eve",
        ),
        *(
            "/search",
            "/upload",
            "/search?q=anna",
            "/shares",
            "/alerts",
            "/help",
            "/help/share.offline",
        ),
        *("/account", "/confirm", "/admin/users", "/admin/users/1", "/admin/sessions"),
        *("/admin/keys", "/admin/audit", "/admin/settings"),
        *("/admin/profiles", "/admin/profiles/default"),
        *("/admin/channels", "/admin/channels/phone"),
    ]
