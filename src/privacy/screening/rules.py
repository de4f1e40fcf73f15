"""The rules: requests that several words together give away, and what makes them harmless.

A rule asks for several things (an intent, a deed, a target), in order and close to each other, and names what in the
same sentence makes the same words harmless: a process is killed, a bath bomb made, a phishing letter recognised. No
single word decides: a topic is not a request, so history, news, fiction, prevention and a victim's question pass.

The expressions are compiled on first use: importing this module costs nothing.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Final

from attrs import frozen

from privacy.screening.folding import folded_sentences
from privacy.screening.vocabulary import (
    ACCOUNT,
    ASKED,
    DESTROY,
    DRUGS,
    EXPLICIT,
    EXPLOSIVE,
    FICTION,
    FORGED,
    FRAUD,
    GROUP,
    HARMLESS_BOMB,
    HOW,
    INTENT,
    KILL,
    LOOT,
    MAKE,
    MALWARE,
    MINOR,
    NOT_DONE,
    PEOPLE_OF_GROUP,
    PERSON,
    PESTS,
    PROTECT_CHILD,
    SELF_HARM,
    STEAL,
    SUBHUMAN,
    TECHNICAL,
    VIOLENT_CRIME,
    WRITE,
)

__all__ = ["Rule", "Said", "broken_rule", "load_rules", "nothing_said", "rules"]

_Maker = Callable[..., "Rule"]
_BEFORE: Final = 2
Said = deque[str]
"""The last `_BEFORE` readings of sentences, which count for what `them` stands for in the next."""
_THEM: Final = re.compile(r" (?:them|those|these|it|em|all)\b$")
_GAP: Final = r"(?: [\w']+){0,%d}? "


@frozen
class Rule:
    """Words that together ask for what is refused."""

    category: str
    key: str
    """One of the things, the rarest: without it the others need not be looked for."""
    expression: re.Pattern[str]
    harmless: re.Pattern[str] | None
    """What in the same sentence makes the words harmless."""

    things: re.Pattern[str] | None = None
    """What `them` may stand for, where a sentence just before names it: then nobody is meant."""

    def breaks(self, sentence: str, before: str = "") -> bool:
        """Whether a folded sentence asks for it, after what `before` says."""
        if _any_of(self.key).search(sentence) is None:
            return False
        asked = self.expression.search(sentence)
        if asked is None or (self.harmless and self.harmless.search(sentence)):
            return False
        return not (self.things and _THEM.search(asked.group()) and self.things.search(before))


def nothing_said() -> Said:
    """What was said before the first sentence."""
    return deque(maxlen=_BEFORE)


def broken_rule(text: str, on_progress: Callable[[], None] = lambda: None, said: "Said | None" = None) -> str | None:
    """The category of the first rule that a sentence of `text` breaks; `on_progress` is called for each sentence.

    `said` is what was said before, where `text` is a piece of a longer one; it goes on with the sentences of `text`.
    """
    said = nothing_said() if said is None else said
    for sentence in folded_sentences(text):
        on_progress()
        before = "".join(said)
        if sentence.strip():
            said.append(sentence)
        # Every sentence that breaks a rule holds its key; most hold none, and are read once.
        if _any_of(_all_keys()).search(sentence) is None:
            continue
        for rule in rules():
            if rule.breaks(sentence, before):
                return rule.category
    return None


def load_rules() -> None:
    """Makes the rules' expressions, ahead of the first text: they take as long as reading some hundred texts."""
    _any_of(_all_keys())


@cache
def _all_keys() -> str:
    return "|".join(dict.fromkeys(rule.key for rule in rules()))


@cache
def _any_of(words: str) -> re.Pattern[str]:
    """A folded sentence has a space before each word, so a space stands for the word's edge: it is quicker to find."""
    return re.compile(rf" (?:{words})\b")


@cache
def rules() -> tuple[Rule, ...]:
    """All of them, in the order in which they are tried."""
    return tuple(_rules())


def _rule(category: str, *parts: str, gap: int = 3, harmless: str = "", key: str = "", things: str = "") -> Rule:
    """A rule for `parts`, in this order with at most `gap` words between each two; without a `key` it is the last."""
    expression = re.compile(" " + (_GAP % gap).join(f"(?:{part})" for part in parts) + r"\b")
    return Rule(
        category, key or parts[-1], expression, *(_any_of(words) if words else None for words in (harmless, things))
    )


def _rules() -> Iterator[Rule]:
    for category, of_category in (
        ("sexual_minors", _sexual_minors),
        ("self_harm_instructions", _self_harm_instructions),
        ("hate", _hate),
        ("violence_threat", _violence_threat),
        ("weapons_mass_harm", _weapons_mass_harm),
        ("illegal_drugs", _illegal_drugs),
        ("malware", _malware),
        ("fraud_theft", _fraud_theft),
        ("harassment", _harassment),
    ):
        yield from of_category(partial(_rule, category))


def _sexual_minors(rule: _Maker) -> Iterator[Rule]:
    yield rule(MINOR, EXPLICIT, gap=4, harmless=PROTECT_CHILD)
    yield rule(EXPLICIT, MINOR, gap=4, harmless=PROTECT_CHILD)
    yield rule(r"child (?:porn|pornography)|csam|kiddie porn|cp links", harmless=PROTECT_CHILD + "|" + NOT_DONE)
    yield rule(
        r"groom(?:ing)?|seduce|lure|undress", r"an?|the|my|this|young|little", MINOR, gap=1, harmless=PROTECT_CHILD
    )


def _self_harm_instructions(rule: _Maker) -> Iterator[Rule]:
    yield rule(
        HOW,
        SELF_HARM,
        gap=4,
        harmless=(
            r"prevent\w*|stop|not|urge|urges|avoid|without|friend|support|help (?:someone|somebody|"
            r"him|her|them|people)|"
            r"accidentally|cook(?:ing)?|myself (?:some slack|an? (?:copy|slice|piece|hammock|sandwich))|"
            r"starve myself of|"
            r"overdose on (?:cute\w*|coffee|chocolate|sugar)|shav\w+|resist|instead of|why|less likely"
        ),
    )
    yield rule(
        r"painless(?:ly)?|quick(?:est|ly)?|eas(?:y|iest)|least painful|reliabl[ey]|best",
        r"ways?|methods?",
        r"to (?:die|kill myself|end (?:it all|my life)|commit suicide|overdose|self harm|cut myself)|"
        r"of (?:suicide|dying|killing myself)",
        gap=2,
        harmless=rf"prevent\w*|{FICTION}|sims|souls|die of (?:boredom|embarrassment|laughter)",
    )
    yield rule(
        r"how (?:many|much)",
        r"pills?|tablets?|mg|paracetamol|tylenol|acetaminophen|ibuprofen|insulin|xanax|alcohol|sleeping pills|it",
        r"to (?:die|kill (?:me|myself)|end my life|overdose)|(?:would|will) kill me|lethal for me",
        gap=6,
    )
    yield rule(
        r"i (?:am|m|will|ll|am going to|m going to|m gonna|am about to|m about to|plan to|have decided to)",
        r"kill myself|end my life|commit suicide|hang myself|slit my wrists",
        harmless=r"not|never|joking|if my|laughing|won t",
    )


def _hate(rule: _Maker) -> Iterator[Rule]:
    yield rule(
        r"(?:we|you|they|someone|somebody|people|i) (?:should|must|need to|have to|ought to|will|ll|"
        r"are going to|want to|could)|"
        r"let s|time to|they (?:all )?need to be|should (?:all )?be|ought to be|must be|deserve to be|"
        r"fight back and|i want to",
        DESTROY,
        PEOPLE_OF_GROUP,
        key=GROUP,
        harmless=FICTION + "|" + NOT_DONE,
    )
    yield rule(
        PEOPLE_OF_GROUP,
        rf"(?:should|must|need to|needs to|deserve to|ought to|have to|will) (?:all )?(?:be )?(?:{DESTROY}|"
        rf"die|disappear)|need (?:{DESTROY})",
        gap=2,
        harmless=FICTION,
    )
    yield rule(
        rf"(?:{DESTROY}) (?:all|every|the|those|these)(?: the| those| invading)?(?: filthy| fucking)?",
        GROUP,
        gap=0,
        harmless=FICTION + "|" + NOT_DONE,
    )
    yield rule(
        PEOPLE_OF_GROUP,
        rf"(?:are|is|re) (?:all |just |nothing but |like )*(?:{SUBHUMAN})",
        gap=1,
        harmless=NOT_DONE + "|endangered|claim\\w*|believe[sd]?|called|said",
    )
    yield rule(
        r"niggers?|faggots?|kikes?|trann(?:y|ies)|wetbacks?|chinks?|pakis?|spics?",
        r"should|deserve|need|get out|go back|die|hate|disgusting|scum|inferior|filthy",
        gap=5,
        harmless=NOT_DONE,
    )
    yield rule(
        WRITE,
        r"racist|antisemitic|anti semitic|homophobic|islamophobic|transphobic|hateful|white supremacist|neo ?nazi",
        r"jokes?|rants?|speech|posts?|tweets?|manifesto|slogans?|propaganda|messages?|songs?|poems?|comments?",
        harmless=NOT_DONE + r"|counter|respond to|replies? to",
    )
    yield rule(
        WRITE,
        r"jokes?|rants?|manifesto|propaganda|insults?|speech|posts?",
        r"(?:mocking|demeaning|insulting|dehumani[sz]ing|against|that hates?|hating on)",
        PEOPLE_OF_GROUP,
        gap=4,
        key=GROUP,
        harmless=r"discrimination|racism|hate against|violence against|counter|respond",
    )


def _violence_threat(rule: _Maker) -> Iterator[Rule]:
    yield rule(HOW, VIOLENT_CRIME, harmless=f"{FICTION}|{NOT_DONE}")
    yield rule(
        INTENT,
        rf"(?:{KILL}|bomb|hurt badly)",
        PERSON,
        gap=1,
        key=rf"{KILL}|bomb|hurt badly",
        harmless=f"{FICTION}|{TECHNICAL}|not|never|feel like|a message|(?:want|need|ought) to kill them",
        things=PESTS,
    )
    yield rule(
        HOW,
        KILL,
        PERSON,
        key=KILL,
        harmless=(
            f"{FICTION}|{TECHNICAL}|{NOT_DONE}|dreams?|dreamt|dreamed|with kindness|(?:want|need|ought) to kill them"
        ),
        things=PESTS,
    )
    yield rule(
        r"(?:somebody|someone|we|they|you) (?:should|must|need to|needs to|ought to|gotta)",
        rf"(?:just |all |really )?(?:{KILL}|hang|execute|put down|cull)",
        rf"(?:{PERSON}|those|these|all|all of them|them all|em all)",
        gap=1,
        key=rf"{KILL}|hang|put down|cull",
        harmless=f"{FICTION}|{TECHNICAL}|{NOT_DONE}|not|(?:them|those|these) up",
        things=PESTS,
    )
    yield rule(
        r"hang (?:em|them) all|(?:die|dead) (?:\w+ ){0,4}at my hands|need to be slaughtered",
        harmless=f"{FICTION}|{TECHNICAL}|processes",
    )
    yield rule(
        HOW,
        r"(?:shoot up|attack|blow up|bomb|burn down|set fire to)",
        r"(?:a|my|the|this) (?:school|church|mosque|synagogue|mall|concert|office|hospital|crowd|building|"
        r"house|embassy|airport|train|bus)",
        harmless=f"{FICTION}|{NOT_DONE}|photo|video",
    )
    yield rule(
        INTENT,
        r"(?:shoot up|blow up|bomb|burn down)",
        r"(?:a|my|the|this|your) (?:school|church|mosque|synagogue|mall|office|house|building|place|crowd|concert)",
        gap=1,
        harmless=f"{FICTION}|balloons?",
    )


def _weapons_mass_harm(rule: _Maker) -> Iterator[Rule]:
    yield rule(HOW, MAKE, EXPLOSIVE, gap=4, harmless=f"{HARMLESS_BOMB}|{NOT_DONE}")
    yield rule(
        r"(?:instructions?|recipe|steps?|guide|blueprints?|formula|ingredients|materials) (?:for|to|on|of)",
        EXPLOSIVE,
        gap=4,
        harmless=f"{HARMLESS_BOMB}|{NOT_DONE}",
    )
    yield rule(
        r"i (?:want|need|plan|intend|am going|m going) to", MAKE, EXPLOSIVE, harmless=f"{HARMLESS_BOMB}|{NOT_DONE}"
    )
    yield rule(
        HOW,
        r"poison|contaminate",
        r"(?:the |a |our |my )?(?:\w+ )?(?:water supply|reservoir|food supply|city|crowd)",
        key="poison|contaminate",
        harmless=NOT_DONE,
    )


def _illegal_drugs(rule: _Maker) -> Iterator[Rule]:
    yield rule(
        HOW,
        r"make|cook|synthesi[sz]e|produce|manufacture|sell|deal|smuggle|buy|grow|extract|cut",
        DRUGS,
        gap=4,
        harmless=f"{NOT_DONE}|{FICTION}|addiction|quit|body|police",
    )


def _malware(rule: _Maker) -> Iterator[Rule]:
    yield rule(
        WRITE,
        rf"(?:(?!(?:essays?|articles?|report|stor(?:y|ies)|presentation|summary|explanation|polic(?:y|ies)|"
        rf"posters?|slides|quiz)\b)[\w']+ ){{0,4}}?(?:{MALWARE})",
        gap=1,
        key=MALWARE,
        harmless=f"{NOT_DONE}|{FICTION}|detectors?|scanners?|analy[sz]\\w+|about",
    )
    yield rule(
        rf"{ASKED}|please",
        r"hack(?: into)?|break into|crack|brute force|get into|spy on|take over|hijack",
        ACCOUNT,
        harmless=f"{NOT_DONE}|my own|(?:been|got|was) hacked",
    )
    yield rule(
        HOW,
        r"ddos|take down|deface|sql inject(?:ion)?(?: into)?|hack(?: into)?",
        r"(?:a|the|this|my (?:school|ex|company|competitor|rival)(?: s)?|their|government|bank|"
        r"competitor) ?(?:\w+ )?(?:web ?sites?|servers?|network|database|bank|government|systems?|atm)",
        gap=2,
        key=r"ddos|take down|deface|sql inject(?:ion)?|hack",
        harmless=f"{NOT_DONE}|vulnerable lab|ctf|my own|{FICTION}",
    )


def _fraud_theft(rule: _Maker) -> Iterator[Rule]:
    yield rule(
        HOW,
        STEAL,
        LOOT,
        harmless=f"{NOT_DONE}|{FICTION}|stolen from me|my own car|the show|base|(?:was|were|been) stolen",
    )
    yield rule(
        rf"{HOW}|where (?:can|do|to)",
        rf"{MAKE}|forge|print|sell|use|order",
        FORGED,
        harmless=f"{NOT_DONE}|{FICTION}|monopoly|teaching|classroom|tests?",
    )
    yield rule(
        WRITE,
        r"phishing|scam|fraudulent|419",
        r"emails?|e mails?|messages?|letters?|texts?|sms|scripts?|websites?|pages?",
        gap=2,
        harmless=f"{NOT_DONE}|example of|examples of|quiz|exercise|simulation|detector|filter",
    )
    yield rule(HOW, FRAUD, harmless=f"{NOT_DONE}|{FICTION}")


def _harassment(rule: _Maker) -> Iterator[Rule]:
    yield rule(
        ASKED,
        r"track|spy on|follow|monitor|read|record|stalk|install",
        r"(?:my|her|his|their) (?:ex|wife|husband|girlfriend|boyfriend|partner|coworker|neighbou?r|phone|"
        r"messages|texts|location)",
        r"(?:secretly|without (?:\w+ ){0,3}(?:knowing|knowledge|consent|noticing|finding out)|knowing it)",
        gap=5,
        harmless=NOT_DONE,
    )
    yield rule(
        HOW,
        r"dox|doxx|stalk|blackmail|extort|cyberbully|revenge porn|swat",
        rf"(?:{PERSON}|a |this )",
        gap=2,
        key="dox|doxx|stalk|blackmail|extort|cyberbully|revenge porn|swat",
        harmless=f"{NOT_DONE}|{FICTION}|stocks?|(?:being|am|was) (?:\\w+ )?(?:stalked|blackmailed|doxxed)",
    )
    yield rule(
        r"(?:find|get|give me|tell me)",
        r"home address|where (?:she|he) lives",
        r"so (?:i|we) can (?:\w+ ){0,2}(?:scare|hurt|confront|follow|surprise attack|threaten|punish|beat)",
        gap=8,
    )
    yield rule(
        WRITE,
        r"threatening|blackmail|intimidating|harassing|bullying",
        r"letters?|messages?|emails?|notes?|texts?|posts?",
        gap=2,
        harmless=f"{NOT_DONE}|{FICTION}|non threatening|less threatening",
    )
