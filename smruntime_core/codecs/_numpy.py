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
from ._content_type import checked_format
from ._csv import parse_csv_rows
from ._encoded import EncodedBody, describe_error, import_optional
from ._json import make_parser
from ._text import convert_to_utf_8, decode_text

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
    """Return the members of a request with an array in the format npy as its body.

    `array` is a numpy array, or what `numpy.asarray` makes one of: nested lists, a torch tensor on
    the CPU. `dtype` is the type to convert it to, for instance "float32".
    """
    numpy = import_optional("numpy", "as_npy", "numpy")
    wanted_dtype = _checked_dtype(numpy, dtype)
    try:
        converted = numpy.asarray(array, dtype=wanted_dtype)
    except (TypeError, ValueError, OverflowError):
        requirement = "numbers, or nested lists of numbers with the same length at each level"
        raise ConstructionError(
            "array", requirement, f"numpy cannot convert this {type(array).__name__}"
        ) from None
    if converted.dtype.hasobject:
        requirement = "numbers, bools, strings or dates; convert it, such as with dtype='float64'"
        found = f"found {type(array).__name__} of Python objects, which would be pickled"
        raise ConstructionError("array", requirement, found)
    encoded_buffer = BytesIO()
    numpy.save(encoded_buffer, converted, allow_pickle=False)
    return {"body": encoded_buffer.getvalue(), "content_type": content_type, "accept": accept}


def read_numpy(  # pyright: ignore[reportUnknownParameterType]  # where numpy is not installed
    body: bytes, content_type: str | None, *, dtype: object = None
) -> ndarray:
    """Return the array of a response in npy, or of numbers in JSON or CSV.

    CSV becomes two dimensions of float64, other formats keep their own type, unless `dtype` says
    otherwise. Without a content type the body must be npy. Objects are never unpickled.
    """
    stated_format = checked_format(content_type, "numpy")
    numpy = import_optional("numpy", "numpy", "numpy")
    wanted_dtype = _checked_dtype(numpy, dtype)
    array: object
    try:
        if stated_format == "json":
            value = make_parser("numpy", None)(convert_to_utf_8(body, content_type, "numpy"))
            array = _from_json(numpy, value, wanted_dtype)
        elif stated_format == "csv":
            text = decode_text(body, content_type, "numpy")
            array = _from_csv(numpy, parse_csv_rows(text, "numpy"), wanted_dtype)
        else:
            array = _from_npy(numpy, body, wanted_dtype)
    except ResponseError:
        raise
    except Exception as error:  # numpy parses a header with ast and tokenize, which raise anything
        raise ResponseError(f"numpy(): the body is not an array: {describe_error(error)}") from None
    # numpy need not be installed where types are checked
    return cast("ndarray", array)  # pyright: ignore[reportUnknownVariableType]


def _from_npy(numpy: ModuleType, body: bytes, wanted_dtype: object) -> object:
    npy_format = numpy.lib.format
    header_reader = BytesIO(body)
    npy_version = npy_format.read_magic(header_reader)
    if npy_version == (1, 0):
        array_shape, _, dtype = npy_format.read_array_header_1_0(header_reader)
    elif npy_version == (2, 0):
        array_shape, _, dtype = npy_format.read_array_header_2_0(header_reader)
    else:
        raise ResponseError(
            f"numpy(): npy has the version {npy_version}; only 1.0 and 2.0 are read"
        )
    if dtype.hasobject:
        raise ResponseError("numpy(): the array holds pickled objects, which are never loaded")
    claimed_size = prod(array_shape) * dtype.itemsize
    found_size = len(body) - header_reader.tell()
    is_impossible = min(array_shape, default=0) < 0 or (not dtype.itemsize and prod(array_shape))
    if is_impossible or claimed_size != found_size:
        raise ResponseError(
            f"numpy(): the header claims {claimed_size} bytes of {str(dtype)[:40]}, "
            f"and {found_size} follow"
        )
    array = npy_format.read_array(BytesIO(body), allow_pickle=False)
    return cast("object", array if wanted_dtype is None else array.astype(wanted_dtype))


def _from_json(numpy: ModuleType, value: JSON, wanted_dtype: object) -> object:
    _check_numbers(value)
    array = numpy.array(value, dtype=wanted_dtype)
    if array.dtype.hasobject:
        raise ResponseError("numpy(): the JSON has integers of more than 64 bits; call .json()")
    return cast("object", array)


def _check_numbers(value: JSON) -> None:
    """Raise `ResponseError` unless there are only lists and numbers.

    numpy would pad all strings to the longest.
    """
    pending_values = [value]
    while pending_values:
        pending_value = pending_values.pop()
        if isinstance(pending_value, list):
            pending_values.extend(pending_value)
        elif not isinstance(pending_value, int | float):
            value_kind = "null" if pending_value is None else f"a {type(pending_value).__name__}"
            suggested_remedy = "call .json() and make an array of a part of it"
            raise ResponseError(
                f"numpy(): the JSON has {value_kind} where only arrays and numbers are read; "
                f"{suggested_remedy}"
            )


def _from_csv(numpy: ModuleType, rows: list[list[str]], wanted_dtype: object) -> object:
    dtype = numpy.dtype(float if wanted_dtype is None else wanted_dtype)
    convert_number: Callable[[str], object] = int if dtype.kind in "iu" else float
    number_rows: list[list[object]] = []
    for row_number, row in enumerate(rows, 1):
        try:
            number_rows.append([convert_number(cell) for cell in row])
        except ValueError:
            value_kind = "whole numbers" if convert_number is int else "numbers"
            raise ResponseError(
                f"numpy(): row {row_number} has cells that are not {value_kind}; "
                "call .csv() or .pandas()"
            ) from None
    filled_rows = [row for row in number_rows if row]
    row_width = len(filled_rows[0]) if filled_rows else 0
    if any(len(row) != row_width for row in filled_rows):
        raise ResponseError("numpy(): the rows have different numbers of cells; call .csv()")
    return cast(
        "object", numpy.array(filled_rows, dtype=dtype).reshape(len(filled_rows), row_width)
    )


def _checked_dtype(numpy: ModuleType, dtype: object) -> object:
    if dtype is None:
        return None
    requirement = "a type of numpy without Python objects, for instance 'float32' or numpy.int64"
    try:
        converted = numpy.dtype(dtype)
    except (TypeError, ValueError):
        raise ConstructionError("dtype", requirement, f"found {str(dtype)[:40]!r}") from None
    if converted.hasobject:
        raise ConstructionError("dtype", requirement, f"found {str(dtype)[:40]!r}")
    return cast("object", converted)
