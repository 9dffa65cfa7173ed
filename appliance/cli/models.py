"""Verbs about models: list, and the self-test that transcribes known words."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
from typing import Any, Final

import click

from appliance import weights
from appliance.cli.site import Site, site
from appliance.cli.transcribing import Done, transcribe_files
from appliance.settings import Share


@click.group()
def model() -> None:
    """Look at the models on this box."""


@model.command("list")
@site
def list_(of: Site) -> None:
    """Every model on this box."""
    found = weights.listing(of.settings().model_dir)
    of.table(
        [{"name": one.name, "sha256": one.sha256, "path": one.path} for one in found],
        ("name", "sha256", "path"),
    )


SAMPLES: Final = os.path.join(os.path.dirname(weights.__file__), "selftest", "samples")


def samples() -> list[dict[str, Any]]:
    """The bundled recordings: file, language, words, seconds."""
    with open(os.path.join(SAMPLES, "samples.json"), encoding="utf-8") as stream:
        found: list[dict[str, Any]] = json.load(stream)
    return found


@click.command()
@site
def selftest(of: Site) -> None:
    """Transcribe the bundled samples and compare the words; exit 1 when they differ too much."""
    site_settings = of.settings()
    options = site_settings.options_for(
        site_settings.share[0] if site_settings.share else Share(name="none", root="/")
    )
    results = []
    with tempfile.TemporaryDirectory(prefix="selftest-") as folder:
        known = samples()
        files = [shutil.copy(os.path.join(SAMPLES, one["file"]), folder) for one in known]
        wanted = dataclasses.replace(options, formats=("txt",), language=None)
        for one, done in zip(known, transcribe_files(site_settings, files, wanted), strict=True):
            results.append(_compare(one, done))
    of.table(results, ("sample", "words", "wrong", "heard"))
    share = sum(r["wrong"] for r in results) / sum(r["words"] for r in results)
    click.echo(f"word error rate {100 * share:.1f} %", err=True)
    raise SystemExit(0 if share <= 0.15 else 1)


def _compare(known: dict[str, Any], done: Done) -> dict[str, Any]:
    text = "".join(segment.text for segment in done.transcript.segments) if done.transcript else ""
    wrong = distance(known["words"], text.split())
    return {
        "sample": known["file"],
        "words": len(known["words"]),
        "wrong": wrong,
        "heard": text.strip() or done.job.code,
    }


def distance(truth: list[str], heard: list[str]) -> int:
    """Words to insert, remove or replace to turn one into the other (Levenshtein)."""
    truth = [word.casefold().strip(".,;:!?") for word in truth]
    heard = [word.casefold().strip(".,;:!?") for word in heard]
    row = list(range(len(heard) + 1))
    for i, wanted in enumerate(truth, 1):
        before, row[0] = row[0], i
        for j, got in enumerate(heard, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (wanted != got))
    return row[-1]


VERBS: Final = (model, selftest)
