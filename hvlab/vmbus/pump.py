"""Who runs when: whoever has an interrupt that can be taken, until nobody has anything to do."""

from collections.abc import Callable, Sequence

from hvlab.errors import BadRequest

MOST_ROUNDS = 100_000


def rest(parties: Sequence[Callable[[], bool]]) -> int:
    """Let each party do what it has to do, again and again until all rest; return how often somebody did something.

    Raises
    ------
    BadRequest
        If they do not come to rest: two ends answer each other without end.
    """
    done, round_ = 0, 0
    while True:
        busy = [party() for party in parties]
        done += sum(busy)
        if not any(busy):
            return done
        round_ += 1
        if round_ == MOST_ROUNDS:
            raise BadRequest("a bus at rest", f"{done} turns without an end", "ends that do not answer each answer")
