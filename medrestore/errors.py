"""The one exception a user sees."""


class MedrestoreError(Exception):
    """A user's mistake, told in one line: what is wrong, what was found, what to type.

    Commands print the line without a traceback and end with exit code 2.
    """
