"""Which of several IDs a provider wants, where no document says: a sync finds out."""

import threading
from collections.abc import Callable, Generator, Sequence
from typing import Any

from source_recordings.http.answers import Answer
from source_recordings.http.asking import Asking, Later, answer_to


class Choice:
    """The first job that has several IDs finds out, and the others wait for it.

    If it finds nothing, because what it asks for is not there, all go on and the next good answer makes the choice: one
    by one they would take for ever where many are not there.
    """

    def __init__(self) -> None:
        self.made: int | None = None
        """The number of the ID that is wanted, once it is known."""
        self._finder: Turn | None = None
        self._is_open = False
        self._waiting: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    def answer(
        self, ids: Sequence[tuple[int, Any]], asking_for: Callable[[Any], Asking]
    ) -> Generator[Any, Any, tuple[Any, Answer]]:
        """For a job: the ID that was asked for, and the answer. `ids` are several, each with its number."""
        turn = Turn(self)
        yield turn
        try:
            left = [pair for pair in ids if pair[0] == self.made] or list(ids)
            while True:
                number, value = left.pop(0)
                asking = asking_for(value)
                asking.is_probe = bool(left)
                answer = yield from answer_to(asking)
                if answer.skipped is None:
                    self._make(number)
                if answer.skipped is None or not left:
                    return value, answer
        finally:
            self._done(turn)

    def comes(self, turn: "Turn") -> bool:
        """Whether this job may go on: to find out, or to ask as is known by now."""
        with self._lock:
            self._finder = self._finder or turn
            return self._is_open or self._finder is turn

    def wait(self, wake: Callable[[], None]) -> None:
        """Calls `wake` when the first job is done."""
        with self._lock:
            if not self._is_open:
                self._waiting.append(wake)
                return
        wake()

    def _make(self, number: int) -> None:
        with self._lock:
            self.made = number if self.made is None else self.made

    def _done(self, turn: "Turn") -> None:
        with self._lock:
            if self._finder is not turn:
                return
            self._is_open = True
            waiting, self._waiting = self._waiting, []
        for wake in waiting:
            wake()


class Turn(Asking):
    """No request: a job yields it, and goes on when the choice lets it. Such a wait holds up no thread."""

    def __init__(self, choice: Choice) -> None:
        self._choice = choice

    def once(self) -> Answer | Later:
        return Answer() if self._choice.comes(self) else Later(when_done=self._choice.wait)
