"""Settings: every mistake at once, with the nearest right word."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from faster_whisper.tokenizer import _LANGUAGE_CODES

from appliance import settings
from appliance.cli import cli
from appliance.errors import NodeIO, SettingsInvalid
from appliance.nouns import LANGUAGES
from appliance.settings import Profile, Settings, Share, effective, folder_choice, load


def written(tmp_path: Path, text: str) -> str:
    file = tmp_path / "appliance.toml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def mistakes(tmp_path: Path, text: str) -> str:
    with pytest.raises(SettingsInvalid) as caught:
        load(written(tmp_path, text))
    return caught.value.sentence


def test_nothing_at_all_is_a_laptop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    site = load()
    assert site.state_dir == str(tmp_path / ".appliance")
    assert site.run_dir == str(tmp_path / ".appliance" / "run")
    assert site.share == ()


def test_every_mistake_is_told_in_one_go(tmp_path: Path) -> None:
    told = mistakes(
        tmp_path,
        "[disk]\nwarn_below = 3\n[engine]\nthreads = -1\n"
        "[[share]]\nname = 'Bad Name'\nroot = 'x'\n",
    )
    assert "4 mistake(s)" in told
    assert "disk.warn_below: unknown, did you mean warn_below_gb?" in told
    for key in ("engine.threads", "share[1].name", "share[1].root"):
        assert key in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[share]]\nname='a'\nroot='/a'\n[[share]]\nname='a'\nroot='/b'\n", "two shares"),
        ("[[share]]\nname='a'\nroot='/a'\n[[share]]\nname='b'\nroot='/a/b'\n", "inside the share"),
        ("[[share]]\nname='a'\nroot='/a'\nprofile='x'\n", "no [profile.x]"),
        ("[node]\nstate_dir='/a/state'\n[[share]]\nname='a'\nroot='/a'\n", "state_dir"),
        ("[web]\nlisten = '8080'\n", "host:port"),
        ("[profile.default]\nsubtitle_rules = 'tiny'\n", "profile.default.subtitle_rules"),
        ("[node\n", "not TOML"),
        ("[shares]\n", "did you mean share?"),
        ("[profile.default]\nlanguage = 'ga'\n", "profile.default.language: the model knows no"),
        ("[profile.default]\nlanguage = 'deu'\n", "did you mean de?"),
        ("[profile.default]\nvocabulary = ['%s']\n" % ("x" * 101), "at most 100 characters"),
        ("[profile.default]\nvocabulary = [%s]\n" % ("'x'," * 201), "at most 200 items"),
        ("[profile.default]\ninitial_prompt = '%s'\n" % ("x" * 801), "at most 800 characters"),
        ("[profile.default]\nlangauge = 'de'\n", "did you mean language?"),
    ],
)
def test_a_contradiction_is_named(tmp_path: Path, text: str, told: str) -> None:
    assert told in mistakes(tmp_path, text)


def test_every_contradiction_is_told_in_one_go(tmp_path: Path) -> None:
    told = mistakes(
        tmp_path,
        "[[share]]\nname='a'\nroot='/a'\nprofile='x'\n"
        "[[share]]\nname='b'\nroot='/a/b'\n[[share]]\nname='b'\nroot='/c'\n",
    )
    assert "3 mistake(s)" in told
    lines = told.splitlines()
    for mistake in ("two shares are named b", "no [profile.x]", "inside the share a"):
        assert [line for line in lines if line.startswith("  share") and mistake in line], told


def test_drop_ins_are_laid_over_in_order(tmp_path: Path) -> None:
    file = written(tmp_path, "[worker]\ncount = 3\n[[share]]\nname = 'a'\nroot = '/a'\n")
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "20.toml").write_text("[worker]\ncount = 5\n")
    (tmp_path / "conf.d" / "10.toml").write_text(
        "[worker]\ncount = 4\n[[share]]\nname = 'b'\nroot = '/b'\n"
    )
    site = load(file)
    assert site.worker.count == 5
    assert [share.name for share in site.share] == ["a", "b"]


def test_a_mistake_in_a_drop_in_names_it_and_one_in_the_main_file_does_not(tmp_path: Path) -> None:
    file = written(tmp_path, "[[share]]\nname = 'a'\nroot = '/a'\nkind = 'ftp'\n")
    (tmp_path / "conf.d").mkdir()
    drop_in = tmp_path / "conf.d" / "20.toml"
    drop_in.write_text("[worker]\ncount = -1\n[[share]]\nname = 'b'\n")
    with pytest.raises(SettingsInvalid) as caught:
        load(file)
    told = caught.value.sentence
    assert f"{drop_in}: worker.count: " in told
    assert f"{drop_in}: share[2].root: " in told
    assert "  share[1].kind: " in told


def test_every_key_in_force_says_which_file_set_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APPLIANCE_WEB_LISTEN", "127.0.0.1:9999")
    file = written(
        tmp_path,
        "[worker]\ncount = 3\n[[share]]\nname = 'a'\nroot = '/a'\n"
        "[profile.default]\nreplacements = { 'open eye' = 'OpenAI' }\nformats = ['txt', 'srt']\n",
    )
    (tmp_path / "conf.d").mkdir()
    drop_in = str(tmp_path / "conf.d" / "20.toml")
    Path(drop_in).write_text(
        "[worker]\ncount = 5\n[profile.default]\nformats = ['json']\n"
        "[[share]]\nname = 'b'\nroot = '/b'\n"
    )
    found = {one.key: (one.value, one.source) for one in effective(file)}
    assert found["worker.count"] == (5, drop_in)
    assert found["worker.max_attempts"] == (13, None)
    assert found["share[1].root"] == ("/a", file)
    assert found["share[2].root"] == ("/b", drop_in)
    assert found["share[2].kind"] == ("auto", None)
    assert found["profile.default.formats"] == (["json"], drop_in), "replaced, not grown"
    assert found["profile.default.replacements.open eye"] == ("OpenAI", file)
    assert found["web.listen"] == ("127.0.0.1:9999", "APPLIANCE_WEB_LISTEN")


def test_the_command_shows_what_is_in_force_and_who_says_so(tmp_path: Path) -> None:
    file = written(tmp_path, "[worker]\ncount = 3\n")
    shown = CliRunner().invoke(cli, ["--settings", file, "settings", "show", "--effective"])
    assert shown.exit_code == 0
    rows = [line.split() for line in shown.output.splitlines()]
    assert ["worker.count", "3", file] in rows
    assert ["worker.max_attempts", "13", "default"] in rows


def test_a_file_that_is_not_there_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="cannot be read"):
        load(str(tmp_path / "nowhere.toml"))


def test_a_disk_that_does_not_answer_is_nobodys_mistake() -> None:
    with pytest.raises(NodeIO, match="Input/output error"):
        load("/proc/self/mem")  # may be opened; the kernel has nothing at its beginning


def test_the_environment_has_the_last_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPLIANCE_STATE_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("APPLIANCE_WEB_LISTEN", "127.0.0.1:9999")
    site = load(written(tmp_path, "[web]\nlisten = '127.0.0.1:1'\n"))
    assert (site.state_dir, site.web.listen) == (str(tmp_path / "elsewhere"), "127.0.0.1:9999")


def test_a_share_asks_for_what_its_profile_says(tmp_path: Path) -> None:
    site = load(
        written(
            tmp_path,
            "[[share]]\nname='a'\nroot='/a'\nprofile='german'\nformats=['txt']\n"
            "[profile.german]\nlanguage='de'\nvocabulary=['Käse']\n",
        )
    )
    options = site.options_for(site.share[0])
    assert (options.language, options.vocabulary, options.formats) == ("de", ("Käse",), ("txt",))


def test_every_field_has_a_default_but_a_shares_name_and_root() -> None:
    assert Settings() == Settings.model_validate({})
    needed = [name for name, field in settings.Share.model_fields.items() if field.is_required()]
    assert needed == ["name", "root"]


def test_the_languages_are_those_of_the_model() -> None:
    assert LANGUAGES == _LANGUAGE_CODES


def test_a_format_is_written_once_however_often_it_is_asked_for() -> None:
    asked = ["srt", "txt", "srt", *["txt"] * 5_000]
    once = ("srt", "txt")
    assert Profile.model_validate({"formats": asked}).formats == once
    assert Share.model_validate({"name": "a", "root": "/a", "formats": asked}).formats == once
    assert folder_choice("x", b'formats = ["srt", "txt", "srt"]').formats == once


def test_a_contradiction_hides_behind_no_link(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "to_a").symlink_to(tmp_path / "a")
    (tmp_path / "to_b").symlink_to(tmp_path / "a" / "b")
    a, b = (f"[[share]]\nname='{name}'\nroot='{tmp_path}/to_{name}'\n" for name in "ab")
    told = mistakes(tmp_path, a + b)
    assert "share b: its root lies inside the share a" in told
    state = f"[node]\nstate_dir='{tmp_path}/a/state'\n"
    assert "state_dir lie inside" in mistakes(tmp_path, state + a)
