"""What the operating system does for a client: files, processes and refreshing credentials.

_files                 read and write whole files
_processes             run one program to its end (`credential_process`)
_credential_refresh    refresh credentials once for all callers
"""
