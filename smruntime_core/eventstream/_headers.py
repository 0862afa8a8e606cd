"""The header block of a frame: names and typed values, one after the other until the block ends.

    ┌──────┬───────────────┬──────┬─────────────────────────────┐
    │ size │ name, UTF-8   │ type │ value                       │      every number is big-endian
    │  u8  │ 1–255 bytes   │  u8  │ by its type                 │
    └──────┴───────────────┴──────┴─────────────────────────────┘

`TYPES` holds the ten types; the type's number is its place there, and both directions read it. Each number of the wire has a
Python type of its own, a subclass of `int` that remembers its width, so what was decoded is encoded to the very same bytes.

Source: "Event Stream encoding" (vnd.amazon.eventstream) in the Smithy specification, limits included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, NoReturn, Self, TypeAlias

from ..errors import ConstructionError, ResponseError, StreamError

if TYPE_CHECKING:
    import datetime as dt
    from uuid import UUID

MAX_NAME: Final = 255
MAX_VALUE: Final = 32_767
MAX_HEADERS: Final = 128 * 1024

HeaderValue: TypeAlias = "bool | int | bytes | str | UUID"
"""What a header can hold. A decoded number is a `Byte`, `Short`, `Integer`, `Long` or `Timestamp`."""


def _fits(value: int, size: int) -> bool:
    limit = 1 << (8 * size - 1)
    return -limit <= value < limit


class _Sized(int):
    """A signed number of `size` bytes; raises `ConstructionError` if it does not fit."""

    size: ClassVar[int] = 8

    def __new__(cls, value: int) -> Self:
        if not _fits(value, cls.size):
            limit = 1 << (8 * cls.size - 1)
            raise ConstructionError(cls.__name__, f"{-limit} to {limit - 1}")
        return super().__new__(cls, value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({int(self)})"

    __str__ = int.__repr__


class Byte(_Sized):
    """A number of one byte, -128 to 127."""

    size = 1


class Short(_Sized):
    """A number of two bytes."""

    size = 2


class Integer(_Sized):
    """A number of four bytes; a plain `int` that fits is sent as one."""

    size = 4


class Long(_Sized):
    """A number of eight bytes; a plain `int` that needs it is sent as one."""


class Timestamp(_Sized):
    """Milliseconds since 1970-01-01T00:00:00Z."""

    @property
    def datetime(self) -> dt.datetime:
        """The same moment, in UTC; raises `ResponseError` outside the years 1 to 9999, all that a `datetime` can say."""
        from datetime import UTC, datetime, timedelta

        try:
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(self))
        except OverflowError:
            raise ResponseError(
                f"a timestamp of {int(self)} ms lies outside the years 1 to 9999"
            ) from None


# ── the ten types ──


class WireType(NamedTuple):
    """One row of `TYPES`. `size` counts the value's bytes; None: a u16 before the value does."""

    name: str
    size: int | None
    read: Callable[[bytes], HeaderValue]
    write: Callable[[Any], bytes]
    python: type | None = None  # None: `_uncommon` knows


def _constant(name: str, value: bool) -> WireType:
    def read(raw: bytes) -> HeaderValue:
        return value

    def write(value: bool) -> bytes:
        return b""

    return WireType(name, 0, read, write)


def _number(name: str, kind: type[_Sized]) -> WireType:
    def read(raw: bytes) -> HeaderValue:
        return int.__new__(kind, int.from_bytes(raw, "big", signed=True))

    def write(value: int) -> bytes:
        return value.to_bytes(kind.size, "big", signed=True)

    return WireType(name, kind.size, read, write, kind)


def _read_uuid(raw: bytes) -> UUID:
    from uuid import UUID

    return UUID(bytes=raw)


def _write_uuid(value: UUID) -> bytes:
    return value.bytes


TYPES: Final = (
    _constant("true", True),
    _constant("false", False),
    _number("byte", Byte),
    _number("short", Short),
    _number("integer", Integer),
    _number("long", Long),
    WireType("byte array", None, bytes, bytes, bytes),
    WireType("string", None, bytes.decode, str.encode, str),
    _number("timestamp", Timestamp),
    WireType("uuid", 16, _read_uuid, _write_uuid),
)
_CODES: Final = {row.python: code for code, row in enumerate(TYPES) if row.python}
_TRUE, _FALSE, _INTEGER, _LONG, _UUID = 0, 1, 4, 5, 9


def _code(value: object) -> int | None:
    """The type that carries `value`; None if there is none."""
    code = _CODES.get(type(value))
    return code if code is not None else _uncommon(value)


def _uncommon(value: object) -> int | None:
    """The same for what `_CODES` does not list: booleans, plain numbers, UUIDs, subclasses."""
    if isinstance(value, bool):
        return _TRUE if value else _FALSE
    for kind, code in _CODES.items():
        if isinstance(value, kind):
            return code
    if isinstance(value, int):
        return (
            _INTEGER if _fits(value, Integer.size) else _LONG if _fits(value, Long.size) else None
        )
    from uuid import UUID

    return _UUID if isinstance(value, UUID) else None


# ── writing ──


def encode_headers(headers: Mapping[str, HeaderValue]) -> bytes:
    """The header block alone, in the order of `headers`: what event signing hashes.

    Raises `ConstructionError` that names the header and the rule it breaks.
    """
    block = b"".join([_encode_header(name, value) for name, value in headers.items()])
    if len(block) > MAX_HEADERS:
        raise ConstructionError(
            "headers", f"at most {MAX_HEADERS} bytes when encoded", f"they have {len(block)}"
        )
    return block


def _encode_header(name: str, value: HeaderValue) -> bytes:
    key = _encode_name(name)
    code = _code(value)
    if code is None:
        _refuse_value(name, value)
    row = TYPES[code]
    try:
        raw = row.write(value)
    except UnicodeEncodeError:
        raise ConstructionError(
            f"header {name!r}", "text that UTF-8 can carry", "it has a lone surrogate"
        ) from None
    if row.size is not None:
        return b"%c%b%c%b" % (len(key), key, code, raw)
    if len(raw) > MAX_VALUE:
        raise ConstructionError(
            f"header {name!r}", f"at most {MAX_VALUE} bytes", f"it has {len(raw)}"
        )
    return b"%c%b%c%b%b" % (len(key), key, code, len(raw).to_bytes(2, "big"), raw)


def _encode_name(name: str) -> bytes:
    rule = f"1 to {MAX_NAME} bytes of UTF-8"
    if not isinstance(name, str):
        raise ConstructionError("header name", f"a str of {rule}", f"found {type(name).__name__}")
    try:
        key = name.encode()
    except UnicodeEncodeError:
        raise ConstructionError("header name", rule, "it has a lone surrogate") from None
    if not 1 <= len(key) <= MAX_NAME:
        raise ConstructionError("header name", rule, f"it has {len(key)} bytes")
    return key


def _refuse_value(name: str, value: object) -> NoReturn:
    if isinstance(value, int):
        raise ConstructionError(f"header {name!r}", "a number of at most 64 bits with its sign")
    raise ConstructionError(
        f"header {name!r}",
        "a bool, int, bytes, str, Timestamp or UUID",
        f"found {type(value).__name__}",
    )


# ── reading ──


def decode_headers(block: bytes) -> Mapping[str, HeaderValue]:
    """The headers of a whole block, in their order, not to be changed; raises `StreamError`."""
    headers: dict[str, HeaderValue] = {}
    position, end = 0, len(block)
    while position < end:
        start = position + 1
        position = start + block[position]
        if position >= end:
            raise StreamError("a header's name runs past the end of the header block")
        name = _decode_name(block[start:position])
        if name in headers:
            raise StreamError(f"the header {name!r} is there twice")
        code = block[position]
        if code >= len(TYPES):
            raise StreamError(f"the header {name!r} is of type {code}, which does not exist")
        row = TYPES[code]
        start, size = position + 1, row.size
        if size is None:
            size = int.from_bytes(block[start : start + 2], "big")
            start += 2
        position = start + size
        if position > end:
            raise StreamError(
                f"the header {name!r} ({row.name}) runs past the end of the header block"
            )
        if size > MAX_VALUE:
            raise StreamError(f"the header {name!r} has {size} bytes; {MAX_VALUE} are allowed")
        try:
            headers[name] = row.read(block[start:position])
        except UnicodeDecodeError:
            raise StreamError(f"the header {name!r} is not UTF-8") from None
    return MappingProxyType(headers)


def _decode_name(raw: bytes) -> str:
    if not raw:
        raise StreamError("a header has an empty name")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise StreamError("a header's name is not UTF-8") from None
