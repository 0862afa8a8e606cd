"""The operations of SageMaker Runtime: one table, and the code that reads it in both directions.

    _bindings           what a line of the table can say
    _operations         the table
    _encoding           operation to request
    _decoding           response to output or error
    _body_readers       the body of an output as JSON, text, rows, an array or a table
    _response_parser    bytes of a streamed response to events

`smruntime_core` exports the operations, `smruntime_core.streaming` the parser.
"""
