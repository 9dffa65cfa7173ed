"""Rules of the house that no linter knows: doors, lengths, names, catches, the catalogue."""

from __future__ import annotations

import ast
import os
import re
import string
from collections.abc import Iterator
from typing import TypeGuard

import pytest

import appliance
from appliance import errors
from appliance.errors import CATALOGUE, WARNINGS, ApplianceError
from appliance.states import ENDED, LIVE, NEXT, State

TOP = os.path.dirname(os.path.dirname(appliance.__file__))
LONGEST = 400

# One door per library: who may import it. A room is a module or a package of the house.
DOORS = {
    "av": {"appliance.decode"},
    "ctranslate2": {"appliance.engine"},
    "faster_whisper": {"appliance.engine", "appliance.windows"},
    "onnxruntime": {"appliance.windows"},
    "docx": {"appliance.export.docx"},
    "argon2": {"appliance.credentials"},
    "flask": {"web"},
    "flask_openapi3": {"web"},
    "flask_limiter": {"web.access"},
    "gunicorn": {"web"},
    "itsdangerous": {"web.passes"},
    "huey": {"appliance.bell"},
    "psutil": {"appliance.limits", "appliance.health"},
    "sqlite3": {"appliance.store", "appliance.bell", "appliance.tasks", "appliance.doctor"},
    "sqlite_utils": {"appliance.store"},
    "systemd": {"appliance.daemon", "appliance.journal"},
    "watchdog": {"appliance.watch"},
    "pydantic": {"appliance.settings", "appliance.admit", "web"},
    "prometheus_client": {"web"},
    "apprise": {"appliance.notify"},
    "click": {"appliance.cli"},
    "httpx": {"appliance.client", "appliance.weights"},
}
CATCH_ALL = {
    "appliance/tasks.py",
    "appliance/cli/__init__.py",
    "appliance/decode/serve.py",
    "appliance/porter/__main__.py",
    "web/",
}
FORBIDDEN = ("util", "helper", "manager", "common", "misc", "handler", "processor", "service")


def sources() -> Iterator[tuple[str, ast.Module, str]]:
    """Every module of the product: path below the top, tree, text."""
    for room in ("appliance", "web"):
        for folder, _, names in os.walk(os.path.join(TOP, room)):
            for name in sorted(names):
                if name.endswith(".py"):
                    path = os.path.join(folder, name)
                    with open(path, encoding="utf-8") as stream:
                        text = stream.read()
                    yield os.path.relpath(path, TOP), ast.parse(text), text


SOURCES = list(sources())
PATHS = [path for path, _, _ in SOURCES]


def module_of(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "import_module":
            yield from (str(word.value).partition(".")[0] for word in node.args if _is_name(word))


def _is_name(word: ast.expr) -> TypeGuard[ast.Constant]:
    return isinstance(word, ast.Constant) and isinstance(word.value, str)


@pytest.mark.parametrize(("path", "tree", "text"), SOURCES, ids=PATHS)
def test_a_library_is_used_behind_its_one_door(path: str, tree: ast.Module, text: str) -> None:
    del text
    module = module_of(path)
    for library in set(imported(tree)) & DOORS.keys():
        assert any(module == door or module.startswith(f"{door}.") for door in DOORS[library]), (
            f"{path} imports {library}"
        )


@pytest.mark.parametrize(("path", "tree", "text"), SOURCES, ids=PATHS)
def test_a_module_says_what_lives_there_and_stays_short(
    path: str, tree: ast.Module, text: str
) -> None:
    assert ast.get_docstring(tree), f"{path} does not say what lives there"
    assert text.count("\n") <= LONGEST, f"{path} outgrew {LONGEST} lines"


@pytest.mark.parametrize(("path", "tree", "text"), SOURCES, ids=PATHS)
def test_nobody_catches_everything(path: str, tree: ast.Module, text: str) -> None:
    del text
    if path.startswith(tuple(CATCH_ALL)):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = getattr(node.type, "id", None)
            assert node.type is not None, f"{path}:{node.lineno}"
            assert caught not in ("Exception", "BaseException"), f"{path}:{node.lineno}"


@pytest.mark.parametrize(("path", "tree", "text"), SOURCES, ids=PATHS)
def test_only_the_store_speaks_sql(path: str, tree: ast.Module, text: str) -> None:
    del text
    if path.startswith("appliance/store/"):
        return
    words = re.compile(r"^\s*(SELECT|INSERT|UPDATE|DELETE FROM|CREATE TABLE)\b")
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not words.match(node.value), f"{path}:{node.lineno}"


def test_no_room_has_a_name_that_says_nothing() -> None:
    for path in PATHS:
        parts = set(re.split(r"[/_.]", path))
        assert not {part for part in parts if part.rstrip("s") in FORBIDDEN}, path


# --- the catalogue ------------------------------------------------------------------------------


@pytest.mark.parametrize("code", CATALOGUE)
def test_every_failure_has_a_code_a_sentence_and_a_next_step(code: str) -> None:
    error = CATALOGUE[code]
    assert re.fullmatch(r"(source|share|node|settings|policy|access)\.[a-z-]+|bug", code)
    assert error.message.rstrip().endswith((".", "}")), code
    assert error.hint.endswith("."), code
    assert error.__name__ in errors.__all__


def test_a_code_is_used_once() -> None:
    def tree(root: type[ApplianceError]) -> Iterator[type[ApplianceError]]:
        for child in root.__subclasses__():
            yield child
            yield from tree(child)

    codes = [error.code for error in tree(ApplianceError) if error.code]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("code", CATALOGUE)
def test_an_error_without_its_facts_still_reads(code: str) -> None:
    error = CATALOGUE[code]()
    for text in (error.sentence, error.next_step):
        assert "{" not in text
    assert errors.named(code, error.detail).code == code


def test_an_error_that_waits_names_the_gate_it_waits_for() -> None:
    for error in CATALOGUE.values():
        assert (error.retry is errors.Retry.WHEN_WELL) == (error.gate is not None), error.code


def test_every_warning_that_is_given_is_in_the_catalogue() -> None:
    used = {
        node.value
        for _, tree, _ in SOURCES
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"warning\.[a-z-]+", node.value)
    }
    assert used <= WARNINGS.keys()
    for caution in WARNINGS.values():
        facts = [name for _, name, _, _ in string.Formatter().parse(caution.message) if name]
        assert caution.sentence(dict.fromkeys(facts, 1)).endswith(".")


# --- the states ---------------------------------------------------------------------------------


def test_the_table_of_states_knows_every_state() -> None:
    assert NEXT.keys() == set(State)
    assert set(State) == LIVE | ENDED
    for state in State:
        assert NEXT[state], f"{state} is a dead end: a person must be able to try again"


def test_every_state_can_be_reached() -> None:
    reached = {State.DISCOVERED}
    while True:
        more = {after for state in reached for after in NEXT[state]} | reached
        if more == reached:
            break
        reached = more
    assert reached == set(State)


def test_no_child_of_ours_imports_from_the_folder_somebody_stands_in() -> None:
    """`python -m` and `-c` look there first: a recording called json.py would be run."""
    open_doors = [
        f"{path}:{node.lineno}"
        for path, tree, _ in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.List | ast.Tuple)
        for words in [[one.value for one in node.elts if isinstance(one, ast.Constant)]]
        if {"-m", "-c"} & {one for one in words if isinstance(one, str)}
        and "-P" not in words
        and "ffmpeg" not in words
    ]
    assert open_doors == []
