"""One non-blocking socket, and what it means to wait for it.

_connection        a socket and what decides whether it may serve again
_waiting           the effects that wait: for readiness, for a turn in a queue, for a task
_retry             retry a step until it no longer blocks
_socket_errors     what an error of a socket means
_time_limits       one deadline for an exchange and caps for its phases
"""
