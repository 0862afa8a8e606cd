"""Limits of the memory that a small response may claim.

Where short rows are filled up to the longest, or values repeat, a body of some kilobytes can stand
for terabytes. An honest response is not much larger decoded than its body, so one that is both many
times larger and large is refused before memory is allocated.
"""

from __future__ import annotations

from typing import Final

from ..errors import ResponseError
from ._content_type import Method

MAX_CELLS: Final = 1_000_000  # of a table from CSV or JSON, or two for each byte of its body
MAX_PARQUET_SIZE: Final = 1024**3  # bytes of a decoded Parquet table
MAX_BATCH_SIZE: Final = 64 * 1024**2  # bytes decoded of it before the size is checked again


def is_plausible_size(rows: int, columns: int, size: int) -> bool:
    """Return whether a body of `size` bytes may be decoded to a table of that size."""
    return rows * columns <= max(MAX_CELLS, 2 * size)


def check_cell_count(rows: int, columns: int, size: int, method: Method) -> None:
    """Raise `ResponseError` if a table is too large for a body of `size` bytes."""
    if not is_plausible_size(rows, columns, size):
        raise ResponseError(
            f"{method}(): {rows} rows of up to {columns} columns are too many for a body of {size} "
            f"bytes (at most {MAX_CELLS} cells, or 2 a byte); read it with .text()"
        )
