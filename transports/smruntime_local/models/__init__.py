"""The models that the local endpoint serves.

_container   what a container is
_echo        returns what it is sent, and fails on request
_iris        a classifier of flowers
_ngram       generates text, whole or as a stream
_chat        keeps a conversation in a stateful session
_backend     a container behind a URL
"""
