"""The programs we are measured against, each from PyPI in an environment of its own.

    python -m tests.bench.peers            makes what is missing in .bench/

Versions stand here and nowhere else. What decides about speed is pinned as we have it
ourselves, so that two ways to feed a model are compared, and not two releases of it.

Not here: what runs inside of such an environment (peer), what is compared (the parts).
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_TOP: Final = Path(__file__).resolve().parent.parent.parent
FOLDER: Final = _TOP / ".bench"
_BOTH: Final = ("faster-whisper==1.2.1", "ctranslate2==4.8.5", "onnxruntime==1.31.1", "av==18.1.0")
PINNED: Final[Mapping[str, Sequence[str]]] = {
    "faster-whisper": _BOTH,
    "whisper-ctranslate2": (*_BOTH, "whisper-ctranslate2==0.5.8"),
}
# What a person's shell may set and a bare program should not be given.
_NOT_THEIRS: Final = ("PYTHONPATH", "LD_PRELOAD", "MALLOC_CONF", "OMP_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Told:
    """What a peer took for its files."""

    wall: float  # seconds from opening the first file to the last segment, or of the process
    cpu: float  # seconds, of every thread
    rss: int  # bytes, at most
    first: float | None = None  # seconds until the first segment
    windows: int = 0
    tokens: Sequence[int] = ()  # how many a segment had: each number once
    texts: Sequence[str] = ()


def environment(name: str) -> Path:
    """The folder of a peer's environment; made when it is missing or holds other versions."""
    folder = FOLDER / name
    wanted = "\n".join(PINNED[name])
    made = folder / "pinned.txt"
    if not made.exists() or made.read_text() != wanted:
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "--disable-pip-version-check", *PINNED[name]], check=True)
        made.write_text(wanted)
    return folder


def _plain() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key not in _NOT_THEIRS}


def _run(
    how: str,
    files: Sequence[str],
    model: str,
    *,
    speed: float | None,
    options: Mapping[str, Any],
) -> Told:
    job = {
        "how": how,
        "files": list(files),
        "model": model,
        "speed": speed,
        "options": dict(options),
    }
    python = environment("faster-whisper") / "bin" / "python"
    script = Path(__file__).with_name("peer.py")
    done = subprocess.run(
        [str(python), str(script), json.dumps(job)],
        capture_output=True, text=True, env=_plain(), check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{how}: {done.stderr[-2000:]}")
    return Told(**json.loads(done.stdout.splitlines()[-1]))


def batched(
    files: Sequence[str], model: str, *, speed: float | None = None, **options: Any
) -> Told:
    """BatchedInferencePipeline, a file after the other."""
    return _run("batched", files, model, speed=speed, options=options)


def sequential(
    files: Sequence[str], model: str, *, speed: float | None = None, **options: Any
) -> Told:
    """WhisperModel.transcribe, a file after the other."""
    return _run("sequential", files, model, speed=speed, options=options)


def command_line(files: Sequence[str], model: str, *more: str) -> Told:
    """whisper-ctranslate2, told all files at once; its start and the loading are its own."""
    program = environment("whisper-ctranslate2") / "bin" / "whisper-ctranslate2"
    with tempfile.TemporaryDirectory() as out:
        argv = [str(program), *files, "--model_directory", model, "--output_dir", out]
        argv += ["--device", "cpu", "--compute_type", "int8", "--verbose", "False", *more]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        begun = time.monotonic()
        process = subprocess.Popen(
            argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=_plain(), text=True
        )
        complaints = process.communicate()[1]
        wall = time.monotonic() - begun
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        if process.returncode or len(os.listdir(out)) < len(files):
            raise SystemExit(f"whisper-ctranslate2: {complaints[-2000:]}")
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return Told(wall=wall, cpu=cpu, rss=used.ru_maxrss * 1024)


if __name__ == "__main__":
    for peer in PINNED:
        print(environment(peer), file=sys.stderr)  # noqa: T201
