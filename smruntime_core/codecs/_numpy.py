"""numpy arrays: in the format npy, without pickled objects; numbers in JSON and CSV are read too.

numpy allocates what the header of an npy body claims before it looks at the data. So the header is
read first, and the size of the data must be what it claims.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from math import prod
from types import ModuleType
from typing import TYPE_CHECKING, cast

from ..errors import ConstructionError, ResponseError
from ._content_type import format_for
from ._csv import parse_rows
from ._encoded import EncodedBody, load, reason
from ._json import parser
from ._text import decode_text, utf_8_of

if TYPE_CHECKING:
    from numpy import ndarray  # pyright: ignore  # unknown where numpy is not installed

    from ..payload import JSON


def as_npy(
    array: object,
    /,
    *,
    dtype: object = None,
    content_type: str = "application/x-npy",
    accept: str = "application/x-npy",
) -> EncodedBody:
    """Return the members of a request whose body is an array in the format npy.

    `array` is a numpy array, or what `numpy.asarray` makes one of: nested lists, a torch tensor on
    the CPU. `dtype` is the type to convert it to, for instance "float32".
    """
    numpy = load("numpy", "as_npy", "numpy")
    wanted = _checked_dtype(numpy, dtype)
    try:
        made = numpy.asarray(array, dtype=wanted)
    except (TypeError, ValueError, OverflowError):
        rule = "numbers, or nested lists of numbers with the same length at each level"
        raise ConstructionError(
            "array", rule, f"numpy cannot convert this {type(array).__name__}"
        ) from None
    if made.dtype.hasobject:
        rule = "numbers, bools, strings or dates; convert it, for instance with dtype='float64'"
        found = f"found {type(array).__name__} of Python objects, which would be pickled"
        raise ConstructionError("array", rule, found)
    buffer = BytesIO()
    numpy.save(buffer, made, allow_pickle=False)
    return {"body": buffer.getvalue(), "content_type": content_type, "accept": accept}


def read_numpy(  # pyright: ignore[reportUnknownParameterType]  # where numpy is not installed
    body: bytes, content_type: str | None, *, dtype: object = None
) -> ndarray:
    """Return the array of an answer in npy, or of numbers in JSON or CSV.

    CSV becomes two dimensions of float64, other formats keep their own type, unless `dtype` says
    otherwise. Without a content type the body must be npy. Objects are never unpickled.
    """
    stated = format_for(content_type, "numpy")
    numpy = load("numpy", "numpy", "numpy")
    wanted = _checked_dtype(numpy, dtype)
    array: object
    try:
        if stated == "json":
            value = parser("numpy", None)(utf_8_of(body, content_type, "numpy"))
            array = _from_json(numpy, value, wanted)
        elif stated == "csv":
            text = decode_text(body, content_type, "numpy")
            array = _from_csv(numpy, parse_rows(text, "numpy"), wanted)
        else:
            array = _from_npy(numpy, body, wanted)
    except ResponseError:
        raise
    except (
        Exception
    ) as error:  # numpy reads a header with ast and tokenize, whose errors have no common class
        raise ResponseError(f"numpy(): the body is not an array: {reason(error)}") from None
    return cast("ndarray", array)  # pyright: ignore[reportUnknownVariableType]


def _from_npy(numpy: ModuleType, body: bytes, wanted: object) -> object:
    layout = numpy.lib.format
    header = BytesIO(body)
    version = layout.read_magic(header)
    if version == (1, 0):
        shape, _, dtype = layout.read_array_header_1_0(header)
    elif version == (2, 0):
        shape, _, dtype = layout.read_array_header_2_0(header)
    else:
        raise ResponseError(f"numpy(): npy has the version {version}; only 1.0 and 2.0 are read")
    if dtype.hasobject:
        raise ResponseError("numpy(): the array holds pickled objects, which are never loaded")
    claimed = prod(shape) * dtype.itemsize
    found = len(body) - header.tell()
    if min(shape, default=0) < 0 or claimed != found or (not dtype.itemsize and prod(shape)):
        raise ResponseError(
            f"numpy(): the header claims {claimed} bytes of {str(dtype)[:40]}, and {found} follow"
        )
    array = layout.read_array(BytesIO(body), allow_pickle=False)
    return cast("object", array if wanted is None else array.astype(wanted))


def _from_json(numpy: ModuleType, value: JSON, wanted: object) -> object:
    _check_numbers(value)
    array = numpy.array(value, dtype=wanted)
    if array.dtype.hasobject:
        raise ResponseError("numpy(): the JSON has integers of more than 64 bits; call .json()")
    return cast("object", array)


def _check_numbers(value: JSON) -> None:
    """Raise `ResponseError` unless there are only lists and numbers.

    numpy would pad all strings to the longest.
    """
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(item)
        elif not isinstance(item, int | float):
            kind = "null" if item is None else f"a {type(item).__name__}"
            raise ResponseError(
                f"numpy(): the JSON has {kind} where only arrays and numbers are read; call .json() and make an array of a part of it"
            )


def _from_csv(numpy: ModuleType, rows: list[list[str]], wanted: object) -> object:
    dtype = numpy.dtype(float if wanted is None else wanted)
    number: Callable[[str], object] = int if dtype.kind in "iu" else float
    table: list[list[object]] = []
    for line, row in enumerate(rows, 1):
        try:
            table.append([number(cell) for cell in row])
        except ValueError:
            kind = "whole numbers" if number is int else "numbers"
            raise ResponseError(
                f"numpy(): row {line} has cells that are not {kind}; call .csv() or .pandas()"
            ) from None
    filled = [row for row in table if row]
    width = len(filled[0]) if filled else 0
    if any(len(row) != width for row in filled):
        raise ResponseError("numpy(): the rows have different numbers of cells; call .csv()")
    return cast("object", numpy.array(filled, dtype=dtype).reshape(len(filled), width))


def _checked_dtype(numpy: ModuleType, dtype: object) -> object:
    if dtype is None:
        return None
    rule = "a type of numpy without Python objects, for instance 'float32' or numpy.int64"
    try:
        made = numpy.dtype(dtype)
    except (TypeError, ValueError):
        raise ConstructionError("dtype", rule, f"found {str(dtype)[:40]!r}") from None
    if made.hasobject:
        raise ConstructionError("dtype", rule, f"found {str(dtype)[:40]!r}")
    return cast("object", made)
