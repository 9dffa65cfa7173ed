"""The kinds of job, and their table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from appliance.box import Box
from appliance.store.jobs import FORGET, LINE, REEXPORT, Job
from appliance.workloads.forgetting import forgetting
from appliance.workloads.reexport import reexport
from appliance.workloads.transcription import transcription

WORKLOADS: Final[Mapping[str, Callable[[Job, Box], None]]] = {
    LINE: transcription,
    REEXPORT: reexport,
    FORGET: forgetting,
}
