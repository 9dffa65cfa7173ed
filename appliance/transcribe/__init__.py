"""Windows to a transcript: one attempt with a staged recording.

In: our own copy of a recording, what was asked for, a warmed-up decode child. Out: a
Transcript per task, or a named error. `relay` carries frames between child and engine,
`assemble` puts what was heard back onto the recording's time line and judges it.

Not here: recording the transcript (store), the model (engine), the file (decode).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from appliance import __version__, journal
from appliance.decoders import Decoders, Used, nobody
from appliance.errors import on_the_box
from appliance.limits import Limits
from appliance.nouns import Options, Provenance, Source, Staged, Transcript, display
from appliance.transcribe.assemble import assemble
from appliance.transcribe.checkpoint import Checkpoint
from appliance.transcribe.relay import Outcome, Progress, Relay, Terms
from appliance.values import to_plain


@dataclass(frozen=True, slots=True)
class Request:
    """Everything one attempt needs to know."""

    source: Source
    staged: Staged
    options: Options
    correlation: str
    max_seconds: float  # of decoded sound
    timeout_factor: float  # times the recording's length …
    timeout_least: float = 600.0  # … and at least so many seconds
    limits: Limits | None = None  # of its decode child; None: as all have
    group: str = ""  # the name of the child's group


@dataclass(frozen=True, slots=True)
class Result:
    """What one attempt brought."""

    transcripts: tuple[Transcript, ...]
    duration: float
    rss_peak: int | None  # bytes, of the decode child


def transcribe(
    request: Request,
    *,
    engine_socket: str,
    decoders: Decoders,
    checkpoint: Checkpoint,
    progress: Progress,
    stop: Callable[[], None],
    used: Used = nobody,
) -> Result:
    """Transcribe one staged recording. Raises ApplianceError.

    `checkpoint` holds what attempts before this one have heard. `progress(done, total, left)`
    in seconds: of the recording, and until its end by the clock; None while nobody can say.
    `stop()` is called about once a second and raises to end the attempt (Cancelled,
    Interrupted, Fenced). `used` is told what the decode child has used up, however it ends.
    """
    name = display(request.source.name)
    terms = Terms(
        name=name,
        source_sha256=request.staged.sha256,
        about=journal.carried(),
        options=request.options,
        max_seconds=request.max_seconds,
        timeout_factor=request.timeout_factor,
        timeout_least=request.timeout_least,
    )
    with on_the_box(request.staged.file):
        source_fd = os.open(request.staged.file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        with (
            decoders.take(request.limits, name=request.group, used=used) as child,
            Relay(terms, child, engine_socket, checkpoint) as relay,
        ):
            outcome = relay.run(source_fd, progress=progress, stop=stop)
            rss_peak = child.rss_peak()
    finally:
        os.close(source_fd)
    provenance = _provenance(request, outcome, name)
    options = request.options
    transcripts = tuple(
        assemble(outcome, task, provenance, options.replacements) for task in options.tasks
    )
    return Result(transcripts, outcome.ended.seconds, rss_peak)


def _provenance(request: Request, outcome: Outcome, name: str) -> Provenance:
    engine = outcome.welcome
    return Provenance(
        appliance=__version__,
        engine=engine.engine,
        model=engine.model,
        model_sha256=engine.model_sha256,
        device=engine.device,
        compute_type=engine.compute_type,
        options=to_plain(request.options),
        source_name=name,
        source_sha256=request.staged.sha256,
        source_size=request.source.size,
        source_mtime_ns=request.source.mtime_ns,
        correlation=request.correlation,
    )
