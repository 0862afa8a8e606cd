"""The version, as a constant: asking the installed metadata imports half the standard library."""

VERSION = "0.1.0"
