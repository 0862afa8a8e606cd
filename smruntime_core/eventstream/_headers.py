"""The header block of a frame: names and typed values, one after another until the block ends.

    ┌──────┬───────────────┬──────┬─────────────────────────────┐
    │ size │ name, UTF-8   │ type │ value                       │
    │  u8  │ 1–255 bytes   │  u8  │ by its type                 │
    └──────┴───────────────┴──────┴─────────────────────────────┘

Every number is big-endian. `WIRE_TYPES` lists the ten types by number, and both directions read it.
Each number on the wire has a Python type of its own, a subclass of `int` that knows its width, so a
decoded header is encoded to the very same bytes.

Source: "Event Stream encoding" (vnd.amazon.eventstream) in the Smithy specification, with limits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, NoReturn, Self, TypeAlias

from ..errors import ConstructionError, ResponseError, StreamError

if TYPE_CHECKING:
    import datetime as dt
    from uuid import UUID

MAX_NAME_SIZE: Final = 255
MAX_VALUE_SIZE: Final = 32_767
MAX_HEADERS: Final = 128 * 1024

HeaderValue: TypeAlias = "bool | int | bytes | str | UUID"
"""A value of a header; a decoded number is a `Byte`, `Short`, `Integer`, `Long` or `Timestamp`."""


def _fits_in(value: int, size: int) -> bool:
    number_limit = 1 << (8 * size - 1)
    return -number_limit <= value < number_limit


class _SizedInteger(int):
    """A signed number of `size` bytes; raises `ConstructionError` if it does not fit."""

    size: ClassVar[int] = 8

    def __new__(cls, value: int) -> Self:
        if not _fits_in(value, cls.size):
            number_limit = 1 << (8 * cls.size - 1)
            raise ConstructionError(cls.__name__, f"{-number_limit} to {number_limit - 1}")
        return super().__new__(cls, value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({int(self)})"

    def __str__(self) -> str:
        return int.__repr__(self)


class Byte(_SizedInteger):
    """A number of one byte, -128 to 127."""

    size = 1


class Short(_SizedInteger):
    """A number of two bytes."""

    size = 2


class Integer(_SizedInteger):
    """A number of four bytes; a plain `int` that fits is sent as one."""

    size = 4


class Long(_SizedInteger):
    """A number of eight bytes; a plain `int` that needs it is sent as one."""


class Timestamp(_SizedInteger):
    """Milliseconds since 1970-01-01T00:00:00Z."""

    @property
    def datetime(self) -> dt.datetime:
        """Return the time in UTC; raises `ResponseError` outside the years 1 to 9999."""
        from datetime import UTC, datetime, timedelta

        try:
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(self))
        except OverflowError:
            raise ResponseError(
                f"a timestamp of {int(self)} ms lies outside the years 1 to 9999"
            ) from None


# ── the ten types ──


class WireType(NamedTuple):
    """One of the ten types: how its values are read and written.

    A value has `size` bytes, or a u16 before it says how many (None). `python_type` is None where
    `_find_uncommon_code` decides.
    """

    name: str
    size: int | None
    read: Callable[[bytes], HeaderValue]
    write: Callable[[Any], bytes]
    python_type: type | None = None


def _boolean_type(name: str, value: bool) -> WireType:
    def read(encoded: bytes) -> HeaderValue:
        return value

    def write(value: bool) -> bytes:
        return b""

    return WireType(name, 0, read, write)


def _number_type(name: str, integer_type: type[_SizedInteger]) -> WireType:
    def read(encoded: bytes) -> HeaderValue:
        return int.__new__(integer_type, int.from_bytes(encoded, "big", signed=True))

    def write(value: int) -> bytes:
        return value.to_bytes(integer_type.size, "big", signed=True)

    return WireType(name, integer_type.size, read, write, integer_type)


def _read_uuid(encoded: bytes) -> UUID:
    from uuid import UUID

    return UUID(bytes=encoded)


def _write_uuid(value: UUID) -> bytes:
    return value.bytes


WIRE_TYPES: Final[tuple[WireType, ...]] = (
    _boolean_type("true", True),
    _boolean_type("false", False),
    _number_type("byte", Byte),
    _number_type("short", Short),
    _number_type("integer", Integer),
    _number_type("long", Long),
    WireType("byte array", None, bytes, bytes, bytes),
    WireType("string", None, bytes.decode, str.encode, str),
    _number_type("timestamp", Timestamp),
    WireType("uuid", 16, _read_uuid, _write_uuid),
)
_TYPE_CODES: Final[dict[type, int]] = {
    wire_type.python_type: type_code
    for type_code, wire_type in enumerate(WIRE_TYPES)
    if wire_type.python_type
}
_TRUE_CODE, _FALSE_CODE, _INTEGER_CODE, _LONG_CODE, _UUID_CODE = 0, 1, 4, 5, 9


def _find_code(value: object) -> int | None:
    """Return the code of the type that carries `value`; None if there is none."""
    type_code = _TYPE_CODES.get(type(value))
    return type_code if type_code is not None else _find_uncommon_code(value)


def _find_uncommon_code(value: object) -> int | None:
    """Return the code of a value whose type `_TYPE_CODES` does not list, such as a bool."""
    if isinstance(value, bool):
        return _TRUE_CODE if value else _FALSE_CODE
    for python_type, type_code in _TYPE_CODES.items():
        if isinstance(value, python_type):
            return type_code
    if isinstance(value, int):
        if _fits_in(value, Integer.size):
            return _INTEGER_CODE
        return _LONG_CODE if _fits_in(value, Long.size) else None
    from uuid import UUID

    return _UUID_CODE if isinstance(value, UUID) else None


# ── writing ──


def encode_headers(headers: Mapping[str, HeaderValue]) -> bytes:
    """Return the header block alone, in the order of `headers`: what event signing hashes.

    Raises `ConstructionError` that names the header and the rule that it breaks.
    """
    header_block = b"".join([_encode_header(name, value) for name, value in headers.items()])
    if len(header_block) > MAX_HEADERS:
        raise ConstructionError(
            "headers",
            f"at most {MAX_HEADERS} bytes when encoded",
            f"they have {len(header_block)} bytes",
        )
    return header_block


def _encode_header(name: str, value: HeaderValue) -> bytes:
    encoded_name = _encode_name(name)
    type_code = _find_code(value)
    if type_code is None:
        _refuse_value(name, value)
    wire_type = WIRE_TYPES[type_code]
    try:
        encoded_value = wire_type.write(value)
    except UnicodeEncodeError:
        raise ConstructionError(
            f"header {name!r}", "text that UTF-8 can carry", "it has a lone surrogate"
        ) from None
    if wire_type.size is not None:
        return b"%c%b%c%b" % (len(encoded_name), encoded_name, type_code, encoded_value)
    value_size = len(encoded_value)
    if value_size > MAX_VALUE_SIZE:
        raise ConstructionError(
            f"header {name!r}", f"at most {MAX_VALUE_SIZE} bytes", f"it has {value_size} bytes"
        )
    size_field = value_size.to_bytes(2, "big")
    return b"%c%b%c%b%b" % (len(encoded_name), encoded_name, type_code, size_field, encoded_value)


def _encode_name(name: str) -> bytes:
    requirement = f"1 to {MAX_NAME_SIZE} bytes of UTF-8"
    if not isinstance(name, str):
        raise ConstructionError(
            "header name", f"a str of {requirement}", f"found {type(name).__name__}"
        )
    try:
        encoded_name = name.encode()
    except UnicodeEncodeError:
        raise ConstructionError("header name", requirement, "it has a lone surrogate") from None
    if not 1 <= len(encoded_name) <= MAX_NAME_SIZE:
        raise ConstructionError("header name", requirement, f"it has {len(encoded_name)} bytes")
    return encoded_name


def _refuse_value(name: str, value: object) -> NoReturn:
    if isinstance(value, int):
        raise ConstructionError(f"header {name!r}", "a number of at most 64 bits with its sign")
    requirement = "a bool, int, bytes, str, Timestamp or UUID"
    raise ConstructionError(f"header {name!r}", requirement, f"found {type(value).__name__}")


# ── reading ──


def decode_headers(header_block: bytes) -> Mapping[str, HeaderValue]:
    """Return the headers of a whole block, in order and read-only; raises `StreamError`."""
    headers: dict[str, HeaderValue] = {}
    block_position, block_end = 0, len(header_block)
    while block_position < block_end:
        name_start = block_position + 1
        block_position = name_start + header_block[block_position]
        if block_position >= block_end:
            raise StreamError("a header's name runs past the end of the header block")
        name = _decode_name(header_block[name_start:block_position])
        if name in headers:
            raise StreamError(f"the header {name!r} is there twice")
        type_code = header_block[block_position]
        if type_code >= len(WIRE_TYPES):
            raise StreamError(f"the header {name!r} is of type {type_code}, which does not exist")
        wire_type = WIRE_TYPES[type_code]
        value_start, value_size = block_position + 1, wire_type.size
        if value_size is None:
            value_size = int.from_bytes(header_block[value_start : value_start + 2], "big")
            value_start += 2
        block_position = value_start + value_size
        if block_position > block_end:
            raise StreamError(
                f"the header {name!r} ({wire_type.name}) runs past the end of the header block"
            )
        if value_size > MAX_VALUE_SIZE:
            raise StreamError(
                f"the header {name!r} has {value_size} bytes; {MAX_VALUE_SIZE} are allowed"
            )
        try:
            headers[name] = wire_type.read(header_block[value_start:block_position])
        except UnicodeDecodeError:
            raise StreamError(f"the header {name!r} is not UTF-8") from None
    return MappingProxyType(headers)


def _decode_name(encoded_name: bytes) -> str:
    if not encoded_name:
        raise StreamError("a header has an empty name")
    try:
        return encoded_name.decode()
    except UnicodeDecodeError:
        raise StreamError("a header's name is not UTF-8") from None
