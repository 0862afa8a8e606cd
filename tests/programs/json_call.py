"""Score rows and read the answer as JSON."""

from smruntime_core.codecs import as_json
from smruntime_core.payload import JSON
from smruntime_transports import Client


def labels(answer: JSON) -> list[str]:
    assert isinstance(answer, dict)
    predictions = answer["predictions"]
    assert isinstance(predictions, list)
    return [str(row["label"]) for row in predictions if isinstance(row, dict)]


with Client() as client:
    output = client.invoke_endpoint("iris", **as_json([[5.1, 3.5, 1.4, 0.2]]))
    print(labels(output.json()), output.metadata.request_id is not None)
