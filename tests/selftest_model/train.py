"""Train: python -m tests.selftest_model.train MINUTES PEAK_RATE CORPUS DEV OUT [CHECKPOINT].

The learning rate rises, then falls along a cosine to nothing at the end of MINUTES.
What is written is the running mean of the weights, every five minutes and at the end.
A checkpoint with fewer decoder layers is a good start: new layers begin as nothing.

Each core trains on batches of its own in a process of one thread, and the gradients
are averaged: on a machine with other work, threads that wait for each other inside
every operation are several times slower.
"""

from __future__ import annotations

import math
import os
import random
import sys
import tempfile
import time
from typing import Any, Final

import numpy as np
import torch
from torch import distributed, multiprocessing, nn

from tests.selftest_model import layout
from tests.selftest_model.corpus import read
from tests.selftest_model.network import Network
from tests.selftest_model.windows import Batch, Windows

CORES: Final = 2
# (frames, windows in a batch, how often). Short windows lie anywhere in the 30 s and cost the
# least per word; the full ones teach what the model will really hear.
DIET: Final = ((400, 12, 0.05), (1000, 6, 0.35), (2000, 3, 0.20), (3000, 2, 0.40))
WEIGHT_CTC: Final = 0.3
WEIGHT_GUIDE: Final = 0.5
_MEMORY: Final = 0.998  # of the running mean, per step
_WARM_UP: Final = 50  # steps
_LOG_EVERY: Final = 50  # steps
_SAVE_EVERY: Final = 300  # seconds


class Trainer:
    """One core's share of a run: half-precision weights that compute, full ones that learn."""

    def __init__(self, start: str) -> None:
        torch.manual_seed(0)
        torch.set_num_threads(1)
        self._network, self.mean = Network(), Network()
        for network in (self._network, self.mean):
            if start:
                network.load(start)
        self._full = [one.detach().clone() for one in self.mean.parameters()]
        self._network.halve()
        self._half = self._network.parameters()
        self._optimizer = torch.optim.Adam(self._full, betas=(0.9, 0.98))
        self._steps = 0
        self._copy()

    def _copy(self) -> None:
        """Bring the half-precision weights to what was learnt."""
        with torch.no_grad():
            for half, full in zip(self._half, self._full, strict=True):
                half.copy_(full)

    def step(self, batch: Batch, rate: float) -> tuple[float, ...]:
        """Learn from one batch per core; give this core's losses."""
        cross, ctc, guide, right, timely = self._network.losses(batch)
        for half in self._half:
            half.grad = None
        (cross + WEIGHT_CTC * ctc + WEIGHT_GUIDE * guide).backward()
        flat = torch.cat(
            [
                (torch.zeros_like(half) if half.grad is None else half.grad).float().ravel()
                for half in self._half
            ]
        )
        distributed.all_reduce(flat)
        flat /= CORES
        places = torch.split(flat, [full.numel() for full in self._full])
        for full, place in zip(self._full, places, strict=True):
            full.grad = place.view_as(full)
        nn.utils.clip_grad_norm_(self._full, 1.0)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        self._steps += 1
        self._copy()
        memory = min(_MEMORY, self._steps / (self._steps + 10))
        with torch.no_grad():
            for kept, full in zip(self.mean.parameters(), self._full, strict=True):
                kept.lerp_(full, 1 - memory)
        return cross.item(), ctc.item(), guide.item(), right, timely

    def save(self, path: str) -> None:
        """Write the mean weights, whole or not at all."""
        torch.save({**self.mean.state(), "used": list(layout.USED)}, path + ".new")
        os.replace(path + ".new", path)


def run(
    core: int, meet: str, minutes: float, peak: float, corpus: str, dev: str, out: str, start: str
) -> None:
    """Train on one core; the first one also logs, examines and saves."""
    distributed.init_process_group("gloo", f"file://{meet}", world_size=CORES, rank=core)
    trainer = Trainer(start)
    seed = time.time_ns() % 1_000_000 + core
    windows, dice = Windows(read(corpus), seed), random.Random(7)  # same diet on every core
    exam = Windows(read(dev), 1)
    papers = [exam.batch(frames, size) for frames, size, _ in DIET for _ in range(3)]
    began, saved, step, seen = time.time(), time.time(), 0, []
    # The first core's clock decides for all.
    gone = torch.zeros(1)
    while gone < 1:
        frames, size, _ = dice.choices(DIET, [often for *_, often in DIET])[0]
        step += 1
        rate = peak * min(1.0, step / _WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * float(gone)))
        seen.append(trainer.step(windows.batch(frames, size), rate))
        if core == 0 and step % _LOG_EVERY == 0:
            _say(f"{step} {(time.time() - began) / 60:.1f} min, rate {rate:.5f}", seen)
            seen = []
        if core == 0 and time.time() - saved > _SAVE_EVERY:
            saved = time.time()
            trainer.save(out)
            _examine(trainer.mean, papers)
        gone = torch.tensor([(time.time() - began) / (60 * minutes)])
        distributed.broadcast(gone, 0)
    if core == 0:
        trainer.save(out)
        _examine(trainer.mean, papers)


def _examine(network: Network, papers: list[Batch]) -> None:
    """Say how well the mean weights do on utterances never trained on."""
    with torch.no_grad():
        for frames, *_ in DIET:
            marks = [network.losses(paper) for paper in papers if paper.mel.shape[2] == frames]
            _say(f"  dev {frames}", [[float(mark) for mark in one] for one in marks])


def _say(head: str, marks: Any) -> None:
    cross, ctc, guide, right, timely = np.nanmean(np.array(marks, np.float64), 0)
    sys.stdout.write(
        f"{head}: cross {cross:.3f} ctc {ctc:.3f} guide {guide:.3f}"
        f" words {right:.3f} times {timely:.3f}\n"
    )
    sys.stdout.flush()


def main(minutes: float, peak: float, corpus: str, dev: str, out: str, start: str = "") -> None:
    """Train for `minutes` and write the mean weights to `out`."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = (os.path.join(folder, "meet"), minutes, peak, corpus, dev, out, start)
        multiprocessing.spawn(run, arguments, nprocs=CORES)


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]), *sys.argv[3:7])
