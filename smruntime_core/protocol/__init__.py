"""The operations of SageMaker Runtime: one table, and the code that turns messages into records and back.

    _bindings           the vocabulary of the table        _operations         the table: one line for each member
    _encoding           operation to request               _decoding           response to output or error
    _response_parser    bytes of a streamed response to events

Nothing is exported here: `smruntime_core` has the operations, `smruntime_core.streaming` the parser.
"""
