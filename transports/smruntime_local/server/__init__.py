"""The server: connections, threads and the limits of what they cost.

    listen queue ──> slot ──> thread: TLS, HTTP ──> hosting ──> models
                     _slots           _connection

_endpoint         `serve` and `Endpoint`: accepts connections, starts a thread for each
_connection       HTTP/1.1 over one connection, with h11
_slots            the number of connections, and which one is closed for another
_limits           the limits in connections, bytes and seconds
"""
