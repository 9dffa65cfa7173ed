"""Verbs about models: pull, verify, list, and the self-test that transcribes known words."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
from typing import Any, Final

import click

from appliance import weights
from appliance.cli.fetching import Progress
from appliance.cli.site import Site, site
from appliance.cli.transcribing import Done, transcribe_files
from appliance.errors import ModelCorrupt, ModelMissing
from appliance.settings import GB, Profile, Settings, Share
from appliance.weights import pull as pulling
from appliance.weights.catalogue import HOMES, HUB
from appliance.weights.manifest import parse
from appliance.weights.pull import Wish


@click.group()
def model() -> None:
    """The models on this box, and how they get here."""


@model.command("list")
@site
def list_(of: Site) -> None:
    """Every model on this box."""
    settings = of.in_force()
    rows = [_row(one, settings) for one in weights.listing(settings.model_dir)]
    of.table(rows, ("name", "size", "digest", "commit", "languages", "mels", "profiles", "state"))


def _row(one: weights.ModelFolder | ModelCorrupt, settings: Settings) -> dict[str, Any]:
    if isinstance(one, ModelCorrupt):
        return {"name": one.detail["model"], "state": one.sentence}
    manifest = one.manifest
    return {
        "name": one.name,
        "size": _human(one.size),
        "bytes": one.size,
        "digest": one.sha256[:12],
        "sha256": one.sha256,
        "repository": manifest.repository if manifest else None,
        "revision": manifest.revision if manifest else None,
        "commit": manifest.revision[:12] if manifest and manifest.revision else None,
        "languages": "many" if one.multilingual else "en",
        "multilingual": one.multilingual,
        "mels": one.mels,
        "profiles": _profiles(one, settings),
        "path": one.path,
        "state": "ok" if manifest or one.name == weights.SELFTEST else "no manifest",
    }


def _profiles(one: weights.ModelFolder, settings: Settings) -> list[str]:
    """The profiles that load this very folder."""
    profiles = {"default": Profile(), **settings.profile}
    return [
        name
        for name, profile in profiles.items()
        if weights.chosen(profile.model, settings.model_dir) == one.path
    ]


def _human(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


@model.command()
@click.argument("names", nargs=-1)
@site
def verify(of: Site, names: tuple[str, ...]) -> None:
    """Read every file of the models NAMES (or all) and compare with their manifests."""
    model_dir = of.settings().model_dir
    every = [os.path.basename(path) for _name, path in weights.on_disk(model_dir)]
    rows = []
    for name in names or (weights.SELFTEST, *every):
        try:
            found = weights.verify(name, model_dir)
        except (ModelCorrupt, ModelMissing) as error:
            rows.append({"name": name, "state": error.sentence, "next": error.next_step})
            continue
        rows.append(
            {
                "name": name,
                "state": "ok" if found.manifest else "readable; nothing to compare with",
                "sha256": found.sha256,
            }
        )
    of.table(rows, ("name", "state", "sha256", "next"))
    raise SystemExit(1 if any("next" in row for row in rows) else 0)


@model.command(epilog=f"Names we know: {', '.join(HOMES)}.")
@click.argument("name")
@click.option("--from", "source", metavar="FOLDER", help="Copy from a folder, not from a hub.")
@click.option("--repository", metavar="OWNER/NAME", help="Where a model we do not know lies.")
@click.option("--revision", metavar="COMMIT", help="Take this commit (or branch: `main`).")
@click.option("--manifest", "manifest_file", metavar="FILE", help="Every file must be as in it.")
@click.option("--sha256", metavar="DIGEST", help="The digest, as `model verify` shows it.")
@click.option("--hub", default=HUB, show_default=True, metavar="URL", help="A mirror of the hub.")
@site
def pull(
    of: Site,
    /,
    name: str,
    source: str | None,
    manifest_file: str | None,
    hub: str,
    **pins: str | None,
) -> None:
    """Bring the model NAME onto this box; a pull that was interrupted goes on."""
    settings = of.settings()
    wish = Wish(name, manifest=_manifest(manifest_file), **pins)
    keep_free = int(settings.disk.stop_below_gb * GB)
    with Progress(as_json=of.as_json) as told:
        if source is None:
            brought = pulling.pull(
                wish, settings.model_dir, hub=hub, keep_free_bytes=keep_free, told=told
            )
        else:
            brought = pulling.copy(
                wish, source, settings.model_dir, keep_free_bytes=keep_free, told=told
            )
    row = {**_row(brought.folder, settings), "fresh": brought.fresh}
    if of.as_json:
        click.echo(json.dumps(row, ensure_ascii=False))
        return
    folder = os.path.basename(brought.folder.path)
    click.echo(f"{folder}, {row['size']}: {'ready' if brought.fresh else 'was here already'}")
    if not row["profiles"]:
        click.echo(f'Name it in the settings: [profile.default] model = "{name}"')


def _manifest(file: str | None) -> weights.Manifest | None:
    if file is None:
        return None
    try:
        with open(file, encoding="utf-8") as stream:
            return parse(stream.read())
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"{file}: {error}", param_hint="--manifest") from error


SAMPLES: Final = os.path.join(weights.BUNDLED, "..", "samples")


def samples() -> list[dict[str, Any]]:
    """The bundled recordings: file, language, words, seconds."""
    with open(os.path.join(SAMPLES, "samples.json"), encoding="utf-8") as stream:
        found: list[dict[str, Any]] = json.load(stream)
    return found


@click.command()
@site
def selftest(of: Site) -> None:
    """Transcribe the samples and compare the words.

    Exit 1 when too many of them differ.
    """
    site_settings = of.in_force()
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
