"""What a client needs of the operating system beside connections.

_io                    the effects that need no connection, answered by blocking or awaited
_files                 read and write whole files
_random                random numbers
_uploads               bodies from files or iterators: measure before signing, read in pieces
_processes             run one program to its end (`credential_process`)
_credential_refresh    refresh credentials once for all callers
"""
