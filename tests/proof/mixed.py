"""Two hundred recordings of seven kinds at once, arriving in every way people copy files.

Nested folders, copies, moves, a download's `.part` name, writers that pause. Every one is
done once, with one set of six files, and not a bit of it is changed.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from appliance.states import State
from appliance.store import jobs
from tests.line.running import FORMATS, Running
from tests.line.sounds import RATE, sample
from tests.media import files
from tests.proof import Figure

KINDS = ("wav", "mp3", "m4a", "flac", "ogg", "mkv", "mp4")
Look = tuple[str, int, int, int]  # sha256, size, mtime in ns, mode


def run(*, count: int = 200) -> list[Figure]:
    """Drop `count` recordings and look at what came back."""
    with tempfile.TemporaryDirectory() as folder:
        made = list(_made(Path(folder) / "made", count))
        (Path(folder) / "box").mkdir()
        with Running(str(Path(folder) / "box")) as box:
            paths = _arrive(box, made)
            before = {path: _look(box, path) for path in paths}
            done = [box.ended(os.fsencode(path), seconds=1800) for path in paths]
            return list(_figures(box, paths, before, done))


def _made(folder: Path, count: int) -> Iterator[Path]:
    """Short recordings, no two alike: a cut of a sample at another place each."""
    folder.mkdir()
    names = ("welcome-english.wav", "besprechung-deutsch.wav", "reunion-espanol.wav")
    for number in range(count):
        sound = sample(names[number % 3])
        start = (number * 331) % (sound.size - 4 * RATE)
        kind = KINDS[number % len(KINDS)]
        yield files.record(folder / f"{number:03d}.{kind}", sound[start : start + 4 * RATE])


def _arrive(box: Running, made: list[Path]) -> list[str]:
    """Bring every file in, each in its own way, all at once."""
    dice = random.Random(5)
    ways = (_copied, _moved, _downloaded, _written_slowly)
    paths, threads = [], []
    for number, source in enumerate(made):
        parts = [f"folder {dice.randrange(5)}" for _ in range(dice.randrange(4))]
        path = os.path.join(*parts, source.name) if parts else source.name
        os.makedirs(os.path.dirname(box.path(path)) or ".", exist_ok=True)
        way = ways[number % len(ways)]
        threads.append(threading.Thread(target=way, args=(box, str(source), box.path(path))))
        paths.append(path)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return paths


def _copied(_box: Running, source: str, target: str) -> None:
    shutil.copyfile(source, target)


def _moved(box: Running, source: str, target: str) -> None:
    aside = os.path.join(os.path.dirname(box.root), os.path.basename(source))
    shutil.copyfile(source, aside)
    os.rename(aside, target)


def _downloaded(_box: Running, source: str, target: str) -> None:
    shutil.copyfile(source, f"{target}.part")
    os.rename(f"{target}.part", target)


def _written_slowly(_box: Running, source: str, target: str) -> None:
    with open(source, "rb") as there, open(target, "wb") as here:
        content = there.read()
        third = len(content) // 3 + 1
        for start in range(0, len(content), third):
            here.write(content[start : start + third])
            here.flush()
            time.sleep(1.0)


def _look(box: Running, path: str) -> Look:
    file = box.path(path)
    with open(file, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    look = os.stat(file)
    return digest, look.st_size, look.st_mtime_ns, look.st_mode


def _figures(
    box: Running, paths: list[str], before: dict[str, Look], done: list[jobs.Job]
) -> Iterator[Figure]:
    count = len(paths)
    good = sum(job.state is State.DONE for job in done)
    yield Figure("done", f"{good} of {count}", f"{count}", good == count)
    every = sum(jobs.counts(box.ledger).values())
    yield Figure("jobs in all", str(every), str(count), every == count)
    wanted = {os.path.splitext(path)[0] + f".{name}" for path in paths for name in FORMATS}
    there = set()
    for folder, _, names in os.walk(box.root):
        there |= {os.path.relpath(os.path.join(folder, name), box.root) for name in names}
    left = there - set(paths) - {".transcribe-id"}
    yield Figure("exports", f"{len(left & wanted)}", f"{6 * count}", left == wanted)
    same = sum(_look(box, path) == before[path] for path in paths)
    yield Figure("sources untouched", f"{same} of {count}", f"{count}", same == count)
