"""The errata hunt: pick a sentence of the overview, claim, call a run as evidence; the lab answers with the run."""

from collections import Counter
from typing import Any, Final

from hvlab.errors import BadRequest, plain
from hvlab.lab import progress, tables
from hvlab.lab.demos import RUNS
from hvlab.lab.errata import Erratum, errata, erratum
from hvlab.language import _
from hvlab.story.walk import trace_of
from hvlab.trace.journal import Trace

LONGEST: Final = 400
MOST_KINDS: Final = 8


def hunt(id: str | None = None, claim: str = "", run: Any = None) -> None:
    """Hunt for what is loose in the overview.

    Parameters
    ----------
    id
        Of the sentence; without one, all sentences are listed.
    claim
        What you say instead, in your words. It is kept, not judged.
    run
        Your evidence: the name of a run, or what a machine gave (a trace, a step, the run of a token).
    """
    if id is None:
        print("\n".join([*map(listed, dealt()), _("Hunt one: hunt({id}, {claim}, {run}).").format(**EXAMPLE)]))
        return
    one = erratum(id)
    if one not in dealt():
        raise BadRequest(f"the sentence {plain(id, 40)!r}", "one that rests on memory alone", "hunt()")
    if not isinstance(claim, str) or not claim.strip():
        print(_("{id}: what would you say instead? hunt({name}, {claim}).").format(id=id, name=repr(id), **CLAIM))
        return
    progress.note(f"errata.{id}", "hunt", given=plain(claim, LONGEST), verdict="kept")
    print(answered(one, run))


CLAIM: Final = {"claim": "'…'"}
EXAMPLE: Final = {"id": "'slat'", "claim": "'…'", "run": "'one-load'"}


def dealt() -> list[Erratum]:
    """Return the sentences that are asked about: those whose better form was read in a source."""
    return [one for one in errata() if one.standing == "checked"]


def listed(one: Erratum) -> str:
    """Return a sentence of the overview as the list shows it, without what is better."""
    return tables.paragraph(one.overview_says, f"{one.id}: ")


def answered(one: Erratum, run: Any) -> str:
    """Return what the lab says to a claim and its evidence."""
    if not one.demo:
        return _(
            "{id}: your claim is kept. No run of this lab can show it yet; errata tells more in its lessons."
        ).format(id=one.id)
    if run is None:
        told = _("{id}: your claim is kept. Which run shows it? Call one: {runs}, or what machine.translate(...) gave.")
        return told.format(id=one.id, runs=", ".join(RUNS))
    trace, demo = evidence(run), RUNS[one.demo]
    lacking = [name for name in demo.kinds if name not in trace.kinds()]
    if lacking:
        told = _("{id}: this run does not touch it: nothing of the kind {kind} happens in it. Your claim is kept.")
        return told.format(id=one.id, kind=lacking[0])
    if not demo.shows(trace):
        told = _("{id}: this run touches it, and does not show it. Compare it with the run {demo}. Your claim is kept.")
        return told.format(id=one.id, demo=one.demo)
    return "\n".join([_("{id}: the run says:").format(id=one.id), *counted(trace), *one.lines()])


def evidence(run: Any) -> Trace:
    """Return the trace of a run, or of the run of this name.

    Raises
    ------
    BadRequest
        If there is no such run.
    """
    if not isinstance(run, str):
        return trace_of(run)
    if run not in RUNS:
        raise tables.nearest("run", run, RUNS)
    return RUNS[run]()


def counted(trace: Trace) -> list[str]:
    """Say how often what happened, by box: who did something, and who did not, is the evidence."""
    count = Counter((trace.event(row).box, name) for row, name in enumerate(trace.kinds()))
    return [f"  {box}: {name} x {times}" for (box, name), times in count.most_common(MOST_KINDS)]
