"""The vocabulary of the binding table: where a member travels, under which name, by which rule.

The table itself is the class bodies of `_operations`: each line there is a member's Python name and type together with one
of the bindings below. Serialiser, parser, service side, documentation and property tests all read it from there:

    >>> from smruntime_core.protocol._operations import InvokeEndpoint
    >>> [(binding.name, binding.wire_name) for binding in InvokeEndpoint._table.bindings][:3]
    [('endpoint_name', 'EndpointName'), ('body', 'Body'), ('content_type', 'Content-Type')]
"""

from __future__ import annotations

from enum import Enum
from typing import Any, ClassVar, dataclass_transform

from ..metadata import NO_METADATA, Metadata
from ..values._record import REQUIRED, Field, Record, field
from ..values._rules import ANY_BYTES, Blob, Rule, WholeNumber


class Location(Enum):
    """Where in an HTTP message a member travels."""

    LABEL = "label"
    HEADER = "header"
    PAYLOAD = "payload"
    DOCUMENT = "body"  # a member of the JSON object that is the HTTP body


class Binding(Field):
    """One line of the table: a member of an operation or output and its place on the wire."""

    def __init__(
        self,
        location: Location,
        wire_name: str,
        rule: Rule | WholeNumber | Blob,
        default: object = REQUIRED,
        secret: bool = False,
    ) -> None:
        super().__init__(default, rule.check, secret, compare=True)
        self.location = location
        self.wire_name = wire_name
        self.place = f"{{{wire_name}}}"  # where a label stands in a path
        self.rule = rule
        self.required = default is REQUIRED  # there is no such message without it


# `Any`: like a dataclass field, each stands in for whatever type the member is annotated with.
def label(wire_name: str, rule: Rule) -> Any:
    """A member that travels as one segment of the path; its rule leaves nothing to be escaped."""
    return Binding(Location.LABEL, wire_name, rule)


def header(
    wire_name: str, rule: Rule | WholeNumber, *, default: Any = REQUIRED, secret: bool = False
) -> Any:
    """A member that travels as a header field."""
    return Binding(Location.HEADER, wire_name, rule, default, secret)


def payload(wire_name: str, rule: Blob = ANY_BYTES, *, default: Any = REQUIRED) -> Any:
    """The member that is the HTTP body, byte for byte."""
    return Binding(Location.PAYLOAD, wire_name, rule, default, True)


def stream(wire_name: str, *, default: bytes) -> Any:
    """The member that is the HTTP body and comes in events; a record of what precedes them is made without it."""
    made = Binding(Location.PAYLOAD, wire_name, ANY_BYTES, default, True)
    made.required = True
    return made


def document(wire_name: str, rule: Rule, *, default: Any = REQUIRED) -> Any:
    """A member of the JSON object that is the HTTP body."""
    return Binding(Location.DOCUMENT, wire_name, rule, default)


class Table:
    """The lines of the binding table for one record, sorted by where the members travel."""

    def __init__(self, bindings: tuple[Binding, ...]) -> None:
        self.bindings = bindings
        self.labels = [binding for binding in bindings if binding.location is Location.LABEL]
        self.document = [binding for binding in bindings if binding.location is Location.DOCUMENT]
        self.header_names = {
            binding.name: binding.wire_name
            for binding in bindings
            if binding.location is Location.HEADER
        }
        self.members = {
            wire_name.lower(): name for name, wire_name in self.header_names.items()
        }  # by header


@dataclass_transform(
    frozen_default=True,
    kw_only_default=True,
    field_specifiers=(field, label, header, payload, stream, document),
)
class MessageRecord(Record):
    """A record whose members travel in an HTTP message."""

    _table: ClassVar[Table]

    def __init_subclass__(cls) -> None:
        """Derive from the table what every call reads of it."""
        super().__init_subclass__(kw_only=True)
        cls._table = Table(tuple(member for member in cls._fields if isinstance(member, Binding)))


class RequestRecord(MessageRecord):
    """What a request is made of; `path` has a `{wire name}` for each label."""

    method: ClassVar[str] = "POST"
    path: ClassVar[str]


class Output(MessageRecord):
    """What an operation gives back. `metadata` (request id, status, headers, attempts) is outside equality."""

    metadata: Metadata = field(default=NO_METADATA, compare=False)
