"""Parameters of factories against their signatures."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

from repgeo.errors import ConfigurationError
from repgeo.parameters import accepted_names, locate_files, validate_parameters


def factory(
    size: int,
    *,
    hidden: tuple[int, ...] = (1,),
    rate: float = 0.5,
    kind: Literal["a", "b"] = "a",
    copy: bool = False,  # a name that pydantic's models keep for themselves
    limit: int | None = None,
    anything=None,
    unknown: NotAtHand = 0,  # noqa: F821 - an annotation that cannot be resolved
):
    """A factory with one parameter of each sort."""


class Factory:
    def __init__(self, size: int, **others) -> None:
        """A class is a factory too."""


def test_values_get_the_types_of_the_signature():
    given = {"size": 3, "hidden": [4, 5], "rate": 1, "kind": "b", "copy": True, "limit": None}
    valid = validate_parameters(factory, given)
    assert valid == given | {"hidden": (4, 5)}
    assert isinstance(valid["rate"], float)
    assert list(valid) == list(given)


def test_without_an_annotation_anything_goes():
    given = {"size": 1, "anything": {"a": [1, "x"]}, "unknown": "text"}
    assert validate_parameters(factory, given) == given


def test_defaults_are_not_filled_in():
    assert validate_parameters(factory, {"size": 1}) == {"size": 1}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"size": 1, "hiden": [3]}, "unknown key 'hiden'. Did you mean 'hidden'"),
        ({}, "the key 'size' is missing"),
        ({"size": "3"}, "size: should be a valid integer, got '3'"),
        ({"size": True}, "size: should be a valid integer, got True"),
        ({"size": 1, "hidden": [1, "x"]}, r"hidden\[1\]: should be a valid integer, got 'x'"),
        ({"size": 1, "kind": "c"}, "kind: should be 'a' or 'b', got 'c'"),
        ({"size": 1, "rate": "fast"}, "rate: should be a valid number, got 'fast'"),
        ({"size": 1, "copy": 1}, "copy: should be a valid boolean, got 1"),
        ({"size": object()}, "must be numbers, strings, booleans, lists or tables"),
    ],
)
def test_wrong_parameters_are_named(given, message):
    with pytest.raises(ConfigurationError, match=message):
        validate_parameters(factory, given)


def test_what_is_filled_in_cannot_be_given():
    assert validate_parameters(factory, {}, skip=("size",)) == {}
    with pytest.raises(ConfigurationError, match="'size' is filled in and cannot be given"):
        validate_parameters(factory, {"size": 1}, skip=("size",))


def test_a_class_with_open_keywords_takes_them():
    assert validate_parameters(Factory, {"size": 1, "more": "x"}) == {"size": 1, "more": "x"}
    with pytest.raises(ConfigurationError, match="size: should be a valid integer"):
        validate_parameters(Factory, {"size": 1.5, "more": "x"})


def test_a_callable_object_is_a_factory():
    class Maker:
        def __call__(self, width: int) -> int:
            return width

    assert validate_parameters(Maker(), {"width": 2}) == {"width": 2}
    with pytest.raises(ConfigurationError, match="width: should be a valid integer"):
        validate_parameters(Maker(), {"width": "2"})


def test_positional_only_and_uncallable_factories_are_refused():
    def positional(size, /):
        """Cannot be called by name."""

    with pytest.raises(ConfigurationError, match="'size' is positional-only"):
        validate_parameters(positional, {})
    with pytest.raises(ConfigurationError, match="is a function or a class, got int"):
        accepted_names(3)


def test_accepted_names_tell_what_has_a_default():
    names = accepted_names(factory)
    assert names["size"] is False
    assert names["hidden"] is True
    assert accepted_names(Factory) == {"size": False}


def test_files_are_located_and_named_by_content(tmp_path):
    def reads(path: Path, note: str = "") -> None:
        """A factory of something in a file."""

    (tmp_path / "matrix.bin").write_bytes(b"abc")
    located, digests = locate_files(reads, {"path": "matrix.bin", "note": "x"}, folder=tmp_path)
    assert located == {"path": str((tmp_path / "matrix.bin").resolve()), "note": "x"}
    assert digests == {"path": hashlib.sha256(b"abc").hexdigest()}
    with pytest.raises(ConfigurationError, match="path: there is no file"):
        locate_files(reads, {"path": "other.bin"}, folder=tmp_path)


def test_validating_imports_no_torch():
    code = "import sys, repgeo.parameters; print('torch' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"
