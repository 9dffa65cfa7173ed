"""Windows that wait for a turn, and who is next: fairness between jobs, nothing else.

Three classes wait side by side. Express: the first windows of every job, so a memo is heard
at once and a long recording soon shows its first words. Ordinary: the rest. Again: another
try at a window whose first was no good. A class with work gets its share of the sound that
is heard (16 : 4 : 1), so that none starves; what nobody else wants goes to whoever waits.

Within a class, jobs take turns by seconds of sound (deficit round-robin, Shreedhar and
Varghese 1995). Windows share a batch only when their keys are equal, and no job owns more
than three quarters of one while others wait for the same.

Not here: threads and models (batcher), what a batch costs (size).
"""

from __future__ import annotations

import enum
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Final

from appliance.engine.hearing import Answer, Hearing
from appliance.errors import ApplianceError
from appliance.nouns import WINDOW_SECONDS

EXPRESS_WINDOWS: Final = 3  # of every job: a short recording has no more
_MOST_OF_A_BATCH: Final = 0.75  # for one job, while others wait

_MOST_OWED: Final = -16 * WINDOW_SECONDS

Reply = Callable[[list[Answer] | ApplianceError], None]
Key = tuple[object, ...]


class Rank(enum.Enum):
    """Which class a window waits in; the value is its share of the sound that is heard."""

    EXPRESS = 16
    ORDINARY = 4
    AGAIN = 1


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """One window that wants to be heard."""

    model: str
    job: Hashable  # whose it is
    hearing: Hearing
    prompt_length: int
    express: bool
    reply: Reply
    alive: Callable[[], bool]  # False: its job has hung up, do not bother
    begun: Callable[[], None] | None = None  # told when it is heard; it is heard alone then

    @property
    def key(self) -> Key:
        """Windows may share a batch when this is equal (CTranslate2's conditions)."""
        hearing = self.hearing
        if self.begun is not None:
            return (self,)
        return (self.model, self.prompt_length, hearing.ask.beam, hearing.frames, hearing.step)

    @property
    def seconds(self) -> float:
        """What hearing it costs, in seconds of the encoder's input."""
        return self.hearing.frames / 100

    @property
    def rank(self) -> Rank:
        """Which class it waits in."""
        if self.hearing.step:
            return Rank.AGAIN
        return Rank.EXPRESS if self.express else Rank.ORDINARY


class _Round:
    """The jobs of one class, taking turns."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[Hashable, deque[Window]] = OrderedDict()
        self._credit: dict[Hashable, float] = {}  # seconds a job may still take

    def put(self, window: Window, *, first: bool) -> None:
        queue = self._jobs.setdefault(window.job, deque())
        if first:
            queue.appendleft(window)
        else:
            queue.append(window)

    def heads(self) -> Iterator[Window]:
        """The next window of each job, in the order of the round; the dead are forgotten."""
        for job, queue in list(self._jobs.items()):
            while queue and not queue[0].alive():
                queue.popleft()
            if queue:
                yield queue[0]
            else:
                self._forget(job)

    def lead(self) -> Window | None:
        """The window whose turn it is: of the first job that has not had more than its share."""
        while next(self.heads(), None) is not None:
            job = next(iter(self._jobs))
            credit = self._credit.get(job, 0.0)
            if credit > 0:
                return self._jobs[job][0]
            self._credit[job] = credit + WINDOW_SECONDS
            self._jobs.move_to_end(job)
        return None

    def take(self, key: Key, room: int, owned: Counter[Hashable], most: int) -> list[Window]:
        """Take up to `room` windows of this key, `most` of one job counting those it owns.

        Jobs give one after the other. What they take beyond their share, because nobody else
        wanted the room, is remembered when it comes to who leads the next batch.
        """
        taken: list[Window] = []
        before = -1
        while before < len(taken) < room:
            before = len(taken)
            for head in list(self.heads()):
                if head.key == key and owned[head.job] < most and len(taken) < room:
                    taken.append(self._jobs[head.job].popleft())
                    owned[head.job] += 1
                    owes = self._credit.get(head.job, 0.0) - head.seconds
                    self._credit[head.job] = max(owes, _MOST_OWED)
        for _ in self.heads():  # forgets the jobs that have no more
            pass
        return taken

    def _forget(self, job: Hashable) -> None:
        del self._jobs[job]
        self._credit.pop(job, None)

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._jobs.values())


class Waiting:
    """Everything that waits. Used by one thread at a time."""

    def __init__(self) -> None:
        self._rounds = {rank: _Round() for rank in Rank}
        self._heard = dict.fromkeys(Rank, 0.0)  # seconds, by share: the smallest is next

    def put(self, window: Window, *, first: bool = False) -> None:
        """Let a window wait; `first` before the others of its job: it was here already."""
        waiting = self._rounds[window.rank]
        if not len(waiting):
            # A class that was away has no claim on what the others were given meanwhile.
            busy = [self._heard[rank] for rank in Rank if len(self._rounds[rank])]
            self._heard[window.rank] = max(self._heard[window.rank], min(busy, default=0.0))
        waiting.put(window, first=first)

    def next(self, most: Callable[[Window], int]) -> list[Window]:
        """Take the next batch: none when nobody waits. `most` says how many fit beside its head."""
        heads = {rank: list(waiting.heads()) for rank, waiting in self._rounds.items()}
        leads = [rank for rank in Rank if heads[rank]]
        if not leads:
            return []
        lead = min(leads, key=lambda rank: self._heard[rank])
        head = self._rounds[lead].lead()
        if head is None:  # its job has hung up this very moment
            return []
        room = most(head)
        same = {window.job for of_rank in heads.values() for window in of_rank}
        share = max(1, int(room * _MOST_OF_A_BATCH)) if len(same) > 1 else room
        batch = self._fill(head.key, [lead, *(rank for rank in leads if rank != lead)], room, share)
        for window in batch:
            self._heard[window.rank] += window.seconds / window.rank.value
        return batch

    def express(self, key: Key) -> int:
        """How many windows of the express class could share a turn of this key."""
        return sum(head.key == key for head in self._rounds[Rank.EXPRESS].heads())

    def _fill(self, key: Key, ranks: list[Rank], room: int, share: int) -> list[Window]:
        batch: list[Window] = []
        owned: Counter[Hashable] = Counter()
        for most in (share, room):  # what nobody else wants goes to whoever has it
            for rank in ranks:
                batch += self._rounds[rank].take(key, room - len(batch), owned, most)
        return batch

    def __len__(self) -> int:
        return sum(len(waiting) for waiting in self._rounds.values())
