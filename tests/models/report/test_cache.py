"""Keys and values: rows behind rows, in the smallest arrays that hold them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.runtime.errors import EngineError
from cathrt.runtime.models.report.cache import KeyValueCache

LAYERS, HEADS, DIM = 3, 2, 4


@pytest.fixture
def cache() -> KeyValueCache:
    return KeyValueCache(LAYERS, HEADS, DIM, (8, 16, 32))


def new_rows(count: int, padding: int = 0, seed: int = 0) -> dict[str, NDArray[Any]]:
    draw = np.random.default_rng(seed)
    names = [f"new_{kind}_{layer:02}" for layer in range(LAYERS) for kind in ("keys", "values")]
    rows = {name: draw.standard_normal((HEADS, count + padding, DIM)).astype(np.float32) for name in names}
    for array in rows.values():
        array[:, count:] = np.nan
    return rows


def test_an_empty_cache_has_the_smallest_capacity_and_all_arrays(cache: KeyValueCache) -> None:
    assert (cache.length, cache.capacity, cache.most) == (0, 8, 32)
    assert list(cache.feeds) == ["keys_00", "values_00", "keys_01", "values_01", "keys_02", "values_02"]
    assert {array.shape for array in cache.feeds.values()} == {(HEADS, 8, DIM)}


def test_arrays_begin_on_a_page_and_share_nothing(cache: KeyValueCache) -> None:
    arrays = list(cache.feeds.values())
    assert all(array.ctypes.data % 4096 == 0 and array.flags.c_contiguous for array in arrays)
    assert not np.shares_memory(arrays[0], arrays[1])


def test_names_have_three_digits_where_there_are_more_than_a_hundred_layers() -> None:
    assert "keys_000" in KeyValueCache(101, 1, 1, (1,)).feeds
    assert "keys_99" in KeyValueCache(100, 1, 1, (1,)).feeds


def test_rows_are_behind_those_that_were_there_and_padding_is_left_out(cache: KeyValueCache) -> None:
    first, second = new_rows(3, seed=1), new_rows(4, padding=2, seed=2)
    cache.append(first, 3)
    cache.append(second, 4)
    assert (cache.length, cache.capacity) == (7, 8)
    for name, array in cache.feeds.items():
        np.testing.assert_array_equal(array[:, :3], first[f"new_{name}"])
        np.testing.assert_array_equal(array[:, 3:7], second[f"new_{name}"][:, :4])
        assert np.isfinite(array).all()


def test_it_grows_to_the_next_capacity_with_all_its_rows(cache: KeyValueCache) -> None:
    rows = new_rows(8)
    cache.append(rows, 8)
    assert cache.capacity == 8
    cache.append(new_rows(1, seed=3), 1)
    assert (cache.length, cache.capacity) == (9, 16)
    np.testing.assert_array_equal(cache.feeds["values_02"][:, :8], rows["new_values_02"])


def test_truncated_it_has_the_capacity_of_its_length_and_the_rows_that_are_left(cache: KeyValueCache) -> None:
    rows = new_rows(20)
    cache.append(rows, 20)
    cache.truncate(5)
    assert (cache.length, cache.capacity) == (5, 8)
    np.testing.assert_array_equal(cache.feeds["keys_01"][:, :5], rows["new_keys_01"][:, :5])
    cache.truncate(9)
    assert cache.length == 5


def test_more_than_the_largest_capacity_is_refused_and_nothing_is_lost(cache: KeyValueCache) -> None:
    cache.append(new_rows(30), 30)
    with pytest.raises(EngineError, match="33 positions, the decoder's cache holds 32"):
        cache.append(new_rows(3), 3)
    assert cache.length == 30
    cache.append(new_rows(2), 2)
    assert (cache.length, cache.capacity) == (32, 32)
