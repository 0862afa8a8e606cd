"""One request to the service, without sockets: from its bytes to the container and back.

_request_handler    authentication, then the operation or the OpenAI path
_received_body      a body that arrives before its signature is verified
_endpoint_config    what an endpoint consists of
_config_file        the same from a TOML file
_routing            which model of an endpoint answers a call
_model_sources      models from functions, URLs and names
_data_capture       a file of calls and answers
_model_host         the operations of SageMaker over containers
_faults             steps of scripts, and the faults that a call asks for
_recorded_calls     the calls that the containers have received
_recording_file     recordings: exchanges as lines of JSON
_recorder           passes calls on to an endpoint elsewhere, and records them
_replay             recorded responses to recorded requests
_stream_behavior    how streamed parts are cut and delayed, and which fault ends them
_openai_path        the path of OpenAI's clients, with bearer tokens
_object_api         the part of S3 that asynchronous invocations need
_async_jobs         the queue, workers and object store of asynchronous invocations
"""
