"""Where in a table of relative positions the row for a query and a key stands. Not for: the tables themselves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def offsets(queries: int, keys: int) -> NDArray[np.int64]:
    """(queries, keys): rows of a table of 2 * max(queries, keys) - 1, for places along one direction.

    The shorter side is stretched over the longer one, so both count in the same steps.
    """
    of_query, of_key = max(keys / queries, 1.0), max(queries / keys, 1.0)
    rows = np.arange(queries)[:, None] * of_query - (np.arange(keys)[None] - (keys - 1)) * of_key
    return rows.astype(np.int64)
