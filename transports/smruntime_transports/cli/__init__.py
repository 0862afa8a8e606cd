"""The command line: `python -m smruntime_transports`.

_invoke     call an endpoint, or print the request as a curl command
_doctor     show which settings and credentials are found, and where
_exit       exit codes
"""
