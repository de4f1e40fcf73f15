"""Planning: which host gets which part of a request, and how their answers become one.

Theory of operation. The last user message is read as a row of **units**: tasks (a question or an instruction), remarks
on how to do them, background, and material (a poem, an e-mail, code) that nobody looks inside. Tasks that refer to
one another are joined; each then takes along the background it needs, and nothing else. What is left apart goes to
different hosts.

The way of a message: `_units` reads the text into units, `_kinds` says what each is for (`_imperatives`: by grammar,
not by a list of verbs), `_clauses` finds several instructions in one sentence, `_material` is what stays closed.
`_lists` says which lists are tasks and which are one thing. `_references` and `_needs` find what belongs together,
`_dividing` makes groups of it, `_planner` fragments and slots, `_merging` one answer of many.

A message of one instruction and a long text goes another way, and is looked for first: `_segments` finds where the
one ends and the other begins, `_piecewise` says whether the instruction can be done piece by piece (`_wordings`: how
people put it), `_records` finds records of several lines, `_cutting` cuts the text into pieces and balances runs of
them, `_sharding` makes of these what `_planner` plans.

Beside the rules stands a small trained judge (`_deciding` says which of the two holds): `_atoms` cuts a message by its
marks alone, `_traits`, `_signs` and `_measures` say what can be seen of it, `_judge` what follows, and `_judged` makes
the same groups and segments of it. `_narrowing` cuts further what one host would get too much of. How the judge was
trained: `training/planning`.

Rules (promise P3; design section 6, steps 4 and 6):

1. In doubt, join: a task without what it refers to is of no use, and a joined one is merely less private.
2. "it", "the above", "the poem" (after "a poem"), "then", an instruction without an object: the task needs what stands
   before it. Background goes to the tasks that share a word with it or refer to it, and if there are none, to the
   nearest task; a remark in a place of its own, to all. Material without an owner goes to all.
3. A host gets ranges of the original, joined by `GLUE`, and not a word of ours. Item numbers are left out.
4. Where the tasks would share more than `SHARED_LIMIT` of the words, splitting would hide little and add viewers: the
   request is indivisible.
5. `strict`: never whole, and no host over `max_share`, else `PlanRefused`. `standard`: whole only when indivisible;
   as near to `max_share` as the hosts allow, and the plan says when it is exceeded. `open`: whole.
6. Slots, not hosts, are planned: the client binds a slot to one host for the whole conversation, and fragment number
   n goes to slot n, so that over the turns the same host gets the same place. Earlier turns go along only as the
   transcript of the very host that is asked (`History`), as masked for it; `history_dropped` says when that is not
   everything. System messages are the application's: they go to every host and are in no share.

7. A text under one instruction that can be done piece by piece (translate, label each, extract all names) goes in
   runs of whole paragraphs, records or lines, each with the instruction. Where anything in the instruction speaks of
   the whole (compare, rank, count, one conclusion), or the form of the text binds it (code, a poem), it stays whole.

8. The judge may keep whole what the rules would divide, and, where it is sure, divide what they would keep. In doubt
   a request stays whole.

9. Tasks of which one is over `max_share` are cut further where their own content allows it, and lose what none of them
   needs. Where that is not enough, the plan says so.

Shares are taken before masking, and so are upper bounds of what the receipt will say.
"""

from privacy.planning._dividing import MAX_FRAGMENTS, MAX_UNITS, SHARED_LIMIT
from privacy.planning._history import History
from privacy.planning._merging import Merger, merge, next_to_show
from privacy.planning._model import (
    GLUE,
    ChatMessage,
    Excerpt,
    ExposurePolicy,
    Fragment,
    Level,
    Piece,
    Plan,
    PlanRefused,
)
from privacy.planning._planner import plan

__all__ = [
    "GLUE", "MAX_FRAGMENTS", "MAX_UNITS", "SHARED_LIMIT", "ChatMessage", "Excerpt", "ExposurePolicy", "Fragment",
    "History", "Level", "Merger", "Piece", "Plan", "PlanRefused", "merge", "next_to_show", "plan",
]  # fmt: skip
