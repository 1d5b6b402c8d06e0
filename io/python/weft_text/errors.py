"""Failures that are told to a person as one line, the exit codes they end in, and counts."""

EXIT_FAILED_ROWS = 3
EXIT_USAGE = 64
EXIT_DATA = 65
EXIT_NO_INPUT = 66
EXIT_IO = 74
EXIT_MISMATCH = 78


def counted(n, what):
    """1 row, 2 rows."""
    return f"{n} {what}{'s' * (n != 1)}"


class TextError(Exception):
    """Stops the command: one line for people, and the exit code."""

    def __init__(self, message, exit_code=EXIT_DATA):
        super().__init__(message)
        self.exit_code = exit_code


class LineError(Exception):
    """One bad input line; the others go on."""


class ArgumentError(TextError, ValueError):
    """An argument of a function of ours that cannot be meant."""
