"""The constructors of records: functions written as code, since a loop over members is too slow.

That of a record, on the left, and of one that users construct and misspell:

    def __init__(self, region):            def __init__(self, region=required, **unknown):
     values = self.__dict__                 values = self.__dict__
     try:                                   try:
      values['region'] = …                   if unknown: refuse_unknown(unknown, members)
      self._check_members()                  values['region'] = …
     except ValueError as refusal:           self._check_members()
      del self, values, region              except (ValueError, TypeError) as refusal:
      raise refusal.with_traceback(None)     missing = …
                                             del self, values, region, unknown
                                             raise name_missing(refusal, missing)…

The locals are deleted because a traceback keeps them, and some are secret. `unknown` collects
arguments so that the error can say what they mean; Python then sees no argument missing, but the
rule of each required member refuses `required`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import describe_unexpected

if TYPE_CHECKING:
    from ._record import Field

REQUIRED: object = object()  # the default of a member without one


def make_constructor(
    record_name: str, fields: Sequence[Field], *, kw_only: bool, suggests: bool
) -> Callable[..., None]:
    """Return the `__init__` of a record; one that `suggests` explains unknown arguments."""
    parameters = _parameters(fields, kw_only)
    lines = _suggesting_lines(fields, parameters) if suggests else _lines(fields, parameters)
    scope: dict[str, Any] = {"required": REQUIRED, "members": [f.name for f in fields]}
    scope |= {"refuse_unknown": _refuse_unknown, "name_missing": _name_missing}
    for f in fields:
        scope |= {f"check_{f.name}": f.check, f"default_{f.name}": f.default}
    exec("\n".join(lines), scope)  # noqa: S102 - our own names
    constructor: Callable[..., None] = scope["__init__"]
    constructor.__qualname__ = f"{record_name}.__init__"
    constructor.__annotations__ = {f.name: f.annotation for f in fields}
    if suggests:  # for `inspect.signature` and `help`
        scope["shown"].__annotations__ = constructor.__annotations__
        constructor.__dict__["__wrapped__"] = scope["shown"]
    return constructor


def _lines(fields: Sequence[Field], parameters: list[str]) -> list[str]:
    names = [f.name for f in fields]
    return [
        f"def __init__({', '.join(parameters)}):",
        " values = self.__dict__",
        " try:",
        *[f"  {_store_line(f)}" for f in fields],
        "  self._check_members()",
        " except ValueError as refusal:",
        f"  del self, values, {', '.join(names)}",
        "  raise refusal.with_traceback(None)",
    ]


def _suggesting_lines(fields: Sequence[Field], parameters: list[str]) -> list[str]:
    names = [f.name for f in fields]
    required = [f.name for f in fields if f.default is REQUIRED]
    values = ", ".join(f"{name!r}: {name}" for name in required)
    optional = [f"{name}=required" if name in required else name for name in parameters]
    return [
        f"def __init__({', '.join([*optional, '**unknown'])}):",
        " values = self.__dict__",
        " try:",
        "  if unknown: refuse_unknown(unknown, members)",
        *[f"  {_store_line(f)}" for f in fields],
        "  self._check_members()",
        " except (ValueError, TypeError) as refusal:",
        f"  missing = [name for name, value in {{{values}}}.items() if value is required]",
        f"  del self, values, {', '.join([*names, 'unknown'])}",
        "  raise name_missing(refusal, missing).with_traceback(None)",
        f"def shown({', '.join(parameters)}): pass",
    ]


def _parameters(fields: Sequence[Field], kw_only: bool) -> list[str]:
    parameters = ["self"]
    for f in fields:
        if kw_only and f.kw_only and "*" not in parameters:
            parameters.append("*")
        parameters.append(f.name if f.default is REQUIRED else f"{f.name}={_default(f)}")
    return parameters


def _default(f: Field) -> str:
    return "None" if f.default is None else f"default_{f.name}"


def _store_line(f: Field) -> str:
    checked = f"check_{f.name}({f.name!r}, {f.name})" if f.check else f.name
    store = f"values[{f.name!r}] = {checked}"
    return store if f.default is REQUIRED else f"if {f.name} is not {_default(f)}: {store}"


def _refuse_unknown(unknown: dict[str, object], members: list[str]) -> NoReturn:
    raise TypeError(describe_unexpected(unknown, members))


def _name_missing(refusal: Exception, missing: list[str]) -> Exception:
    """Return `refusal`, or in its place the error about required members that are not given."""
    if not missing or isinstance(refusal, TypeError):
        return refusal
    arguments = ", ".join(f"{name}=" for name in missing)
    error = TypeError(f"missing argument{'s' * (len(missing) > 1)}: pass {arguments}")
    error.__suppress_context__ = True  # a traceback would begin with the refusal of `required`
    return error
