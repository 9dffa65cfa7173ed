"""What a client of OpenAI's API asks for, as our options and a form for the answer.

Not here: reading the form (uploads.form), making the answer (answers).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Final

from appliance import weights
from appliance.errors import NoSuchModel, UploadRefused
from appliance.nouns import EXTENSIONS, LANGUAGES, Options
from appliance.report import shown
from appliance.settings import Settings
from web.openai.languages import code_of
from web.uploads import wishes
from web.uploads.form import Form

# Names that clients send without asking: they all mean what this box transcribes with.
ALIASES: Final = ("whisper-1", "gpt-transcribe", "gpt-4o-transcribe", "gpt-4o-mini-transcribe")
FORMATS: Final = ("json", "text", "srt", "vtt", "verbose_json")
_GRANULARITIES: Final = frozenset({"word", "segment"})
_PROMPT: Final = 800  # characters; of a longer one the end counts, as it does there
_TRUE: Final = frozenset({"true", "1", "yes", "on"})


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be done with a recording, and how its text shall come back."""

    options: Options
    format: str
    words: bool  # in verbose_json: words with their times
    segments: bool
    stream: bool


def question(settings: Settings, form: Form, *, task: str) -> Question:
    """Read the fields. Raises policy.upload-refused, .no-such-model, .uploads-off.

    `temperature` is not followed: how we listen is the profile's. `include` brings nothing.
    """
    wanted = form.one("response_format", "json")
    if wanted not in FORMATS:
        raise UploadRefused(why=f"response_format: there are {', '.join(FORMATS)}")
    named = frozenset(form.every("timestamp_granularities"))
    if not named <= _GRANULARITIES:
        raise UploadRefused(why="timestamp_granularities: there are word and segment")
    profile = profile_of(settings, form.one("model", ALIASES[0]))
    options = replace(wishes.of_profile(settings, profile), task=task, formats=())
    if said := form.one("language"):
        options = replace(options, language=_language(said))
    if prompt := form.one("prompt"):
        options = replace(options, initial_prompt=prompt[-_PROMPT:])
    return Question(
        options,
        wanted,
        words="word" in named,
        segments="segment" in named or not named,
        stream=form.one("stream").lower() in _TRUE,
    )


def _language(said: str) -> str:
    code = code_of(said)
    if code not in LANGUAGES:
        raise UploadRefused(why=f"language: the model knows no {shown(said[:20])}")
    return code


def models(settings: Settings) -> dict[str, str]:
    """Every name a client may say, and the profile that it means: the site's own win."""
    named = dict.fromkeys(ALIASES, settings.uploads.profile)
    for profile in reversed(wishes.profiles(settings)):
        named[wishes.of_profile(settings, profile).model] = profile
    seen = wishes.profiles(settings)
    return named | {profile: profile for profile in settings.profile if profile in seen}


def profile_of(settings: Settings, model: str) -> str:
    """The profile that a name means. Raises policy.no-such-model."""
    profile = models(settings).get(model)
    if profile is None:
        raise NoSuchModel(model=model[:100])
    return profile


def made_at(settings: Settings, model: str) -> int:
    """When the weights behind a name came to this box: seconds since 1970; 0 where they are not."""
    options = wishes.of_profile(settings, profile_of(settings, model))
    try:
        path = weights.chosen(options.model, settings.model_dir)
        return int(os.stat(path).st_mtime) if path else 0
    except OSError:
        return 0


def name_of(form: Form) -> bytes:
    """What the recording is called here. Its own name is nobody's business: only its kind stays."""
    suffix = (form.filename or "").rpartition(".")[2].lower()
    if suffix not in EXTENSIONS:
        suffix = form.content_type.partition(";")[0].rpartition("/")[2].removeprefix("x-").lower()
    return b"recording." + (suffix.encode() if suffix in EXTENSIONS else b"wav")
