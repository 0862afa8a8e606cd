"""Frozen records: the one shape of every value that crosses a door of the core.

A record is written like a dataclass and behaves like one, at a tenth of the cost: importing `dataclasses`
takes 10 ms and each class half a millisecond, which is most of the budget of this whole package. One `__init__`
is generated per class when it is first needed, so a missing or misspelt argument is Python's own `TypeError` and `inspect.signature` works.

Values live in the instance's `__dict__`. A `sparse` record stores only those that were given: a member left out is found on
the class, as its default, and "which members did the caller set" is `vars(record)`, which the serialiser reads.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, ClassVar, TypeAlias, TypeVar, cast, dataclass_transform

T = TypeVar("T")
Check: TypeAlias = Callable[[str, object], object]


class _Required:
    """Marks a member without a default."""

    def __repr__(self) -> str:
        return "<required>"


REQUIRED = _Required()


class Field:
    """One member of a record: its default, the check that makes a given value fit, and what a repr may show of it.

    `check(member, value)` returns the value to store, or raises `ConstructionError` to refuse it.
    """

    name: str = ""

    takes_bytes = False  # plain bytes need no check at all

    def __init__(self, *, default: object = REQUIRED, check: Check | None = None, secret: bool = False, compare: bool = True) -> None:
        self.default = default
        self.check = check
        self.secret = secret
        self.compare = compare

    @property
    def fits(self) -> Callable[[str], object] | None:
        """If true of a plain str, that value needs no other check."""
        return None

    def show(self, value: object) -> str:
        """What a repr says of `value`: never a body, never a secret."""
        if isinstance(value, bytes | bytearray | memoryview):
            return f"<{len(cast('bytes', value))} bytes>"
        return "<redacted>" if self.secret and value is not None else repr(value)


def field(*, default: Any = REQUIRED, check: Check | None = None, secret: bool = False, compare: bool = True) -> Any:
    """Describe a member where a bare default is not enough. (`Any`: it stands in for whatever the member is.)"""
    return Field(default=default, check=check, secret=secret, compare=compare)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Record:
    """Base of all records: positional or keyword construction, equality by value, no assignment afterwards."""

    fields: ClassVar[tuple[Field, ...]] = ()
    sparse: ClassVar[bool] = False

    def __init_subclass__(cls, *, kw_only: bool = False, loose: bool = False) -> None:
        super().__init_subclass__()
        if loose:  # frozen for type checkers only, as are its subclasses: for what lives no longer than a moment
            setattr(cls, "__setattr__", object.__setattr__)  # noqa: B010 - a plain assignment is an override to type checkers
            setattr(cls, "__delattr__", object.__delattr__)  # noqa: B010 - as above
        declared = [_declare(cls, name) for name, kind in cls.__annotations__.items() if "ClassVar" not in str(kind)]
        cls.fields = (*cls.fields, *declared)
        if cls.fields:
            setattr(cls, "__init__", _Constructor(cls, kw_only))  # noqa: B010 - a plain assignment is an override to type checkers

    @classmethod
    def trusted(cls: type[T], values: dict[str, object]) -> T:
        """A record of values that need no check: what a server sent is not held to the rules for callers. It keeps the very dict."""
        record = _new(cls)
        _set_values(record, values)
        return record

    def but(self: T, **changes: object) -> T:
        """The same record with some members changed; like `trusted`, it checks nothing."""
        record = object.__new__(type(self))
        record.__dict__.update(self.__dict__, **changes)
        return record

    def complete(self, member: str, value: object) -> None:
        """Set a member of a record that nobody else has seen yet; like `trusted`, it checks nothing."""
        self.__dict__[member] = value

    def check_members(self) -> None:
        """What must hold of several members together; a subclass may raise `ConstructionError` here."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen; make a new one instead of setting {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen; {name!r} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return _key(self) == _key(other)

    def __hash__(self) -> int:
        return hash((type(self), _key(self)))

    def __repr__(self) -> str:
        given = self.__dict__
        known = (f for f in self.fields if f.compare and given.get(f.name, f.default) is not f.default)
        shown = (f"{f.name}={f.show(given[f.name])}" for f in known)
        return f"{type(self).__name__}({', '.join(shown)})"


_new = object.__new__
_set_values = Record.__dict__["__dict__"].__set__  # what `object.__setattr__` finds after looking for it


def _key(record: Record) -> tuple[object, ...]:
    return tuple(getattr(record, f.name) for f in record.fields if f.compare)


def _declare(cls: type, name: str) -> Field:
    """Turn what stands in the class body into a `Field`, and leave only the default behind."""
    given = cls.__dict__.get(name, REQUIRED)
    declared = given if isinstance(given, Field) else Field(default=given)
    declared.name = name
    if declared.default is not REQUIRED:
        setattr(cls, name, declared.default)
    elif name in cls.__dict__:
        delattr(cls, name)
    return declared


class _Constructor:
    """Stands for the `__init__` of `cls` until it is asked for: a program uses few of the records, and each takes a while to make."""

    def __init__(self, cls: type[Record], kw_only: bool) -> None:
        self._cls = cls
        self._kw_only = kw_only

    def __get__(self, instance: object, owner: type | None = None) -> object:
        made = _constructor(self._cls, self._kw_only)
        setattr(self._cls, "__init__", made)  # noqa: B010 - as above
        return made.__get__(instance, owner)


def _constructor(cls: type[Record], kw_only: bool) -> FunctionType:
    """Generate `__init__`: one parameter a member, its check called only when the caller gave it."""
    scope: dict[str, object] = {"set_values": _set_values}
    parameters = ["self", "*"] if kw_only else ["self"]
    given: dict[str, str] = {}
    perhaps: list[str] = []
    for f in cls.fields:
        name = value = f.name
        if f.check is not None:
            scope[f"check_{name}"] = f.check
            value = f"check_{name}({name!r}, {name})"
            if f.fits is not None:
                scope[f"fits_{name}"] = f.fits
                value = f"{name} if type({name}) is str and fits_{name}({name}) else {value}"
            elif f.takes_bytes:
                value = f"{name} if type({name}) is bytes else {value}"
        if f.default is REQUIRED:
            parameters.append(name)
            given[name] = value
            continue
        default = "None" if f.default is None else f"default_{name}"
        scope[default] = f.default
        parameters.append(f"{name}={default}")
        if cls.sparse:
            perhaps.append(f"if {name} is not {default}: values[{name!r}] = {value}")
        else:
            given[name] = name if value == name else f"{name} if {name} is {default} else {value}"
    if cls.__setattr__ is object.__setattr__ and not cls.sparse:  # loose, which takes half the time
        stored = [f"self.{name} = {value}" for name, value in given.items()]
    else:
        values = ", ".join(f"{name!r}: {value}" for name, value in given.items())
        stored = [f"values = {{{values}}}", *perhaps, "set_values(self, values)"]
    body = ["values = None", *stored]  # bound from the start, for a refusal deletes it wherever it comes from
    if cls.check_members is not Record.check_members:
        body.append("self.check_members()")
    # A traceback that shows locals would tell what was refused to others, so it ends here and nothing is left in this frame.
    refused = f" except ValueError as refusal:\n  del values, {', '.join(f.name for f in cls.fields)}\n  raise refusal.with_traceback(None)"
    source = "\n".join([f"def __init__({', '.join(parameters)}):", " try:", *(f"  {line}" for line in body), refused])
    exec(source, scope)  # noqa: S102 - made of our own member names
    made = cast("FunctionType", scope["__init__"])
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made
