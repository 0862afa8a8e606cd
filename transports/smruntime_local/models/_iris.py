"""A classifier small enough to read: Gaussian naive Bayes over R. A. Fisher's iris data (1936, table I).

For each species the four measurements are taken as independent and normal; training is their mean and variance, and the
probability of a species is its likelihood over the sum of all three. It gets 144 of its own 150 rows right.
"""

from __future__ import annotations

import csv
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import cast

from smruntime_core import InvokeEndpoint

from ._container import JSON, Reply, reply, sends_json, wants_json

FEATURES = 4
LIMIT = (
    1000.0  # cm; far beyond any flower, near enough that no likelihood leaves the range of a float
)


class Classifier:
    """Trained when it is made."""

    def __init__(self) -> None:
        table = (files("smruntime_local.models") / "iris.csv").read_text("ascii").splitlines()
        by_species: dict[str, list[list[float]]] = defaultdict(list)
        for *measurements, species in csv.reader(table[1:]):
            by_species[species].append([float(text) for text in measurements])
        self.species = tuple(by_species)
        self._normal = [
            [_mean_and_variance(column) for column in zip(*rows, strict=True)]
            for rows in by_species.values()
        ]

    def probabilities(self, row: Sequence[float]) -> list[float]:
        """One for each of `species`; they sum to 1."""
        scores = [
            sum(
                -0.5 * math.log(variance) - (x - mean) ** 2 / (2 * variance)
                for x, (mean, variance) in zip(row, normal, strict=True)
            )
            for normal in self._normal
        ]
        best = max(scores)  # taken off before exp(), which would be 0 for all of them
        weights = [math.exp(score - best) for score in scores]
        return [weight / sum(weights) for weight in weights]

    def answer(self, call: InvokeEndpoint) -> Reply:
        """Probabilities for every row of `call`, in the form that it asks for; a row makes a part."""
        text = bytes(call.body).decode()
        rows = _json_rows(text) if sends_json(call) else _csv_rows(text)
        if wants_json(call):
            return reply(call, JSON, self._document(rows))
        return reply(
            call,
            "text/csv",
            ((",".join(map(repr, self.probabilities(row))) + "\n").encode() for row in rows),
        )

    def _document(self, rows: Sequence[Sequence[float]]) -> Iterator[bytes]:
        before = '{"predictions": ['
        for row in rows:
            probabilities = self.probabilities(row)
            label = self.species[probabilities.index(max(probabilities))]
            yield f"{before}{json.dumps({'label': label, 'probabilities': probabilities})}".encode()
            before = ", "
        yield b"]}"


def _mean_and_variance(column: Sequence[float]) -> tuple[float, float]:
    mean = sum(column) / len(column)
    return mean, sum((x - mean) ** 2 for x in column) / len(column)


def _csv_rows(text: str) -> list[list[float]]:
    return _checked([line.split(",") for line in text.splitlines() if line.strip()])


def _json_rows(text: str) -> list[list[float]]:
    document: object = json.loads(text)
    rows = (
        cast("dict[str, object]", document).get("instances")
        if isinstance(document, dict)
        else document
    )
    if not isinstance(rows, list):
        raise ValueError('the JSON body must be {"instances": [[…], …]} or [[…], …]')
    for row in cast("list[object]", rows):
        if isinstance(row, list) and any(
            type(x) not in (int, float) for x in cast("list[object]", row)
        ):
            raise ValueError("measurements must be numbers")
    return _checked(cast("list[object]", rows))


def _checked(rows: Sequence[object]) -> list[list[float]]:
    if not rows:
        raise ValueError("there are no rows")
    checked: list[list[float]] = []
    for number, row in enumerate(rows, 1):
        if not isinstance(row, list) or len(cast("list[object]", row)) != FEATURES:
            raise ValueError(f"row {number} must have {FEATURES} measurements")
        try:
            values = [float(x) for x in cast("list[float | str]", row)]
        except (ValueError, OverflowError):
            raise ValueError(f"row {number} must have numbers only") from None
        if not all(abs(x) <= LIMIT for x in values):  # so written, it refuses NaN too
            raise ValueError(f"row {number} must have measurements of at most {LIMIT:g} cm")
        checked.append(values)
    return checked
