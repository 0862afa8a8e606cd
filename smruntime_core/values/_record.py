"""Frozen records with generated constructors: every value that the core takes or returns.

Declared like dataclasses, which would add 40 ms to the import. Instances store only what was given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self, TypeAlias, TypeVar, cast, dataclass_transform

RecordT = TypeVar("RecordT")
Check: TypeAlias = Callable[[str, object], object]
REQUIRED: object = object()  # the default of a member without one
# `del`: the traceback of an error must not show arguments, which may be secret.
_INIT_TEMPLATE = """
def __init__({}):
 values = self.__dict__
 try:
  {}
  self._check_members()
 except ValueError as refusal:
  del self, values, {}
  raise refusal.with_traceback(None)
"""


class Field:
    """One member; `check(name, value)` returns what to store, or raises `ConstructionError`."""

    def __init__(self, default: object, check: Check | None, secret: bool, compare: bool) -> None:
        self.name, self.annotation = "", ""
        self.default, self.check, self.secret, self.compare = default, check, secret, compare

    def show(self, value: object) -> str:
        """Return what a repr shows of `value`: never a body, never a secret."""
        if isinstance(value, bytes | bytearray | memoryview):
            return f"<{len(cast('bytes', value))} bytes>"
        return "<redacted>" if self.secret and value is not None else repr(value)


def field(
    default: Any = REQUIRED, check: Check | None = None, secret: bool = False, compare: bool = True
) -> Any:  # it stands in for the type of the member
    """Describe a member where a bare default is not enough."""
    return Field(default, check, secret, compare)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Record:
    """The base of all records: built by position or keyword, equal by value, never assigned to."""

    _fields: ClassVar[tuple[Field, ...]] = ()

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

    def __repr__(self) -> str:
        given = [(f, self.__dict__.get(f.name, f.default)) for f in self._fields if f.compare]
        shown = [f"{f.name}={f.show(value)}" for f, value in given if value is not f.default]
        return f"{type(self).__name__}({', '.join(shown)})"


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
        scope, parameters, body = dict[str, Any](), ["self", *["*"] * self._kw_only], list[str]()
        for f in self._cls._fields:
            scope |= {f"check_{f.name}": f.check, f"default_{f.name}": f.default}
            checked = f"check_{f.name}({f.name!r}, {f.name})" if f.check else f.name
            store = f"values[{f.name!r}] = {checked}"
            required = f.default is REQUIRED
            default = "None" if f.default is None else f"default_{f.name}"
            parameters.append(f.name if required else f"{f.name}={default}")
            body.append(store if required else f"if {f.name} is not {default}: {store}")
        types = {f.name: f.annotation for f in self._cls._fields}
        code = _INIT_TEMPLATE.format(", ".join(parameters), "\n  ".join(body), ", ".join(types))
        exec(code, scope)  # noqa: S102 - our own names
        function = scope["__init__"]
        function.__qualname__ = f"{self._cls.__qualname__}.__init__"
        function.__annotations__ = types
        setattr(self._cls, "__init__", function)  # noqa: B010 - as above
        return function.__get__(instance, owner)
