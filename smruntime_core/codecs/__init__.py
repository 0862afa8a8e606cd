"""Python values to bodies and back: JSON, JSON Lines, CSV, plain text, npy arrays and Parquet.

An `as_...` function returns the three members of a request that belong together, to be unpacked
into any operation:

    client.invoke_endpoint(endpoint_name="churn", **as_csv([[1, 2.5], [3, 4.5]]))

Pass other content types to the function: `as_npy(array, accept="application/json")`. A `read_...`
function takes the body and the content type of a response:

| value         | request      | response      | content types read                               |
|---------------|--------------|---------------|--------------------------------------------------|
| any JSON      | `as_json`    | `read_json`   | `application/json`, `text/json`, `…+json`        |
| list of JSON  | `as_jsonl`   | `read_jsonl`  | `application/jsonlines`, `application/x-ndjson`… |
| rows of cells | `as_csv`     | `read_csv`    | `text/csv`                                       |
| `str`         | `as_text`    | `read_text`   | all but images, archives and other binary types  |
| numpy array   | `as_npy`     | `read_numpy`  | `application/x-npy`; numbers as JSON or CSV      |
| `DataFrame`   | `as_parquet` | `read_pandas` | Parquet, CSV, JSON, JSON Lines                   |

>>> request = as_json({"inputs": "Hello"})
>>> request["body"], request["content_type"]
(b'{"inputs": "Hello"}', 'application/json')
>>> read_json(b'[{"generated_text": "Hello, world"}]', "application/json; charset=utf-8")
[{'generated_text': 'Hello, world'}]
>>> read_json(b"1,2", "text/csv")
Traceback (most recent call last):
    ...
smruntime_core.errors.ResponseError: json() does not read the content type 'text/csv'; call .csv()

Every function accepts an absent content type and `application/octet-stream`; those that read text
also accept `text/plain`. The charset is honoured. Nothing is ever pickled or unpickled. A value
that cannot be encoded raises `ConstructionError`, a response that cannot be decoded
`ResponseError`; memory stays proportional to the body, or below the limits in `_limits`.

numpy, pandas and pyarrow are imported when a function needs them, and so are `json` and `csv`:
importing the core must stay cheap.
"""

from __future__ import annotations

from ._csv import as_csv, read_csv
from ._encoded import EncodedBody
from ._json import as_json, read_json
from ._jsonl import as_jsonl, read_jsonl

# their results are of libraries that need not be installed where types are checked
from ._numpy import as_npy, read_numpy  # pyright: ignore[reportUnknownVariableType]
from ._pandas import as_parquet, read_pandas  # pyright: ignore[reportUnknownVariableType]
from ._text import as_text, read_text

__all__ = [
    "EncodedBody",
    "as_csv",
    "as_json",
    "as_jsonl",
    "as_npy",
    "as_parquet",
    "as_text",
    "read_csv",
    "read_json",
    "read_jsonl",
    "read_numpy",
    "read_pandas",
    "read_text",
]
