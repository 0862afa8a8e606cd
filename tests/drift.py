"""Compare the binding table with botocore's model of SageMaker Runtime.

`make drift` runs this with the newest botocore. It prints each difference and exits with 1 if there
is any. Operations that this library lacks are printed for information.
"""

from __future__ import annotations

import sys
from typing import Any

import botocore
import botocore.loaders

from smruntime_core.protocol._bindings import Binding, Location, MessageRecord
from smruntime_core.service import OPERATIONS
from smruntime_core.values._rules import Blob

# member, location, wire name, required, maximum length (None for no limit)
Line = tuple[str, str, str, bool, int | None]


def model() -> dict[str, Any]:
    """Return botocore's model of the service as plain JSON."""
    loaded: dict[str, Any] = botocore.loaders.Loader().load_service_model(
        "sagemaker-runtime", "service-2"
    )
    return loaded


def _ours(binding: Binding) -> Line:
    return (
        binding.name,
        binding.location.value,
        binding.wire_name.lower() if binding.location is Location.HEADER else binding.wire_name,
        binding.required,
        None if isinstance(binding.rule, Blob) else binding.rule.maximum,
    )


def _theirs(member: str, shape: dict[str, Any], shapes: dict[str, Any]) -> Line:
    described = shape["members"][member]
    place = described.get("location", "payload" if shape.get("payload") == member else "body")
    location = {"uri": "label"}.get(place, place)
    wire = described.get("locationName", member)
    target = shapes[described["shape"]]
    longest = (
        None if target["type"] == "blob" else target.get("max")
    )  # a body has no hard limit here, on purpose
    wire = wire.lower() if location == "header" else wire
    return botocore.xform_name(member), location, wire, member in shape.get("required", ()), longest


def compare(
    where: str, ours: type[MessageRecord], shape: dict[str, Any], shapes: dict[str, Any]
) -> list[str]:
    """Return the differences between a record and a structure of the model, a line each."""
    mine = {line[0]: line for line in map(_ours, ours._table.bindings)}
    its = {
        line[0]: line for line in (_theirs(member, shape, shapes) for member in shape["members"])
    }
    differing = [name for name in {**mine, **its} if mine.get(name) != its.get(name)]
    return [
        f"{where}.{name}: ours {mine.get(name)}, botocore's {its.get(name)}" for name in differing
    ]


def differences() -> list[str]:
    """Return the differences of all operations in the table."""
    described = model()
    shapes = described["shapes"]
    found: list[str] = []
    for ours in OPERATIONS:
        name = ours.__name__
        its = described["operations"][name]
        found += compare(name, ours, shapes[its["input"]["shape"]], shapes)
        found += compare(f"{name}Output", ours.output, shapes[its["output"]["shape"]], shapes)
        http = (
            its["http"]["method"],
            its["http"]["requestUri"],
            its["http"].get("responseCode", 200),
        )
        if (ours.method, ours.path, ours.success) != http:
            found.append(
                f"{name}: ours {(ours.method, ours.path, ours.success)}, botocore's {http}"
            )
        errors = {error.__name__ for error in ours.errors} ^ {
            error["shape"] for error in its["errors"]
        }
        found += [f"{name}: only one side knows the error {error}" for error in sorted(errors)]
    return found


def lacking() -> list[str]:
    """Return the operations of the service that the table lacks."""
    return sorted(set(model()["operations"]) - {operation.__name__ for operation in OPERATIONS})


def main() -> int:
    """Print the differences; return 1 if there is any."""
    found = differences()
    print(f"botocore {botocore.__version__}: {len(found)} differences")
    print(*found, sep="\n", end="\n" if found else "")
    print("operations without a table:", ", ".join(lacking()) or "nothing")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
