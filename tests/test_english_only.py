"""A model that knows English only is not asked for anything else."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.errors import SettingsInvalid
from appliance.settings import load


@pytest.mark.parametrize("choice", ['language = "de"', 'task = "translate"'])
def test_a_profile_may_not_ask_an_english_model_for_more(tmp_path: Any, choice: str) -> None:
    file = tmp_path / "appliance.toml"
    file.write_text(f'[profile.default]\nmodel = "tiny.en"\n{choice}\n')
    with pytest.raises(SettingsInvalid, match="English only"):
        load(str(file))
    file.write_text('[profile.default]\nmodel = "tiny.en"\nlanguage = "en"\n')
    load(str(file))
