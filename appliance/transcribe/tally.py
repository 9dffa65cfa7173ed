"""What of a recording has been heard: windows, their answers, the vote on the language.

The first windows vote on the language, each with its own certainty; what was heard in
another than the one that wins is listened to again. Where somebody asked for several,
nobody votes and each window keeps its own. A window that is settled needs its slot no
longer, and goes to the checkpoint.

Not here: sockets and time (relay), keeping what was heard for another attempt (checkpoint).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from appliance.nouns import SEVERAL, Options, Window
from appliance.wire import Heard

VOTERS: Final = 3  # windows that decide on the language


@dataclass(slots=True)
class Out:
    """A window that lies in a slot."""

    window: Window
    slot: int
    sent: bool = False
    suspect: bool = False  # an engine died with it in hand
    begun: bool = False  # it is heard alone by now
    answers: dict[str, Heard] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Language:
    """What a recording is spoken in."""

    code: str  # ISO 639-1
    probability: float  # 1 where it was given


class Tally:
    """One attempt's windows."""

    def __init__(self, options: Options) -> None:
        self._tasks = options.tasks
        self._several = options.language == SEVERAL
        given = None if self._several else options.language
        self.language = Language(given, 1.0) if given else None
        self.voted = False
        self.complete = False  # no window comes any more
        self.out: dict[int, Out] = {}
        self.windows: list[Window] = []
        self.heard: dict[tuple[int, str], Heard] = {}

    def speak(self, language: Language, *, voted: bool = False) -> None:
        """It is known what is spoken."""
        self.language, self.voted = language, voted

    @property
    def asked(self) -> str | None:
        """The language to listen for; None: find out."""
        return self.language.code if self.language and not self._several else None

    def take(self, window: Window, slot: int) -> Out:
        """A window lies ready."""
        self.windows.append(window)
        self.out[window.index] = out = Out(window, slot)
        return out

    def wanting(self) -> Iterator[Out]:
        """Windows that the engine should have and has not, in order."""
        for index in sorted(self.out):
            out = self.out[index]
            if not out.sent and not self._is_answered(out):
                yield out

    def sent(self) -> list[Out]:
        """Windows that the engine has in hand."""
        return [out for out in self.out.values() if out.sent]

    def answer(self, heard: Heard) -> Out | None:
        """The engine says what it heard; the window, once that is for every task."""
        out = self.out.get(heard.index)
        if out is None or heard.task not in self._tasks:
            return None
        out.answers[heard.task] = heard
        if not self._is_answered(out):
            return None
        out.sent = False
        return out

    def settle(self) -> list[Out]:
        """Let go of every window that is heard in the right language; the rest is heard again."""
        self._vote()
        if self.language is None and not self._several:
            return []
        settled = []
        for index in sorted(self.out):
            out = self.out[index]
            if not self._is_answered(out):
                continue
            if self.asked and any(one.language != self.asked for one in out.answers.values()):
                out.answers.clear()
                continue
            del self.out[index]
            for task, heard in out.answers.items():
                self.heard[index, task] = heard
            settled.append(out)
        return settled

    def _is_answered(self, out: Out) -> bool:
        return out.answers.keys() == set(self._tasks)

    def _vote(self) -> None:
        """Let the first windows say which language it is, each with its own certainty."""
        if self.language is not None or self._several:
            return
        voters = [self.out[i] for i in range(min(VOTERS, len(self.windows))) if i in self.out]
        enough = self.complete or len(voters) == VOTERS
        if enough and voters and all(map(self._is_answered, voters)):
            said = [next(iter(voter.answers.values())) for voter in voters]
            self.speak(_loudest([(one, 1.0) for one in said]), voted=True)

    # --- at the end and on the way ----------------------------------------------------------------

    def is_over(self) -> bool:
        """Everything is heard."""
        return self.complete and not self.out

    def spoken(self) -> Language:
        """What the recording is spoken in, for the most part."""
        if self._several and self.windows:
            first = self._tasks[0]
            return _loudest([(self.heard[w.index, first], w.seconds) for w in self.windows])
        language = self.language or Language("en", 0.0)
        return language if self.windows else Language(language.code, 0.0)

    def seconds(self) -> float:
        """How much of the recording has been heard without a gap."""
        first_out = min(self.out, default=None)
        if first_out is not None:
            return self.out[first_out].window.start
        return self.windows[-1].end if self.windows else 0.0


def _loudest(said: list[tuple[Heard, float]]) -> Language:
    """The language with the most votes, each weighed; how sure they are of it in the mean."""
    votes: dict[str, float] = {}
    for heard, weight in said:
        votes[heard.language] = votes.get(heard.language, 0.0) + heard.probability * weight
    winner = max(votes, key=lambda language: votes[language])
    return Language(winner, votes[winner] / sum(weight for _, weight in said))
