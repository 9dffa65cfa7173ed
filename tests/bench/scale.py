"""A share of 100,000 recordings: what finding them costs, and whether anybody waits for it.

    make bench-scale              or: python -m tests.bench.scale [FILES]

On a disk, not in memory: commits wait for it. Bars: the first scan 5 s of CPU, another one
2 s, a claim 50 ms (99 of 100) while four people look at the page, 100 MB for the watch.
Exit 1 when one is missed. Seconds of the clock mean something on a quiet machine only.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import psutil

from appliance.errors import Interrupted
from appliance.nouns import Options, Source
from appliance.settings import load
from appliance.states import State, Verdict
from appliance.store import jobs, schema
from appliance.store.ledger import Ledger
from tests import signed_in
from tests.bench import Amount, Figure
from tests.bench.box import peak
from tests.watched import Watched, settings_for

FILES: Final = 100_000
_A_FOLDER: Final = 100  # files in each
_CLAIMS: Final = 500
_VIEWERS: Final = 4
_LOOKS_EVERY: Final = 2.0  # seconds; the page asks as often
_PAGES: Final = ("/api/v1/status", "/")  # what it asks for when something has changed
_PATIENCE: Final = 600.0


_AMOUNTS: Final = {Amount.SMOKE: 200, Amount.SHORT: FILES // 4, Amount.FULL: FILES}


def run(amount: Amount, folder: Path) -> list[Figure]:
    """Measure, as a part of the bench."""
    here = folder / "scale"
    here.mkdir()
    files = _AMOUNTS[amount]
    return [
        Figure(what, figure, unit, most=bar, how=f"{files} files")
        for what, figure, bar, unit in _figures(here, files)
    ]


def main(files: int) -> int:
    """Measure, print a line for each figure, and say whether all bars are met."""
    met = True
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        for what, figure, bar, unit in _figures(Path(folder), files):
            met &= figure <= bar
            mark = "ok  " if figure <= bar else "MISS"
            print(f"{mark} {what}: {figure:.2f} {unit} (bar {bar:g})", flush=True)  # noqa: T201
    return 0 if met else 1


def _figures(folder: Path, files: int) -> Iterator[tuple[str, float, float, str]]:
    for number in range(0, files, _A_FOLDER):
        inner = folder / "share" / f"{number // _A_FOLDER}"
        inner.mkdir(parents=True)
        for name in range(number, min(number + _A_FOLDER, files)):
            (inner / f"{name}.wav").touch()
    found = _in_a_process("scans", folder)
    yield "first scan, CPU", found["first"], 5.0, "s"
    yield "another scan, CPU", found["again"], 2.0, "s"
    yield "the same after a restart, CPU", found["restarted"], 3.0, "s"
    yield "memory of a watch", found["rss"], 100.0, "MB"
    claims, pages, cpu = _claims(folder / "box", files)
    yield f"claim, 99 of 100, {_VIEWERS} viewers", claims, 50.0, "ms"
    yield "a page meanwhile, 99 of 100", pages, 500.0, "ms"
    yield "a page, CPU", cpu, 50.0, "ms"


def _in_a_process(what: str, folder: Path) -> dict[str, float]:
    """Measure in a process of its own: CPU and memory are a process's."""
    command = [sys.executable, "-m", "tests.bench.scale", what, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


# --- the watch ----------------------------------------------------------------------------------


def _scans(folder: Path) -> dict[str, float]:
    """Scan a share of old recordings three times."""
    watched = Watched(folder, settings_for(folder))
    watched.adopt("ignore")
    first = _cpu(lambda: _scan(watched))
    again = _cpu(lambda: _scan(watched))
    restarted = _cpu(watched.restart) + _cpu(lambda: _scan(watched))
    known = len(watched.sightings)
    watched.close()
    if known == 0:
        raise SystemExit("nothing was found")
    rss = peak(os.getpid()) / 1e6  # ru_maxrss would count what our parent held as well
    return {"first": first, "again": again, "restarted": restarted, "rss": rss}


def _scan(watched: Watched) -> None:
    """Let the time of a full scan come, and go on until its end."""
    before = watched.row.scanned_ms
    time.sleep(0.002)
    watched.skip(1000)
    until = time.monotonic() + _PATIENCE
    while watched.row.scanned_ms in (None, before):
        if time.monotonic() > until:
            raise SystemExit("a scan comes to no end")
        watched.step()


def _cpu(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


# --- claims, and the page -----------------------------------------------------------------------


def _claims(folder: Path, count: int) -> tuple[float, float, float]:
    """Claim while people look; milliseconds that 99 of 100 claims and pages took at most, and
    of CPU that a page cost.
    """
    folder.mkdir()
    (folder / "share").mkdir()
    page = str(folder / "web.sock")
    file = folder / "appliance.toml"
    file.write_text(
        f"[node]\nstate_dir = '{folder}/state'\n[web]\nlisten = '{page}'\n"
        f"[[share]]\nname = 's'\nroot = '{folder}/share'\n"
    )
    settings = load(str(file))
    schema.prepare(settings.state_dir)
    with Ledger(settings.state_dir) as ledger:
        _queue(ledger, count)
        ledger.checkpoint()
        with _web(str(file), page) as web:
            before = _used(web)
            with _viewers(page, signed_in.cookie(ledger)["Cookie"]) as looked:
                took = [_claim(ledger) for _ in range(_CLAIMS)]
            used = (_used(web) - before) / len(looked) * 1000
    return _p99(took), _p99(looked), used


def _used(process: int) -> float:
    """Seconds of CPU that a process and its children have used."""
    family = psutil.Process(process)
    every = [family, *family.children(recursive=True)]
    return sum(sum(one.cpu_times()[:2]) for one in every)


def _queue(ledger: Ledger, count: int) -> None:
    """Queue so many jobs, all like the first, in a second instead of minutes."""
    with ledger.writing() as db:
        jobs.add(ledger, Source("s", b"1.wav", 10, 5), Options(), correlation="c")
        db.execute(
            "WITH RECURSIVE n (i) AS (VALUES (2) UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            " INSERT INTO job (workload, share, path, size, mtime_ns, state, correlation,"
            " created_ms, updated_ms) SELECT workload, share, CAST(i || '.wav' AS BLOB), size,"
            " mtime_ns, state, correlation, created_ms, updated_ms FROM n JOIN job ON job.id = 1",
            [count],
        )
        db.execute(
            "INSERT INTO epoch (job, n, options, who, at_ms) SELECT job.id, 1, options, who, at_ms"
            " FROM job JOIN epoch ON epoch.job = 1 WHERE job.id > 1"
        )


def _claim(ledger: Ledger) -> float:
    """Claim what is next, and give it back; milliseconds of the claim."""
    time.sleep(0.02)
    row = ledger.row("SELECT id FROM job WHERE state = 'queued' ORDER BY priority DESC, id LIMIT 1")
    begun = time.perf_counter()
    job = jobs.claim(ledger, row["id"] if row else 0, owner="me")
    took = time.perf_counter() - begun
    if job is None:
        raise SystemExit("nothing to claim")
    jobs.end(ledger, job, Verdict(State.QUEUED), Interrupted(), who="me")
    return took * 1000


@contextlib.contextmanager
def _web(file: str, page: str) -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-m", "appliance", "--settings", file, "web"], stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 60
        while not os.path.exists(page) and time.monotonic() < until:
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def _viewers(page: str, cookie: str) -> Iterator[list[float]]:
    """People who look at the pages; milliseconds of each look."""
    looked: list[float] = []
    stop = threading.Event()

    def view() -> None:
        number = 0
        while not stop.wait(_LOOKS_EVERY / len(_PAGES)):
            begun = time.perf_counter()
            _get(page, _PAGES[number % len(_PAGES)], cookie)
            looked.append((time.perf_counter() - begun) * 1000)
            number += 1

    threads = [threading.Thread(target=view) for _ in range(_VIEWERS)]
    for thread in threads:
        thread.start()
    try:
        yield looked
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _get(page: str, path: str, cookie: str) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(page)
        client.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        head = client.recv(65536)
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise SystemExit(f"{path}: {head[:80]!r}")
        while client.recv(65536):
            pass


def _p99(numbers: list[float]) -> float:
    return sorted(numbers)[int(len(numbers) * 0.99)]


if __name__ == "__main__":
    if sys.argv[1:2] == ["scans"]:
        print(json.dumps(_scans(Path(sys.argv[2]))))  # noqa: T201
    else:
        sys.exit(main(int((sys.argv[1:] or [str(FILES)])[0])))
