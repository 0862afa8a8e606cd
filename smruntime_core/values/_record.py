"""Frozen records with generated constructors: every value that the core takes or returns.

Declared like dataclasses, which would add 40 ms to the import. Instances store only what was given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self, TypeAlias, TypeVar, cast, dataclass_transform

from ._constructor import REQUIRED, make_constructor
from ._hooks import function_name

RecordT = TypeVar("RecordT")
Check: TypeAlias = Callable[[str, object], object]


class Field:
    """One member; `check(name, value)` returns what to store, or raises `ConstructionError`."""

    def __init__(self, default: object, check: Check | None, secret: bool, compare: bool) -> None:
        self.name, self.annotation, self.kw_only = "", "", True
        self.default, self.check, self.secret, self.compare = default, check, secret, compare

    def show(self, value: object) -> str:
        """Return what a repr shows of `value`: never a body, never a secret."""
        if isinstance(value, bytes | bytearray | memoryview):
            return f"<{len(cast('bytes', value))} bytes>"
        if self.secret and value is not None:
            return "<redacted>"
        return function_name(value) if callable(value) else repr(value)


def field(
    default: Any = REQUIRED, check: Check | None = None, secret: bool = False, compare: bool = True
) -> Any:  # it stands in for the type of the member
    """Describe a member where a bare default is not enough."""
    return Field(default, check, secret, compare)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Record:
    """The base of all records: built by position or keyword, equal by value, never assigned to."""

    _fields: ClassVar[tuple[Field, ...]] = ()
    _suggests: ClassVar[bool] = False  # true: users construct it, and misspell its members

    def __init_subclass__(cls, *, kw_only: bool = False) -> None:
        super().__init_subclass__()
        annotated = [(n, t) for n, t in cls.__annotations__.items() if "ClassVar" not in str(t)]
        cls._fields = (*cls._fields, *[_declare(cls, *member) for member in annotated])
        if cls._fields:
            setattr(cls, "__init__", _Constructor(cls, kw_only))  # noqa: B010 - mypy: an override

    def replace(self, **changes: object) -> Self:
        """Return a copy with some members changed, checked like a new record."""
        return type(self)(**{**self.__dict__, **changes})

    def _check_members(self) -> None:
        """Raise `ConstructionError` if the members do not fit together."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: use replace({name}=...)")

    def __delattr__(self, name: str) -> None:
        setattr(self, name, None)

    def _values(self) -> tuple[object, ...]:
        return tuple([getattr(self, f.name) for f in self._fields if f.compare])

    def __eq__(self, other: object) -> bool:
        return self._values() == other._values() if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def _shown(self) -> dict[str, str]:
        """Return what a repr shows: the members that are not their defaults."""
        given = [(f, self.__dict__.get(f.name, f.default)) for f in self._fields if f.compare]
        return {f.name: f.show(value) for f, value in given if value is not f.default}

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={text}" for name, text in self._shown().items())
        return f"{type(self).__name__}({shown})"


def unchecked(kind: type[RecordT], values: dict[str, object]) -> RecordT:
    """Return a record of values that rules for callers do not apply to, such as a server's."""
    record = object.__new__(kind)
    record.__dict__.update(values)
    return record


def _declare(cls: type, name: str, annotation: str) -> Field:
    """Make a `Field` of what the class body says of `name`, and leave its default on the class."""
    declared = cls.__dict__.get(name, REQUIRED)
    member = declared if isinstance(declared, Field) else Field(declared, None, False, True)
    member.name, member.annotation = name, annotation
    if member.default is not REQUIRED:
        setattr(cls, name, member.default)
    elif name in cls.__dict__:
        delattr(cls, name)
    return member


class _Constructor:
    """A generator of `__init__` at first use: the import takes 26 ms, with all of them 31."""

    def __init__(self, cls: type[Record], kw_only: bool) -> None:
        self._cls, self._kw_only = cls, kw_only

    def __get__(self, instance: object, owner: type | None = None) -> object:
        cls, fields = self._cls, self._cls._fields
        constructor = make_constructor(
            cls.__qualname__, fields, kw_only=self._kw_only, suggests=cls._suggests
        )
        setattr(cls, "__init__", constructor)  # noqa: B010 - as above
        return constructor.__get__(instance, owner)
