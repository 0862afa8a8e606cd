"""Opening a connection: from a URL to a socket that is connected and, for https, secured.

_connector         the steps in order: resolve, connect, proxy, TLS
_resolver          the addresses of a name, within the caller's time
_happy_eyeballs    try several addresses, 250 ms apart (RFC 8305)
_proxies           the choice of a proxy, and CONNECT through it
_tls               the TLS settings of a client, and the contexts made from them
_tls_handshake     the TLS handshake
_tls_in_tls        TLS over a connection that has TLS already, through an https proxy
_unused_variables  proxy and certificate variables that other clients read, to explain a failure
"""
