# SPDX-License-Identifier: Apache-2.0
"""Signals that ask a run to stop, answered between two steps."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def postponed_signals() -> Iterator[Callable[[], bool]]:
    """Turns SIGINT and SIGTERM into a question asked between two steps."""
    received = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield received.is_set
        return
    handled = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: received.set()) for number in handled}
    try:
        yield received.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
