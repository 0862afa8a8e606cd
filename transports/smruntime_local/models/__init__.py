"""The containers that the local endpoint serves: functions from a call to a reply.

_container   what a container returns, and how it fails
_call        what it receives
_function    a function of the user's as a container
_time_limit  a limit of how long a function may take
_echo        returns what it receives, and fails every first call of two
_iris        a classifier of iris flowers
_ngram       a language model, whole or as a stream
_chat        repeats all texts of a stateful session
_sessions    the sessions of `_chat`
_backend     a container behind a URL
"""
