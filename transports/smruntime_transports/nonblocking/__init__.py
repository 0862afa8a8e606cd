"""One non-blocking socket, and the effects that wait for it.

_connection        a socket, and the rules by which it may serve another request
_waiting           effects that wait for readiness or in a queue, or that start a task
_retry             retry a step until it no longer blocks
_socket_errors     the meaning of an error of a socket
_time_limits       one deadline for an exchange, and a limit for each phase
"""
