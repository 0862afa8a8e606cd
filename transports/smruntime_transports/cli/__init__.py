"""The command line: `python -m smruntime_transports`.

_invoke     call an endpoint
_dry_run    print the request of a call, its signature and the same call with curl
_doctor     print the settings and credentials that apply, and their sources
_exit       the exit codes
"""
