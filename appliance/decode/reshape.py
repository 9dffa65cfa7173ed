"""Frames of any shape → 16 kHz, mono, int16.

Not here: what happens when the shape changes on the way (sound).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import av
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.filter.graph import Graph

from appliance.nouns import SAMPLE_RATE

# By numpy's name of a sample: where its silence lies, and how far from there it goes.
_SCALES: Final = {
    "u1": (128.0, 128.0),
    "i2": (0.0, 2.0**15),
    "i4": (0.0, 2.0**31),
    "i8": (0.0, 2.0**63),
}

Shape = tuple[str, str, int]  # sample format, layout, rate


def shape_of(frame: AudioFrame) -> Shape:
    """What a resampler must know before the first frame."""
    return (frame.format.name, frame.layout.name, frame.sample_rate)


class Reshaper:
    """Resamples and mixes frames of one shape. PyAV's own would start threads for it."""

    def __init__(self, shape: Shape) -> None:
        """Raises av.FFmpegError for a shape that libav cannot mix."""
        form, layout, rate = shape
        self._unplaced = layout.endswith(" channels")  # libav mixes only what has a place
        if self._unplaced:
            form, layout = "flt", "mono"
        self._graph = graph = Graph()
        graph.threads = 1
        graph.link_nodes(
            graph.add(
                "abuffer",
                sample_fmt=form,
                channel_layout=layout,
                sample_rate=str(rate),
                time_base=f"1/{rate}",
            ),
            graph.add(
                "aformat",
                sample_fmts="s16",
                channel_layouts="mono",
                sample_rates=str(SAMPLE_RATE),
            ),
            graph.add("abuffersink"),
        )
        graph.configure()

    def push(self, frame: AudioFrame | None) -> Iterator[npt.NDArray[np.int16]]:
        """Take a frame, or None for the end; give what is ready."""
        self._graph.push(_mixed(frame) if frame is not None and self._unplaced else frame)
        while True:
            try:
                ready = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            yield np.ravel(ready.to_ndarray()).astype(np.int16, copy=False)


def _samples(frame: AudioFrame) -> npt.NDArray[np.generic]:
    """The samples of a frame; those of 64 bits PyAV does not hand out itself."""
    if not frame.format.name.startswith("s64"):
        samples: npt.NDArray[np.generic] = frame.to_ndarray()
        return samples
    count = frame.samples * (1 if frame.format.is_planar else frame.layout.nb_channels)
    return np.stack([np.frombuffer(bytes(plane), np.int64)[:count] for plane in frame.planes])


def _mixed(frame: AudioFrame) -> AudioFrame:
    """Mix channels that nobody placed, like those of a mixing desk, all alike."""
    samples = _samples(frame)
    if frame.format.is_planar:
        samples = samples.T
    samples = samples.reshape(-1, frame.layout.nb_channels)
    middle, loudest = _SCALES.get(samples.dtype.str[1:], (0.0, 1.0))
    mono = (samples.mean(axis=1, dtype=np.float64) - middle) / loudest
    mixed = AudioFrame.from_ndarray(mono.astype(np.float32)[None], format="flt", layout="mono")
    mixed.sample_rate = frame.sample_rate
    return mixed
