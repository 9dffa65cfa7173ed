"""The whole line for a few files, without a share, a watcher or a lasting ledger.

The same stages as for a dropped file, over a state directory that is thrown away. An
engine that runs already is used; otherwise one is started and stopped again.

Not here: the line (workloads).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from appliance import allocator, beneath, daemon, instructions, tasks, wire
from appliance.box import Box, open_box
from appliance.cli.progress import bar, moving
from appliance.cli.site import plain
from appliance.deliver import place
from appliance.deliver.names import choices
from appliance.errors import EngineUnreachable, ExportConflict
from appliance.nouns import Options, Source, Transcript, display, mtime_ns_of
from appliance.settings import NodeSettings, Settings, Share
from appliance.store import exports, jobs, transcripts
from appliance.store.exports import Published
from appliance.store.jobs import Job
from appliance.supervise import dying_with_us

_ENGINE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one file."""

    job: Job
    transcript: Transcript | None
    exports: tuple[Published, ...]
    files: tuple[str, ...]  # where they lie now


def transcribe_into(
    settings: Settings, files: Sequence[str], options: Options, out: str
) -> Iterator[Done]:
    """Transcribe files one after the other; their exports lie in the folder `out`.

    The line runs over copies of ours, and what it wrote beside them is handed over: under
    the same names where those are free, never over a file that is there.
    """
    os.makedirs(out, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="appliance-") as folder:
        copies = []
        for number, file in enumerate(files):
            os.mkdir(os.path.join(folder, str(number)))
            copies.append(shutil.copy2(file, os.path.join(folder, str(number))))
        for done in transcribe_files(settings, copies, options):
            yield replace(done, files=tuple(_hand_over(file, out) for file in done.files))


def _hand_over(file: str, out: str) -> str:
    """Put a finished file into another folder, and say under which name."""
    with open(file, "rb") as stream:
        content = stream.read()
    base, suffix = os.path.splitext(os.path.basename(file))
    name, ending = os.fsencode(base), os.fsencode(suffix)
    temp = b".~appliance-out%s" % ending
    with beneath.root(out) as folder:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temp, dir_fd=folder)
        place.write(folder, temp, content)
        try:
            for choice in choices(name, ending, recording=name, longest=255):
                same = place.sha256(folder, choice) == hashlib.sha256(content).hexdigest()
                if same or place.put(folder, temp, choice, over=None):
                    return os.path.join(out, os.fsdecode(choice))
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temp, dir_fd=folder)
    raise ExportConflict(name=base)


def transcribe_files(settings: Settings, files: Sequence[str], options: Options) -> Iterator[Done]:
    """Transcribe files one after the other; their exports lie beside them.

    Raises EngineUnreachable where no engine starts, OSError for a file that is not there.
    """
    with tempfile.TemporaryDirectory(prefix="appliance-") as folder:
        site = _site_of(settings, folder, sorted({os.path.dirname(file) for file in files}))
        with _engine(settings, site), open_box(site) as box:
            for file in files:
                source = _source(site, file)
                job = jobs.add(box.ledger, source, options, correlation="cli", who="cli")
                if job is None:
                    continue  # named twice
                with moving(lambda job=job: _line(box, job)):  # type: ignore[misc]
                    tasks.perform(job.id, box)
                job = jobs.must(box.ledger, job.id)
                transcript = transcripts.get(box.ledger, job, job.options.tasks[0])
                written = tuple(exports.of_job(box.ledger, job.id))
                beside = os.path.dirname(file)
                lie = tuple(os.path.join(beside, os.fsdecode(one.path)) for one in written)
                yield Done(job, transcript, written, lie)


def _line(box: Box, job: Job) -> str:
    facts = daemon.progress_board(box.settings.run_dir).get(job.id, {})
    return plain(f"{display(job.source.name)}  {bar(facts)}")


def _site_of(settings: Settings, folder: str, roots: Sequence[str]) -> Settings:
    """The settings of the site, with a state directory and shares of our own."""
    shares = tuple(
        Share(name=f"files-{n}", root=root, require_marker=False, error_files=False)
        for n, root in enumerate(roots)
    )
    engine = settings.engine.model_copy(update={"model_dir": settings.model_dir})
    return settings.model_copy(
        update={"node": NodeSettings(state_dir=folder), "share": shares, "engine": engine}
    )


def _source(site: Settings, file: str) -> Source:
    folder, name = os.path.split(file)
    share = next(share for share in site.share if share.root == folder)
    look = os.lstat(file)
    return Source(share.name, os.fsencode(name), look.st_size, mtime_ns_of(look))


@contextlib.contextmanager
def _engine(settings: Settings, site: Settings) -> Iterator[None]:
    """Use the engine that runs, or run one as long as it is needed."""
    os.makedirs(site.run_dir)
    if _answers(settings.engine_socket):
        os.symlink(settings.engine_socket, site.engine_socket)
        yield
        return
    file = os.path.join(site.state_dir, "engine.toml")
    with open(file, "w", encoding="utf-8") as stream:
        stream.write(_as_toml(site))
    log = open(os.path.join(site.state_dir, "engine.log"), "wb")  # noqa: SIM115 - the child's
    command = dying_with_us([sys.executable, "-P", "-m", "appliance.engine", file])
    environment = {**os.environ, **allocator.environment(), **instructions.environment()}
    engine = subprocess.Popen(command, stderr=log, start_new_session=True, env=environment)
    try:
        until = time.monotonic() + _ENGINE_SECONDS
        while not _answers(site.engine_socket):
            if engine.poll() is not None or time.monotonic() > until:
                raise EngineUnreachable
            time.sleep(0.1)
        yield
    finally:
        engine.terminate()
        engine.wait()
        log.close()


def _answers(door: str) -> bool:
    try:
        wire.connect(door).close()
    except OSError:
        return False
    return True


def _as_toml(site: Settings) -> str:
    """Write the engine's part of the settings as TOML; JSON's strings are TOML's too."""
    engine = site.engine.model_dump()
    lines = [f"[node]\nstate_dir = {json.dumps(site.state_dir)}\n[engine]\n"]
    lines += [f"{name} = {json.dumps(value)}\n" for name, value in engine.items()]
    return "".join(lines)
