"""The errors that nmfab raises on purpose: each message is one line that says what to do."""


class NmfabError(Exception):
    """Root of nmfab's own errors; its text is one line meant for the user."""


class UsageError(NmfabError):
    """A wrong argument, selector, factor or parameter: exit status 2."""


class DataError(NmfabError):
    """A dataset, track, audio file or annotation that is missing or cannot be read."""


class ComputationError(NmfabError):
    """A computation that gave no usable result (NaN, negative entries, a refused problem)."""


class StoreError(NmfabError):
    """An artifact that cannot be written, or cannot be read back as it was written."""
