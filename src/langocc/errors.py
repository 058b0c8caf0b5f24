# SPDX-License-Identifier: Apache-2.0
"""Errors a user can mend: each names the file or argument, the expected and the found."""


class LangOccError(Exception):
    """Something the user can mend. The command line prints its text alone and exits with 1."""


class DataError(LangOccError):
    """A file of a dataset, a store or a checkpoint is missing, damaged or of another kind."""


class MismatchError(DataError, ValueError):
    """A checkpoint of another network than the one it is given to."""


class ConfigError(LangOccError):
    """An option or a configuration value that cannot be used."""
