"""Making a connection: from a URL to a socket that is connected and, for https, secured.

_connector         the steps in order: resolve, connect, proxy, TLS
_resolver          the addresses of a name, within the caller's time
_happy_eyeballs    try several addresses, 250 ms apart (RFC 8305)
_proxies           which proxy to use, and CONNECT through it
_tls               TLS settings of a client
_tls_handshake     TLS contexts and the handshake
_unused_variables  proxy and certificate variables that other clients read, to explain a failure
_tls_in_tls        TLS to an endpoint through a proxy that speaks TLS itself
"""
