from __future__ import annotations

import inspect
import pickle

import pytest

from repgeo import errors
from repgeo.errors import ConfigurationError, InputError, MissingExtraError, RepgeoError, nearest

FAMILY = [
    kind
    for name in errors.__all__
    if inspect.isclass(kind := getattr(errors, name)) and issubclass(kind, Exception)
]


@pytest.mark.parametrize("kind", FAMILY)
def test_all_are_one_family(kind: type[Exception]) -> None:
    assert issubclass(kind, RepgeoError)
    assert inspect.getdoc(kind)


@pytest.mark.parametrize("kind", FAMILY)
def test_an_error_survives_the_way_to_another_process(kind: type[Exception]) -> None:
    made = (
        kind("gudhi", "dev", "persistence") if kind is MissingExtraError else kind("what was given")
    )
    back = pickle.loads(pickle.dumps(made))
    assert type(back) is kind
    assert str(back) == str(made)


def test_bad_arguments_are_value_errors_too() -> None:
    assert issubclass(InputError, ValueError)


def test_what_a_user_can_correct_is_a_configuration_error() -> None:
    wrong = (
        errors.UnknownNameError,
        errors.MissingExtraError,
        errors.DatasetError,
        errors.LayerError,
        errors.CheckpointError,
    )
    assert all(issubclass(kind, ConfigurationError) for kind in wrong)


def test_a_missing_package_says_how_to_get_it() -> None:
    text = str(MissingExtraError("pyarrow", "parquet", "Writing parquet"))
    assert "Writing parquet" in text
    assert "pip install 'repgeo[parquet]'" in text


def test_nearest_names_what_is_close() -> None:
    assert nearest("acuracy", ["accuracy", "cka"]) == "Did you mean 'accuracy'?"
    assert nearest("ab", ["abc", "abd"]) == "Did you mean 'abd' or 'abc'?"
    assert nearest("anything", []) == "There are none."


def test_nearest_lists_what_is_allowed_where_nothing_is_close() -> None:
    names = [f"name{number:02}" for number in range(30)]
    text = nearest("qqq", iter(names))
    assert text.startswith("Known: name00, name01, ")
    assert text.endswith("name19, ...")
    assert nearest("qqq", ["b", "a", "b"]) == "Known: a, b."
