"""Submit a long job, store where its answer will be, and collect it later."""

from smruntime_core import InvokeEndpointOutput, ModelError
from smruntime_core.codecs import as_json
from smruntime_transports import Client
from smruntime_transports.client import Job


def submit(client: Client) -> tuple[str, str | None]:
    job: Job = client.invoke_endpoint_async("iris", **as_json([[6.7, 3.0, 5.2, 2.3]]))
    assert job.output_location is not None
    return job.output_location, job.failure_location


def collect(client: Client, output_location: str, failure_location: str | None) -> str:
    try:
        output: InvokeEndpointOutput = client.job(output_location, failure_location).result()
    except ModelError as error:
        return str(error.original_message)
    return output.text()


with Client() as client:
    print("virginica" in collect(client, *submit(client)))
