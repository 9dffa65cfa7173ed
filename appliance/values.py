"""Frozen values to plain JSON and back, strictly.

Here: the one translation between the house's dataclasses and JSON, used for frames
(wire), for the recorded transcript and for a job's options (store). Reading checks
every type, because one writer of frames is the decode child, and that one has read a
stranger's file.

Not here: the public JSON of an export, which is a promise to users (export.json).
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar, cast

T = TypeVar("T")
_LARGEST = 1 << 63  # what the ledger, and everybody else, can hold


def to_plain(value: object) -> dict[str, Any]:
    """Turn a dataclass into dictionaries, lists and scalars."""
    return dataclasses.asdict(cast(Any, value))


def to_json(value: object) -> bytes:
    """Write a dataclass as compact JSON in its declared order: equal values, equal bytes."""
    return json.dumps(to_plain(value), ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )


def from_json(kind: type[T], data: bytes | str) -> T:
    """Read a dataclass back. Raises ValueError for what is missing, extra or of another type."""
    text = data.decode("utf-8", "surrogatepass") if isinstance(data, bytes) else data
    return from_plain(kind, json.loads(text))


def from_plain(kind: type[T], plain: object) -> T:
    """Build a dataclass out of what `to_plain` made. Raises ValueError, never another error."""
    return cast(T, _build(kind, plain, kind.__name__))


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _build(kind: Any, plain: object, where: str) -> object:  # noqa: ANN401 - a type form
    origin = typing.get_origin(kind)
    if kind in (Any, object):
        return plain
    if dataclasses.is_dataclass(kind):
        return _dataclass(cast(type, kind), plain, where)
    if origin in (typing.Union, types.UnionType):
        return _one_of(typing.get_args(kind), plain, where)
    if origin is tuple:
        return _tuple(typing.get_args(kind), plain, where)
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(typing.get_args(kind)[1], plain, where)
    return _scalar(kind, plain, where)


def _dataclass(kind: type, plain: object, where: str) -> object:
    if not isinstance(plain, dict):
        raise ValueError(f"{where}: not an object")
    hints = _hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    if extra := plain.keys() - fields.keys():
        raise ValueError(f"{where}: unknown {sorted(map(str, extra))}")
    built = {}
    for name, field in fields.items():
        if name in plain:
            built[name] = _build(hints[name], plain[name], f"{where}.{name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{where}.{name}: missing")
    return kind(**built)


def _one_of(kinds: tuple[Any, ...], plain: object, where: str) -> object:
    if plain is None and type(None) in kinds:
        return None
    for kind in kinds:
        if kind is not type(None):
            try:
                return _build(kind, plain, where)
            except ValueError:
                continue
    raise ValueError(f"{where}: of none of its types")


def _tuple(kinds: tuple[Any, ...], plain: object, where: str) -> tuple[object, ...]:
    if not isinstance(plain, list | tuple):
        raise ValueError(f"{where}: not a list")
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_build(kinds[0], item, f"{where}[{n}]") for n, item in enumerate(plain))
    if len(kinds) != len(plain):
        raise ValueError(f"{where}: {len(plain)} items instead of {len(kinds)}")
    return tuple(_build(kind, item, where) for kind, item in zip(kinds, plain, strict=True))


def _mapping(kind: Any, plain: object, where: str) -> dict[str, object]:  # noqa: ANN401
    if not isinstance(plain, dict):
        raise ValueError(f"{where}: not an object")
    return {str(key): _build(kind, value, f"{where}.{key}") for key, value in plain.items()}


def _scalar(kind: type, plain: object, where: str) -> object:
    if isinstance(plain, int) and not -_LARGEST <= plain < _LARGEST:
        raise ValueError(f"{where}: a number too large")
    if isinstance(plain, float) and not math.isfinite(plain):
        raise ValueError(f"{where}: not a number")
    if kind is float and isinstance(plain, int) and not isinstance(plain, bool):
        return float(plain)
    if isinstance(plain, bool) is not (kind is bool) or not isinstance(plain, kind):
        raise ValueError(f"{where}: {type(plain).__name__} instead of {kind.__name__}")
    return plain
