"""A small classifier: Gaussian naive Bayes over R. A. Fisher's iris data (1936, table I).

The four measurements of a species are modelled as independent and normal, and training computes
their means and variances. The probability of a species is its likelihood over the sum of all three.
144 of the 150 rows of the data are classified correctly.
"""

from __future__ import annotations

import csv
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Final, cast

from smruntime_core import InvokeEndpoint

from ._container import JSON_TYPE, ContainerReply, accepts_json, make_reply, sends_json

FEATURE_COUNT: Final = 4
LARGEST_MEASUREMENT: Final = 1000.0  # cm; larger ones would leave the range of a float


class Classifier:
    """A classifier that is trained when it is created."""

    def __init__(self) -> None:
        data_file = files("smruntime_local.models") / "iris.csv"
        data_lines = data_file.read_text("ascii").splitlines()[1:]
        rows_by_species: dict[str, list[list[float]]] = defaultdict(list)
        for *measurements, species_name in csv.reader(data_lines):
            rows_by_species[species_name].append([float(text) for text in measurements])
        self.species: tuple[str, ...] = tuple(rows_by_species)
        self._distributions = [
            [_mean_and_variance(column) for column in zip(*rows, strict=True)]
            for rows in rows_by_species.values()
        ]

    def probabilities(self, row: Sequence[float]) -> list[float]:
        """Return the probability of each of `species`; they sum to 1."""
        log_likelihoods = [
            sum(
                -0.5 * math.log(variance) - (measurement - mean) ** 2 / (2 * variance)
                for measurement, (mean, variance) in zip(row, distributions, strict=True)
            )
            for distributions in self._distributions
        ]
        largest = max(log_likelihoods)  # subtracted, or exp() might return 0 for all of them
        likelihoods = [math.exp(logarithm - largest) for logarithm in log_likelihoods]
        return [likelihood / sum(likelihoods) for likelihood in likelihoods]

    def respond(self, call: InvokeEndpoint) -> ContainerReply:
        """Return the probabilities for each row of `call`, a part for each, as JSON or CSV."""
        text = bytes(call.body).decode()
        rows = _parse_json_rows(text) if sends_json(call) else _parse_csv_rows(text)
        if accepts_json(call):
            return make_reply(call, JSON_TYPE, self._generate_document(rows))
        csv_lines = (",".join(map(repr, self.probabilities(row))) + "\n" for row in rows)
        return make_reply(call, "text/csv", (line.encode() for line in csv_lines))

    def _generate_document(self, rows: Sequence[Sequence[float]]) -> Iterator[bytes]:
        separator = '{"predictions": ['
        for row in rows:
            probabilities = self.probabilities(row)
            label = self.species[probabilities.index(max(probabilities))]
            prediction = json.dumps({"label": label, "probabilities": probabilities})
            yield f"{separator}{prediction}".encode()
            separator = ", "
        yield b"]}"


def _mean_and_variance(column: Sequence[float]) -> tuple[float, float]:
    mean = sum(column) / len(column)
    return mean, sum((measurement - mean) ** 2 for measurement in column) / len(column)


def _parse_csv_rows(text: str) -> list[list[float]]:
    return _validate_rows([line.split(",") for line in text.splitlines() if line.strip()])


def _parse_json_rows(text: str) -> list[list[float]]:
    rows: object = json.loads(text)
    if isinstance(rows, dict):
        rows = cast("dict[str, object]", rows).get("instances")
    if not isinstance(rows, list):
        raise ValueError('the JSON body must be {"instances": [[…], …]} or [[…], …]')
    all_rows = cast("list[object]", rows)
    if not all(_has_only_numbers(row) for row in all_rows):
        raise ValueError("measurements must be numbers")
    return _validate_rows(all_rows)


def _has_only_numbers(row: object) -> bool:
    """Return whether a row has numbers only; what is no list is refused later."""
    measurements = cast("list[object]", row) if isinstance(row, list) else []
    return all(type(measurement) in (int, float) for measurement in measurements)


def _validate_rows(rows: Sequence[object]) -> list[list[float]]:
    if not rows:
        raise ValueError("the body has no rows; it needs one at least")
    return [_validate_row(number, row) for number, row in enumerate(rows, 1)]


def _validate_row(number: int, row: object) -> list[float]:
    if not isinstance(row, list) or len(cast("list[object]", row)) != FEATURE_COUNT:
        raise ValueError(f"row {number} must have {FEATURE_COUNT} measurements")
    try:
        measurements = [float(measurement) for measurement in cast("list[float | str]", row)]
    except (ValueError, OverflowError):
        raise ValueError(f"row {number} must have numbers only") from None
    # Not "any(… > …)", which would accept NaN.
    if not all(abs(measurement) <= LARGEST_MEASUREMENT for measurement in measurements):
        largest = f"measurements of at most {LARGEST_MEASUREMENT:g} cm"
        raise ValueError(f"row {number} must have {largest}")
    return measurements
