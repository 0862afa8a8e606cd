"""JSON as `json.dumps` writes it, without its extensions (`NaN`, `Infinity`) unless allowed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, TypeVar, cast, overload

from ..errors import ConstructionError, ResponseError
from ..values._rules import check_flag
from ._content_type import Method, checked_format
from ._encoded import EncodedBody, check_callable
from ._text import convert_to_utf_8, encode_text

if TYPE_CHECKING:
    from ..payload import JSON

ValueT = TypeVar("ValueT")

_BLANKS = " \t\r\n"


def as_json(
    obj: object,
    /,
    *,
    default: Callable[[object], object] | None = None,
    separators: tuple[str, str] | None = None,
    ensure_ascii: bool = True,
    sort_keys: bool = False,
    allow_nan: bool = False,
    content_type: str = "application/json",
    accept: str = "application/json",
) -> EncodedBody:
    """Return the members of a request with `obj` as JSON as its body.

    numpy arrays and scalars within `obj` are written as lists and numbers. `default` converts what
    JSON does not have, `separators` are written between items and after keys, as in `json.dumps`.

    >>> as_json([1, 2], separators=(",", ":"))["body"]
    b'[1,2]'
    """
    serialize = make_serializer("obj", default, separators, ensure_ascii, sort_keys, allow_nan)
    return encode_text("obj", serialize(obj), "utf-8", content_type, accept)


@overload
def read_json(body: bytes, content_type: str | None, *, loads: None = None) -> JSON: ...
@overload
def read_json(
    body: bytes, content_type: str | None, *, loads: Callable[[bytes], ValueT]
) -> ValueT: ...
def read_json(
    body: bytes, content_type: str | None, *, loads: Callable[[bytes], ValueT] | None = None
) -> JSON | ValueT:
    """Return the JSON value of a response.

    `loads` is called with the JSON as UTF-8 and may be another parser (`orjson.loads`); what it
    raises is raised. `loads=json.loads` also reads `NaN` and `Infinity`, which are not JSON.
    """
    checked_format(content_type, "json")
    return make_parser("json", loads)(convert_to_utf_8(body, content_type, "json"))


def make_serializer(
    member: str,
    default: Callable[[object], object] | None,
    separators: tuple[str, str] | None,
    ensure_ascii: bool,
    sort_keys: bool,
    allow_nan: bool,
) -> Callable[[object], str]:
    """Return a function that writes JSON; its errors name the argument `member`."""
    from json import JSONEncoder

    if default is not None:
        check_callable("default", default, "a value to one that JSON has, for instance default=str")
    encode_value = JSONEncoder(
        default=default or _ArrayConverter(member).convert,
        separators=_checked_separators(separators),
        ensure_ascii=check_flag("ensure_ascii", ensure_ascii),
        sort_keys=check_flag("sort_keys", sort_keys),
        allow_nan=check_flag("allow_nan", allow_nan),
    ).encode

    def serialize(value: object) -> str:
        try:
            return encode_value(value)
        except ConstructionError:
            raise
        except RecursionError:
            raise ConstructionError(member, "nested less deeply", "it is nested too deep") from None
        except TypeError as error:
            requirement = "made of JSON values with str keys; pass default= for other values"
            raise ConstructionError(
                member, requirement, f"found {type(value).__name__}: {error}"
            ) from error
        except ValueError as error:
            requirement = "finite and without cycles; allow_nan=True writes NaN, which is not JSON"
            raise ConstructionError(
                member, requirement, f"found {type(value).__name__}: {error}"
            ) from error

    return serialize


@overload
def make_parser(method: Method, loads: None) -> Callable[[bytes], JSON]: ...
@overload
def make_parser(
    method: Method, loads: Callable[[bytes], ValueT] | None
) -> Callable[[bytes], JSON | ValueT]: ...
def make_parser(
    method: Method, loads: Callable[[bytes], ValueT] | None
) -> Callable[[bytes], JSON | ValueT]:
    """Return `loads`, or a function that reads JSON and raises `ResponseError` for the rest."""
    if loads is not None:
        check_callable("loads", loads, "bytes to a value, for instance json.loads")
        return loads

    from json import JSONDecoder

    decode_value = cast(
        "Callable[[str], JSON]", JSONDecoder(parse_constant=_refuse_constant).decode
    )

    def parse_body(body: bytes) -> JSON:
        try:
            return decode_value(body.decode())
        except UnicodeDecodeError as error:
            raise ResponseError(
                f"{method}(): the body is not UTF-8: {error.reason} at byte {error.start}"
            ) from None
        except ValueError as error:
            raise ResponseError(
                f"{method}(): the body is not JSON: {error}; call .text() to see it"
            ) from None
        except RecursionError:
            raise ResponseError(
                f"{method}(): the JSON is nested too deep; use the bytes in .body"
            ) from None

    return parse_body


class _ArrayConverter:
    """The default conversion of values that JSON does not have."""

    def __init__(self, member: str) -> None:
        self._argument_name = member

    def convert(self, value: object) -> object:
        """Return an array or scalar as lists and numbers; raise `ConstructionError` otherwise."""
        if callable(to_list := getattr(value, "tolist", None)):
            return to_list()
        requirement = "made of JSON values and arrays; convert it first, or pass default="
        found = f"found {type(value).__name__} in it"
        raise ConstructionError(self._argument_name, requirement, found)


def _checked_separators(separators: object) -> tuple[str, str] | None:
    if separators is None:
        return None
    requirement = "two strings, a comma and a colon with or without blanks, such as (',', ':')"
    if not isinstance(separators, tuple):
        raise ConstructionError("separators", requirement, f"found {type(separators).__name__}")
    separator_pair = cast("tuple[object, ...]", separators)
    match separator_pair:
        case (str(item), str(key)) if (item.strip(_BLANKS), key.strip(_BLANKS)) == (",", ":"):
            return item, key
        case _:
            raise ConstructionError("separators", requirement, f"found {str(separator_pair)[:40]}")


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON value; pass loads=json.loads to read it")
