"""The typed clients and what they hand out.

_client      Client and AsyncClient: the operations as methods
_streams     a streamed answer while it is read
_sessions    a stateful session for the length of a `with` block
_jobs        an accepted asynchronous invocation
_settings    what a client is made with
_logging     notices to the standard library's logging
"""
