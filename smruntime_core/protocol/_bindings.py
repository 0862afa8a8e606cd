"""The binding table: where each member travels, under which name and by which rule.

The table is the class bodies of `_operations`: each line there is the Python name and type of a
member with one of the bindings below. Serializer, parser, service side, documentation and property
tests all read it:

    >>> from smruntime_core.protocol._operations import InvokeEndpoint
    >>> [(binding.name, binding.wire_name) for binding in InvokeEndpoint._table.bindings][:3]
    [('endpoint_name', 'EndpointName'), ('body', 'Body'), ('content_type', 'Content-Type')]
"""

from __future__ import annotations

from enum import Enum
from typing import Any, ClassVar, dataclass_transform

from ..errors import html_table, metadata_rows
from ..metadata import NO_METADATA, Metadata
from ..values._constructor import REQUIRED
from ..values._record import Field, Record, field
from ..values._rules import ANY_BYTES, Blob, Rule, WholeNumber


class Location(Enum):
    """Where a member travels in an HTTP message."""

    LABEL = "label"
    HEADER = "header"
    PAYLOAD = "payload"
    DOCUMENT = "body"  # a field of the JSON object that is the HTTP body


class Binding(Field):
    """One line of the table: a member of an operation or output."""

    def __init__(
        self,
        location: Location,
        wire_name: str,
        rule: Rule | WholeNumber | Blob,
        default: object = REQUIRED,
        secret: bool = False,
    ) -> None:
        super().__init__(default, rule.check, secret, compare=True)
        self.location: Location = location
        self.wire_name: str = wire_name
        self.placeholder: str = f"{{{wire_name}}}"  # of a label in a path
        self.rule: Rule | WholeNumber | Blob = rule
        self.required: bool = default is REQUIRED  # in every message


# They return `Any`, like a dataclass field: each stands in for the type of the member.
def label(wire_name: str, rule: Rule, *, kw_only: bool = True) -> Any:
    """Bind a member to a segment of the path; its rule allows nothing that must be escaped.

    Unless `kw_only`, it may be passed by position; such members come first.
    """
    binding = Binding(Location.LABEL, wire_name, rule)
    binding.kw_only = kw_only
    return binding


def header(
    wire_name: str, rule: Rule | WholeNumber, *, default: Any = REQUIRED, secret: bool = False
) -> Any:
    """Bind a member to a header field."""
    return Binding(Location.HEADER, wire_name, rule, default, secret)


def payload(wire_name: str, rule: Blob = ANY_BYTES, *, default: Any = REQUIRED) -> Any:
    """Bind a member to the HTTP body, byte for byte."""
    return Binding(Location.PAYLOAD, wire_name, rule, default, True)


def stream(wire_name: str, *, default: bytes) -> Any:
    """Bind a member to an HTTP body that arrives in events, after the record has been returned."""
    binding = Binding(Location.PAYLOAD, wire_name, ANY_BYTES, default, True)
    binding.required = True
    return binding


def document(wire_name: str, rule: Rule, *, default: Any = REQUIRED) -> Any:
    """Bind a member to a field of the JSON object in the HTTP body."""
    return Binding(Location.DOCUMENT, wire_name, rule, default)


class Table:
    """The lines of the binding table for one record, grouped by where the members travel."""

    def __init__(self, bindings: tuple[Binding, ...]) -> None:
        self.bindings: tuple[Binding, ...] = bindings
        self.labels: list[Binding] = self._bindings_at(Location.LABEL)
        self.document: list[Binding] = self._bindings_at(Location.DOCUMENT)
        headers = self._bindings_at(Location.HEADER)
        self.header_names: dict[str, str] = {header.name: header.wire_name for header in headers}
        self.members_by_header: dict[str, str] = {
            header.wire_name.lower(): header.name for header in headers
        }

    def _bindings_at(self, location: Location) -> list[Binding]:
        return [binding for binding in self.bindings if binding.location is location]


@dataclass_transform(
    frozen_default=True,
    kw_only_default=True,
    field_specifiers=(field, label, header, payload, stream, document),
)
class MessageRecord(Record):
    """A record of members that travel in an HTTP message."""

    _table: ClassVar[Table]

    def __init_subclass__(cls) -> None:
        """Group the members by where they travel."""
        super().__init_subclass__(kw_only=True)
        cls._table = Table(tuple(member for member in cls._fields if isinstance(member, Binding)))


class RequestRecord(MessageRecord):
    """A record that becomes a request; `path` has a `{wire name}` for each label."""

    _suggests = True
    method: ClassVar[str] = "POST"
    path: ClassVar[str]


class Output(MessageRecord):
    """The answer to an operation; its `metadata` is ignored when outputs are compared."""

    metadata: Metadata = field(default=NO_METADATA, compare=False)

    def _shown(self) -> dict[str, str]:
        """Return what a repr shows: the status too, if a response had one."""
        status = self.metadata.status
        return {**({} if status is None else {"status": str(status)}), **super()._shown()}

    def _repr_html_(self) -> str:
        rows = {name.replace("_", " "): text for name, text in self._shown().items()}
        return html_table(type(self).__name__, {**rows, **metadata_rows(self.metadata)})
