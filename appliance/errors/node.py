"""node.*: the turn of whoever runs the box. It tries again by itself, a few times."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import Final

from appliance.errors.family import ApplianceError, Budget, Retry

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class NodeError(ApplianceError):
    """Something on the box. It tries again by itself, a few times."""

    retry = Retry.LATER
    budget = Budget.ERRORS
    note = True


class DiskFull(NodeError):
    code = "node.disk-full"
    message = "The disk of the box is full: {free_gb:.1f} GB left in {where}."
    hint = "Make room there, or lower [retention]; waiting jobs go on by themselves."
    retry = Retry.WHEN_WELL
    budget = Budget.NONE
    gate = "disk"
    note = False


class SpoolFull(NodeError):
    code = "node.spool-full"
    message = "The spool has no room for {name} ({size} bytes; {free} bytes are free)."
    hint = "Raise [node] spool_gb or wait until running jobs have finished."
    retry = Retry.WHEN_WELL
    budget = Budget.NONE
    gate = "spool"
    note = False


class LedgerBusy(NodeError):
    code = "node.ledger-busy"
    message = "The ledger was locked for {seconds:g} seconds."
    hint = "If this repeats, look for a process that hangs: `appliance doctor`."


class LedgerDamaged(NodeError):
    """Only a start mends it: whoever meets this ends, and is started again."""

    code = "node.ledger-damaged"
    message = "The ledger in {where} cannot be read: {why}."
    hint = (
        "The next start puts it aside, restores the newest backup and finds again what was done "
        "since. If nothing starts by itself: `appliance up`, or `appliance restore`."
    )
    note = False


class NoBackup(NodeError):
    """Only a person who asks for one meets this."""

    code = "node.no-backup"
    message = "There is no backup in {where} that reads back."
    hint = "`appliance restore --list` names those there are; BACKUP may be a path elsewhere."
    retry = Retry.NEVER
    note = False


class NodeIO(NodeError):
    code = "node.io"
    message = "The box could not read or write {where}: {why}."
    hint = "Look at the disk (`appliance doctor`, `journalctl -k`)."


class EngineLost(NodeError):
    code = "node.engine-lost"
    message = "The engine stopped while it worked on this recording."
    hint = "It restarts by itself. If this repeats: `appliance doctor` and the engine's journal."
    budget = Budget.CRASHES


class EngineUnreachable(NodeError):
    """No engine answers: nothing about this recording, so its turn costs nothing."""

    code = "node.engine-unreachable"
    message = "No engine answers on this box."
    hint = "Start it (`appliance engine`, or the unit appliance-engine); jobs go on by themselves."
    retry = Retry.WHEN_WELL
    budget = Budget.NONE
    gate = "engine"
    note = False


class DecoderUnreachable(NodeError):
    """No recording can be opened: nothing about this one, so its turn costs nothing."""

    code = "node.decoder-unreachable"
    message = "No decoder starts on this box: {why}."
    hint = "Look at its memory; `appliance doctor` says more. Jobs go on by themselves."
    retry = Retry.WHEN_WELL
    budget = Budget.NONE
    gate = "decoder"
    note = False


class EngineVersion(NodeError):
    code = "node.engine-version"
    message = "The engine speaks version {theirs} of our protocol, we speak {ours}."
    hint = "Restart every part of the appliance after an update."
    retry = Retry.WHEN_WELL
    budget = Budget.NONE
    gate = "engine"
    note = False


class GpuMemory(NodeError):
    code = "node.gpu-memory"
    message = "The GPU has not enough free memory for the model {model}."
    hint = "Close other programs on the GPU, or choose a smaller model or compute_type = int8."


class GpuLost(NodeError):
    code = "node.gpu-lost"
    message = "The GPU stopped answering."
    hint = "The engine restarts. If this repeats, restart the box and look at `nvidia-smi`."


class ModelMissing(NodeError):
    code = "node.model-missing"
    message = "The model {model} is not on this box (looked in {where})."
    # On a box our own account has no way out; the unit has an account that has.
    hint = (
        "Fetch it once with `appliance model pull {model}` (on a box `systemctl start "
        "appliance-model-pull@{model}`), or choose another in the profile."
    )
    retry = Retry.WHEN_WELL
    budget = Budget.NONE
    gate = "model:{model}"
    note = False


class ModelCorrupt(NodeError):
    code = "node.model-corrupt"
    message = "The model {model} is damaged: {why}."
    hint = (
        "Fetch it again with `appliance model pull {model}` "
        "(on a box `systemctl start appliance-model-pull@{model}`)."
    )
    retry = Retry.WHEN_WELL
    budget = Budget.NONE
    gate = "model:{model}"
    note = False


class ModelUnknown(NodeError):
    """Only a person who fetches a model meets this one and the next."""

    code = "node.model-unknown"
    message = "There is no model {model} that everybody may fetch at {where}."
    hint = "`appliance model pull --help` names those we know; others need --repository."
    retry = Retry.NEVER
    note = False


class ModelUnreachable(NodeError):
    code = "node.model-unreachable"
    message = "The model {model} could not be fetched from {where}: {why}."
    hint = (
        "Run it again: it goes on where it stopped. On a box its unit alone may reach out: "
        "`systemctl start appliance-model-pull@{model}`. Without a way to the internet, "
        "copy the folder from another machine: `appliance model pull {model} --from FOLDER`."
    )
    retry = Retry.NEVER
    note = False


class ChildKilled(NodeError):
    code = "node.child-killed"
    message = "The decoder of {name} died ({why})."
    hint = "It is tried again by itself."
    budget = Budget.CRASHES


class Stalled(NodeError):
    code = "node.stalled"
    message = "Nothing moved in {name} for {seconds:g} seconds, so it was stopped."
    hint = "It is tried again by itself."
    budget = Budget.CRASHES


class WorkerDied(NodeError):
    """Found by recover: the owner of a running job is dead."""

    code = "node.worker-died"
    message = "The box or its worker stopped in the middle of this recording."
    hint = "It goes on by itself."
    budget = Budget.LOSSES


class IsolationWeak(NodeError):
    """Found when a worker starts. The work goes on, unless `require_isolation` forbids it."""

    code = "node.isolation-weak"
    message = (
        "Strangers' files are decoded behind fewer walls than there should be; missing: {walls}."
    )
    hint = (
        "`appliance doctor` names each wall. Run a kernel with Landlock and seccomp, on x86_64 or "
        "aarch64, outside of a container that forbids them."
    )
    retry = Retry.NEVER
    note = False


class LimitsWeak(NodeError):
    """Found when a worker starts whose settings have `require_cgroups`."""

    code = "node.limits-weak"
    message = "The kernel does not hold the limits of each job, as [worker] wants: {how}."
    hint = (
        "Run the worker under systemd with `Delegate=cpu memory pids` (the unit appliance-worker "
        "does) on a kernel with cgroup v2 alone, or set require_cgroups = false."
    )
    retry = Retry.NEVER
    note = False


class BoxUnwell(NodeError):
    """Found by a look at the box, never raised by its work: no job is charged for it."""

    retry = Retry.NEVER
    budget = Budget.NONE
    note = False


class DiskLow(BoxUnwell):
    code = "node.disk-low"
    message = (
        "The disk of the box is getting full: {free_gb:.1f} GB left in {where}, "
        "{percent:.0f} % used."
    )
    hint = "Make room there; below {stop_gb:g} GB new recordings wait."


class WorkerStopped(BoxUnwell):
    code = "node.worker-stopped"
    message = "The worker is not running: what is queued is not transcribed."
    hint = "Start it: `appliance up` starts everything; on the box, the unit appliance-worker."


class WatchStopped(BoxUnwell):
    code = "node.watch-stopped"
    message = "The watch is not running: recordings that are dropped now are not found."
    hint = "Start it: `appliance up` starts everything; on the box, the unit appliance-watch."


class QueueIdle(BoxUnwell):
    code = "node.queue-idle"
    message = "Recordings are queued for more than a minute, and nobody works."
    hint = "Start the worker anew: `appliance worker`, or the unit appliance-worker."


class GpuMissing(BoxUnwell):
    code = "node.gpu-missing"
    message = "The settings ask for a GPU, and the engine finds none: it works on the processor."
    hint = (
        "Look at `nvidia-smi` and `appliance doctor`; then start the engine anew. "
        "A box without a GPU: [engine] device = auto."
    )


class GpuLibrary(BoxUnwell):
    """Found before anything is heard: an engine that may choose then works on the processor."""

    code = "node.gpu-library"
    message = "There is a GPU, but {library} does not open: the engine cannot compute on it."
    hint = (
        "Install the release for GPUs (VERSION+gpu, `make release GPU=1`), in a checkout the extra "
        "`gpu`. To do without: [engine] device = cpu."
    )


class BackupOld(BoxUnwell):
    code = "node.backup-old"
    message = "The ledger was last backed up {age} ago."
    hint = "`appliance backup` makes one; `appliance up`, or the timer, makes one each hour."


class ClockWrong(BoxUnwell):
    code = "node.clock-wrong"
    message = "The clock of the box went back: it is {behind} behind what was written last."
    hint = (
        "Set it: `timedatectl` tells how it is set and by whom. If it was wrong before and is "
        "right now, there is nothing to do: it is believed again after a day."
    )


class ClockLeapt(BoxUnwell):
    code = "node.clock-leapt"
    message = (
        "The clock has moved by {moved} since the box last tidied up: nothing is removed by it."
    )
    hint = (
        "Set it, if it is wrong. If it is right (the box was off), `appliance retention "
        "--clock-is-right` goes on at once; after a week without another leap it does so by itself."
    )


class TellerStopped(BoxUnwell):
    code = "node.teller-stopped"
    message = "Nobody would be told if something went wrong: {what} is not running."
    hint = "Start it: `appliance up` starts everything; on the box, the unit appliance-{what}."


class ChannelPaused(BoxUnwell):
    code = "node.channel-paused"
    message = "Nothing reaches the channel {channel} any more: {why}."
    hint = "Look at its settings under [notify], then try it: `appliance notify --test {channel}`."


class AlreadyRunning(NodeError):
    code = "node.already-running"
    message = "Another appliance is already running on {where}."
    hint = "Stop it first, or choose another [node] state_dir."
    retry = Retry.NEVER
    note = False


@contextlib.contextmanager
def on_the_box(where: str) -> Iterator[None]:
    """Name what the box's own disk answers: DiskFull, or NodeIO for every other OSError."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise DiskFull(where=where, free_gb=0.0) from error
        raise NodeIO(where=where, why=os.strerror(error.errno or errno.EIO)) from error
