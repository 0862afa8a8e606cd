"""One exchange over a connection, as a flow that every adapter drives.

_wire              from a request to its response: take a connection, send, receive, give it back
_streamed_body     the body of a response while its reader takes it piece by piece
_pool              the connections of a client: idle ones, free slots, callers that wait for a slot
_pump              move bytes between a socket and an exchange until neither moves
_upload_progress   progress callbacks, and supplying the next piece of an upload
_public_address    refuse private addresses for locations that a server named
_wire_settings     the settings of every client over connections, and what is made of them
_h11_engine        h11 as the second reader of responses (`engine="h11"`)
_io                the methods that all adapters share
"""
