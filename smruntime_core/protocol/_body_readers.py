"""The body of an output as a Python value: methods over `smruntime_core.codecs`.

The codecs are imported when a method is called, since most programs use one of them or none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, overload

from ..errors import ResponseError
from ..metadata import Metadata

if TYPE_CHECKING:
    from csv import Dialect

    from numpy import ndarray  # pyright: ignore  # unknown where numpy is not installed
    from pandas import DataFrame  # pyright: ignore  # unknown where pandas is not installed

    from ..payload import JSON

ValueT = TypeVar("ValueT")


class BodyReaders:
    """The body of an output in the formats that models answer with.

    All raise `ResponseError` for a body that is not of that format, and for a content type that
    contradicts the method.
    """

    body: bytes
    content_type: str | None
    metadata: Metadata

    @overload
    def json(self, *, loads: None = None) -> JSON: ...
    @overload
    def json(self, *, loads: Callable[[bytes], ValueT]) -> ValueT: ...
    def json(self, *, loads: Callable[[bytes], ValueT] | None = None) -> JSON | ValueT:
        """Return the JSON value in the body; `loads` may be another parser (`orjson.loads`)."""
        from ..codecs import read_json

        return self._read(read_json, loads=loads)

    def text(self, *, encoding: str | None = None) -> str:
        """Return the body as text, in the charset of its content type or in UTF-8.

        `encoding` is used instead of both.
        """
        from ..codecs import read_text

        return self._read(read_text, encoding=encoding)

    @overload
    def jsonl(self, *, loads: None = None) -> list[JSON]: ...
    @overload
    def jsonl(self, *, loads: Callable[[bytes], ValueT]) -> list[ValueT]: ...
    def jsonl(
        self, *, loads: Callable[[bytes], ValueT] | None = None
    ) -> list[JSON] | list[ValueT] | list[JSON | ValueT]:
        """Return the JSON value of each line; `loads` is as for `json`."""
        from ..codecs import read_jsonl

        return self._read(read_jsonl, loads=loads)

    def csv(
        self, *, delimiter: str | None = None, dialect: str | Dialect | type[Dialect] | None = None
    ) -> list[list[str]]:
        """Return the rows of the body, each a list of cells; `dialect` is as in Python's csv."""
        from ..codecs import read_csv

        return self._read(read_csv, delimiter=delimiter, dialect=dialect)

    # pyright ignores: the two results are unknown where their package is not installed
    def numpy(  # pyright: ignore[reportUnknownParameterType]
        self, *, dtype: object = None
    ) -> ndarray:
        """Return the numbers in the body (npy, JSON or CSV) as an array of type `dtype`.

        Raises `ImportError` if numpy is missing. Python objects in it are never unpickled.
        """
        from ..codecs import read_numpy  # pyright: ignore[reportUnknownVariableType]

        return self._read(read_numpy, dtype=dtype)  # pyright: ignore

    def pandas(  # pyright: ignore[reportUnknownParameterType]
        self, *, header: bool = True
    ) -> DataFrame:
        """Return the table in the body (Parquet, CSV, JSON or JSON Lines).

        `header` tells whether the first line of CSV names the columns. Raises `ImportError` if
        pandas, or pyarrow for Parquet, is missing.
        """
        from ..codecs import read_pandas  # pyright: ignore[reportUnknownVariableType]

        return self._read(read_pandas, header=header)  # pyright: ignore

    def preview(self, *, bytes: int = 200) -> str:
        """Return the beginning of `body` for people: text, or hexadecimal digits.

        What is not printable is escaped, except line ends. Raises `ConstructionError` unless
        `bytes` is from 1 to 1,048,576.
        """
        from ..values._preview import preview

        return preview(self.body, bytes)

    def _read(self, read: Callable[..., ValueT], **options: object) -> ValueT:
        try:
            return read(self.body, self.content_type, **options)
        except ResponseError as error:
            raise error.about(self.metadata) from error.__cause__
