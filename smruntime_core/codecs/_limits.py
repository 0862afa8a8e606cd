"""How much memory a small answer may claim.

Where short rows are filled up to the longest, or values repeat, a body of some kilobytes can stand
for terabytes. An honest answer is not much larger decoded than its body, so one that is both many
times larger and large is refused before memory is allocated.
"""

from __future__ import annotations

from ..errors import ResponseError
from ._content_type import Method

MAX_CELLS = 1_000_000  # of a table out of CSV or JSON, unless its body has a byte for each two
MAX_PARQUET_SIZE = 1024**3  # bytes of a decoded Parquet table
MAX_BATCH_SIZE = 64 * 1024**2  # bytes of it that are decoded before the size is checked again


def fits(rows: int, columns: int, size: int) -> bool:
    """Say whether a body of `size` bytes may stand for a table."""
    return rows * columns <= max(MAX_CELLS, 2 * size)


def check_cells(rows: int, columns: int, size: int, method: Method) -> None:
    """Raise `ResponseError` if a table is too large for a body of `size` bytes."""
    if not fits(rows, columns, size):
        raise ResponseError(
            f"{method}(): {rows} rows of up to {columns} columns are too many for a body of {size} "
            f"bytes (at most {MAX_CELLS} cells, or 2 a byte); read it with .text()"
        )
