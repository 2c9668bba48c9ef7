from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from repgeo.identity import canonical_json, derive_generator, derive_seed, digest, file_digest

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_canonical_json_is_parsed_back_as_the_same_value(value: object) -> None:
    assert json.loads(canonical_json(value)) == value
    assert canonical_json(json.loads(canonical_json(value))) == canonical_json(value)


def reordered(value: object) -> object:
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return [reordered(entry) for entry in value] if isinstance(value, list) else value


@given(VALUES)
def test_the_order_of_keys_does_not_count(value: object) -> None:
    assert canonical_json(reordered(value)) == canonical_json(value)


@pytest.mark.parametrize(
    ("one", "other"),
    [([1, 2], [2, 1]), (1, 1.0), (1, "1"), (None, "null"), (True, 1), ({"a": None}, {}), ("", [])],
)
def test_different_values_have_different_digests(one: object, other: object) -> None:
    assert digest(one) != digest(other)


def test_tuples_are_lists_and_text_is_unicode() -> None:
    assert canonical_json((1, (2,))) == "[1,[2]]"
    assert canonical_json("é") == '"é"'


def test_what_is_not_json_is_refused() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        canonical_json({"x": torch.zeros(1)})


def test_digest_is_sha256_of_the_text() -> None:
    text = b'{"a":[1,2.5]}'
    assert digest({"a": [1, 2.5]}, length=64) == hashlib.sha256(text).hexdigest()
    assert digest({"a": [1, 2.5]}) == hashlib.sha256(text).hexdigest()[:20]


def test_file_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"abc" * 100_000)
    assert file_digest(path) == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_seeds_are_the_same_in_another_process() -> None:
    code = "from repgeo.identity import derive_seed; print(derive_seed('anchors', 3, [1.5, None]))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(found.stdout) == derive_seed("anchors", 3, [1.5, None])


@given(st.lists(st.integers() | st.text(), max_size=4))
def test_seeds_have_63_bits(parts: list[object]) -> None:
    assert 0 <= derive_seed(*parts) < 2**63


def test_the_division_into_parts_counts() -> None:
    seeds = {derive_seed("ab", "c"), derive_seed("a", "bc"), derive_seed("abc"), derive_seed()}
    assert len(seeds) == 4


def test_generators_do_not_touch_the_global_one() -> None:
    before = torch.random.get_rng_state()
    one = torch.rand(3, generator=derive_generator("points", 0))
    same = torch.rand(3, generator=derive_generator("points", 0))
    other = torch.rand(3, generator=derive_generator("points", 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), before)
