"""What ends the program before its time: SIGTERM, SIGINT, and an output that nobody reads any more.

A signal finds the main thread anywhere, in the middle of a line too, so its handler does nothing there. It wakes a thread,
which tells the sync to wind up. SECONDS later the program ends, whatever is still under way.
"""

import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import sleep
from typing import NoReturn

from source_recordings.cdk import PRINT_BUFFER

SIGNALS = {int(number): number.name for number in (signal.SIGTERM, signal.SIGINT)}
SECONDS = 3.0
FLUSH_SECONDS = 0.5
READER_GONE = 141
"""The exit code of a program that SIGPIPE ends."""


class Stop:
    """Whether the program is to end: told once, never taken back."""

    def __init__(self) -> None:
        self.code = 0
        self.by = ""
        """The signal's name."""
        self.is_listening = False
        self._lock = threading.Lock()
        self._wind_up: Callable[[], None] | None = None
        self._clean_up: Callable[[], None] | None = None

    @property
    def is_wanted(self) -> bool:
        return self.code != 0

    @contextmanager
    def calls(self, wind_up: Callable[[], None], clean_up: Callable[[], None]) -> Iterator[None]:
        """What a stop calls meanwhile: `wind_up`, so that the main thread comes to its end soon; `clean_up` at the very end.

        At any other time a stop ends the program at once.
        """
        with self._lock:
            self._wind_up, self._clean_up = wind_up, clean_up
        try:
            yield
        finally:
            with self._lock:
                self._wind_up = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Heeds the signals. For the main thread of a process that is ours alone."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        handlers = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
        other = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        threading.Thread(target=self._listen, args=[reader], name="stop", daemon=True).start()
        self.is_listening = True
        try:
            yield
        finally:
            self.is_listening = False
            signal.set_wakeup_fd(other)
            for number, handler in handlers.items():
                signal.signal(number, handler)
            os.close(writer)

    def _listen(self, reader: int) -> None:
        while number := os.read(reader, 1):
            # A second one changes nothing: it is over in a moment.
            if number[0] in SIGNALS and not self.is_wanted:
                self._stop(number[0])
        os.close(reader)

    def _stop(self, number: int) -> None:
        self.by, self.code = SIGNALS[number], 128 + number
        threading.Thread(target=self._leave_late, name="leave", daemon=True).start()
        with self._lock:
            wind_up = self._wind_up
        if wind_up:
            wind_up()
        else:
            self.leave(self.code)

    def _leave_late(self) -> None:
        sleep(SECONDS)
        self.leave(self.code)

    def output_lost(self, error: OSError) -> NoReturn:
        """Ends the program: what it would print is for nobody."""
        if not isinstance(error, BrokenPipeError) and sys.__stderr__:
            sys.__stderr__.write(f"The output can't be written: {os.strerror(error.errno or 0)}.\n")
        self.leave(self.code or (READER_GONE if isinstance(error, BrokenPipeError) else 1))

    def leave(self, code: int) -> NoReturn:
        """Ends the process with whole lines. Its ordinary end would wait for threads that wait for an answer."""
        if self._clean_up:
            self._clean_up()
        flushed = threading.Event()
        threading.Thread(target=_flush_and_hold, args=[flushed], daemon=True).start()
        flushed.wait(FLUSH_SECONDS)
        os._exit(code)


def _flush_and_hold(flushed: threading.Event) -> None:
    """Prints what is left and keeps everybody else from beginning another line."""
    with PRINT_BUFFER.lock:
        with suppress(OSError, ValueError):
            if sys.__stdout__:
                PRINT_BUFFER.flush()
        flushed.set()
        threading.Event().wait()


def check_reader() -> None:
    """Raises BrokenPipeError when nobody reads the output any more: what waits to be asked again would wait for nobody."""
    closed = False
    poll = select.poll() if hasattr(select, "poll") else None
    with suppress(OSError, ValueError):
        if poll and sys.__stdout__:
            poll.register(sys.__stdout__.fileno(), 0)
            closed = bool(poll.poll(0))
    if closed:
        raise BrokenPipeError
