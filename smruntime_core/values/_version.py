"""The version, written down: asking the installed metadata would import half of the standard library."""

VERSION = "0.1.0"
