"""Refusing what must not travel: illegal, abusive, violent and malicious requests.

Theory of operation. The text is folded so that spelling tricks fall away (compatibility forms, case, accents,
invisible characters, `k i l l`, `k1ll`), cut into sentences, and each sentence is held against rules. A rule asks for
several things together (an intent, a deed, a target), in order and close to each other, and names what makes the same
words harmless: a process is killed, a bath bomb made, a phishing letter recognised.

Rules:

1. No single word decides. A topic is not a request: history, news, fiction, prevention and a victim's question pass.
2. The verdict holds a category and an explanation of ours, never a piece of the text.
3. The host and the client's check of the answer use the same `Screener`; it holds no state and reads no clock.
4. Feelings are not refused: someone who says that they are unwell may talk. What is refused is the method and the
   announced deed, with an explanation that says where help is.

Categories (promise P1, "illegal, abusive, violent, malicious"): `CATEGORIES`. Instructions smuggled to a model
("ignore previous instructions") harm no third person and are not screened. Adult content, profanity and insults
between people are not illegal everywhere and pass.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Final

from attrs import field, frozen

__all__ = ["CATEGORIES", "Screener", "Verdict"]

CATEGORIES: Final[Mapping[str, str]] = {
    "sexual_minors": (
        "Sexual content about children is refused everywhere. If a child is in danger, call your emergency number; "
        "if you worry about your own thoughts, Stop It Now and similar services listen without judging."
    ),
    "violence_threat": (
        "Threats against people, and help with hurting them, are refused. If somebody is in danger now, call your "
        "emergency number."
    ),
    "self_harm_instructions": (
        "Ways of harming yourself are not something we pass on. If you are thinking of it, please talk to "
        "somebody now: "
        "988 in the US and Canada, 116 123 (Samaritans) in the UK and Ireland, 112 in Europe, or findahelpline.com "
        "anywhere. You may also ask here how to get through the next hour, or how to find support."
    ),
    "hate": (
        "Calls for violence against people for what they are, and texts made to demean them, are refused. Questions "
        "about prejudice, its history and how to counter it are welcome."
    ),
    "harassment": (
        "Stalking, exposing, blackmailing or secretly watching a person is refused. If it happens to you, the police "
        "and services for victims can help, and questions about protecting yourself are welcome."
    ),
    "weapons_mass_harm": (
        "Making explosives, poisons and weapons for mass harm is refused. History, policy and safety of the subject "
        "are welcome."
    ),
    "illegal_drugs": (
        "Making or dealing in illegal drugs is refused. Questions about health, risks and treatment are welcome."
    ),
    "malware": (
        "Making malicious software and breaking into other people's systems or accounts is refused. Defence, analysis "
        "and recovering your own account are welcome."
    ),
    "fraud_theft": (
        "Help with theft, fraud and forgery is refused. Questions about recognising and reporting them are welcome."
    ),
}
"""Each category and what a person refused under it is told."""

_GAP: Final = r"(?: [\w']+){0,%d}? "


@frozen
class Verdict:
    """Whether a text may travel."""

    allowed: bool
    category: str | None = None
    """One of `CATEGORIES` where it may not."""
    explanation: str = ""
    """What to tell the person; never a piece of the text."""


@frozen
class _Rule:
    category: str
    expression: re.Pattern[str]
    harmless: re.Pattern[str] | None
    """What in the same sentence makes the words harmless."""


def _rule(category: str, *parts: str, gap: int = 3, harmless: str = "") -> _Rule:
    """A rule for `parts` in this order with at most `gap` words between each two."""
    expression = re.compile(r"\b" + (_GAP % gap).join(f"(?:{part})" for part in parts) + r"\b")
    return _Rule(category, expression, re.compile(rf"\b(?:{harmless})\b") if harmless else None)


# The vocabulary of the rules, as it stands after folding.
_HOW: Final = (
    r"how (?:do|can|could|would|should|might|to|does)|ways? (?:to|of)|steps? (?:to|for)|instructions? (?:to|for|on)|"
    r"guide (?:to|for|on)|tutorial (?:to|for|on)|recipe for|teach me|show me|tell me|explain how|help me|i want to|"
    r"i need to|i d like to|best way|easiest way|method (?:to|of|for)|plan to|need you to|can you|could you"
)
_MAKE: Final = (
    r"make|making|build|building|create|creating|construct|assemble|synthesi[sz]e|synthesi[sz]ing|produce|manufacture|"
    r"cook|brew|extract|culture|weaponi[sz]e|obtain|acquire|buy|get hold of|3d print|detonate|set off"
)
_WRITE: Final = r"write|generate|create|make|give me|draft|compose|produce|code|develop|program|build|tell"
_PERSON: Final = (
    r"someone|somebody|anyone|a (?:person|man|woman|human|kid|child|guy|girl|neighbou?r|cop|teacher|stranger)|people|"
    r"humans|everyone|everybody|him|her|them|you(?! tube)|those people|"
    r"(?:my|his|her|their|our|your) (?:ex|wife|husband|girlfriend|boyfriend|boss|neighbou?rs?|brother|sister|"
    r"mother|father|mom|mum|dad|parents|family|classmates?|coworkers?|co workers?|colleagues?|teacher|roommate|kids?|"
    r"children|friends?|partner|stepdad|stepmother|landlord)|(?:the|this|that) (?:president|mayor|judge|senator|bitch)"
)
_KILL: Final = (
    r"kill|murder|shoot|stab|strangle|behead|slaughter|lynch|assassinate|poison|suffocate|torture|maim|execute|"
    r"run over|burn alive|beat up|beat to death|choke"
)
_FICTION: Final = (
    r"novel|fiction|fictional|story|stories|screenplay|script for|film|movie|game|games|gameplay|character|characters|"
    r"chess|minecraft|boss fight|boss level|npcs?|zombies?|quest|song|lyrics|metaphor|idiom|play|opera|joke"
)
_TECHNICAL: Final = (
    r"process|processes|python|server|port|task|threads?|job|jobs|container|docker|linux|session|daemon|pid|weeds?|"
    r"bugs?|bacteria|virus|viruses|germs|mosquito(?:e?s)?|ants|rats?|mice|photos?|pictures?|video|videos|footage|film|"
    r"camera|hoops|basketball|email|message|time|mood|vibe|conversation|moths?|fleas?|ticks?|grass|mold|mould|tree|"
    r"stump|wasps?|roach(?:es)?|lice|cancer cells?|fish"
)
_NOT_DONE: Final = (
    r"prevent|preventing|prevention|protect|protecting|avoid|avoiding|detect|detecting|detection|recogni[sz]e|"
    r"recogni[sz]ing|report|reporting|stop (?:him|her|them|someone|people|it)|defend|defen[sc]e|against (?:phishing|"
    r"malware|ransomware|fraud|scams?)|awareness|remove|removal|victims?|survivors?|history|historical|essay|article|"
    r"news|law|laws|legal|illegal|statistics|why (?:do|did|would|is|are)|happened|documentary|wrong to|mitigate|"
    r"training|support for|cope|coping|fake or real"
)
_MINOR: Final = (
    r"child(?:ren)?|kids?|minors?|underage(?:d)?|pre ?teens?|toddlers?|infants?|bab(?:y|ies)|school ?girls?|"
    r"school ?boys?|little (?:girl|boy)s?|young (?:girl|boy)s?|(?:[1-9]|1[0-7]) ?(?:yo|y o|yr old|"
    r"years? old|year olds?)|"
    r"(?:[5-9]|1[0-7]) ?yo ?(?:girl|boy)?|loli(?:ta)?s?|jailbait"
)
_EXPLICIT: Final = (
    r"porn|porno|pornography|nudes|erotica?|hentai|sexual(?:ly)? (?:story|stories|scene|explicit|"
    r"fantas(?:y|ies)|content|"
    r"photos?|pictures?|images?|videos?|acts?)|having sex|have sex|sex (?:with|scene|story|video|tape)|xxx|"
    r"blow ?jobs?|"
    r"masturbat\w+|fuck\w*|molest\w*|rap(?:e|ing) (?:a|him|her|them)|cum|cock|pussy|naked (?:pics?|pictures?|photos?|"
    r"images?|videos?)|nude (?:pics?|pictures?|photos?|images?|videos?)|incest|seduc\w+|lewd"
)
_PROTECT_CHILD: Final = (
    r"protect|protecting|prevent|preventing|report|reporting|education|law|laws|policy|survivors?|victims?|therapy|"
    r"therapist|awareness|talk to|explain to|research|statistics|investigat\w+|convicted|arrested|charged|accused|"
    r"abused (?:as|when)|was (?:abused|raped|molested)|not (?:have|having)|don t have|do not have|safe|"
    r"safety|crime|possession|punishable|offen[sc]e|disgusting"
)
_GROUP: Final = (
    r"jews?|jewish people|jewboys?|muslims?|islamics?|christians|hindus|sikhs|blacks|black people|whites|white people|"
    r"asians?|arabs?|mexicans?|immigrants?|migrants?|refugees|gays?|gay people|homosexuals?|lesbians?|transgenders?|"
    r"trans(?:gender)? (?:people|person|women|men)|trann(?:y|ies)|fags?|faggots?|gyps(?:y|ies)|roma people|africans|"
    r"chinese(?: people)?|indians|pakis?|disabled people|the disabled|niggers?|niggas?|kikes?|infidels|women|feminists"
)
_PEOPLE_OF_GROUP: Final = rf"(?:all |the |those |these |every |filthy |fucking |some |more )*(?:{_GROUP})"
_DESTROY: Final = (
    r"kill(?:ed|ing|in)?|murder(?:ed)?|exterminat(?:e|ed|ing)|slaughter(?:ed)?|gas(?:sed)?|lynch(?:ed)?|hang(?:ed)?|"
    r"shoot|shot|stab|wiped? out|eradicat(?:e|ed)|annihilat(?:e|ed)|burn(?:ed|t)?|behead|liquidate|extinguished|"
    r"cull(?:ed)?|rape|starve"
)
_SUBHUMAN: Final = (
    r"subhumans?|vermin|parasites?|cockroach(?:es)?|animals|monkeys|apes|scum|filth|a cancer|a plague|inferior|"
    r"not human|trash|should not exist|shouldn t exist|don t deserve to live"
)
_MALWARE: Final = (
    r"ransomware|malware|key ?loggers?|trojans?(?: horse)?|rootkits?|botnets?|spyware|computer (?:virus|worm)|"
    r"(?:self )?replicating (?:virus|worm)|stealers?|remote access trojan|exploit kit|phishing (?:kit|page|site)|"
    r"cookie (?:stealer|grabber)|token grabber|credential harvest\w+|fork bomb for|virus that"
)
_EXPLOSIVE: Final = (
    r"(?:pipe |nail |car |dirty |nuclear |petrol |fertili[sz]er |homemade |suicide |atomic |"
    r"pressure cooker |letter )*bombs?|"
    r"explosives?(?: devices?| vests?)?|ieds?|molotov(?: cocktails?)?|c4|tatp|nitroglycerin|semtex|"
    r"nerve (?:agents?|gas)|sarin|vx gas|"
    r"ricin|anthrax|mustard gas|chlorine gas|poison gas|botulinum toxin|smallpox|bio ?weapons?|chemical weapons?|"
    r"biological weapons?|nuclear weapons?|ghost guns?|untraceable guns?|silencers?|grenades?|napalm|thermite"
)
_HARMLESS_BOMB: Final = (
    r"bath|calorimeter|cherry|cocoa|chocolate|seed|photo ?bombs?|glitter|smoke detector|logic|minecraft|shelter|"
    r"disposal|defuse|squad|jager|hydrate|sex|cyclone|treaty|nonproliferation|museum|exhaust|toy|cosplay|prop|"
    rf"manhattan project|inspections?|{_FICTION}"
)
_DRUGS: Final = (
    r"meth|methamphetamine|crystal meth|crack(?: cocaine)?|cocaine|heroin|fentanyl|mdma|ecstasy|lsd|ghb|rohypnol|"
    r"date rape drugs?|krokodil"
)
_ACCOUNT: Final = (
    r"(?:someone(?: else)?|somebody|anyone|another person|a person|people|other people|(?:my|his|her|"
    r"their) (?:ex|wife|husband|"
    r"girlfriend|boyfriend|boss|neighbou?r|friend|coworker|classmate|teacher|partner|roommate|school|"
    r"company|employer|bank))(?: s)?(?: [\w']+){0,2} (?:accounts?|phones?|computers?|laptops?|wi ?fi|network|emails?|"
    r"facebook|instagram|snapchat|whatsapp|gmail|passwords?|webcams?|messages|icloud|database|server|systems?)"
)
_FORGED: Final = (
    r"(?:fake|counterfeit|forged|false) (?:ids?|passports?|money|bills|banknotes|currency|checks?|cheques?|"
    r"prescriptions?|"
    r"diplomas?|degrees?|driver s licen[cs]es?|identity|vaccination cards?|invoices?|documents?|licen[cs]es?)|"
    r"counterfeit(?:ing)? (?:money|bills|currency)|stolen (?:credit )?cards?|cloned cards?"
)
_STEAL: Final = (
    r"steal|stealing|shoplift|shoplifting|rob|robbing|burgle|burglari[sz]e|pickpocket|embezzle|launder(?:ing)?|"
    r"hot ?wire|skim|defraud|scam|con|forge|swindle"
)
_LOOT: Final = (
    r"cars?|bikes?|money|cash|(?:credit )?cards?(?: numbers?| details| information)?|identit(?:y|ies)|"
    r"stores?|shops?|banks?|"
    r"house|jewell?ery|passwords?|wallets?|packages|elderly|old people|seniors|customers|investors|"
    r"signature|checks?|from (?:my|a|the) (?:work|job|employer|store|shop|company|supermarket|neighbou?r)|insurance"
)

_RULES: Final = (
    _rule("sexual_minors", _MINOR, _EXPLICIT, gap=4, harmless=_PROTECT_CHILD),
    _rule("sexual_minors", _EXPLICIT, _MINOR, gap=4, harmless=_PROTECT_CHILD),
    _rule(
        "sexual_minors",
        r"child (?:porn|pornography)|csam|kiddie porn|cp links",
        harmless=_PROTECT_CHILD + "|" + _NOT_DONE,
    ),
    _rule(
        "sexual_minors",
        r"groom(?:ing)?|seduce|lure|undress",
        r"an?|the|my|this|young|little",
        _MINOR,
        gap=1,
        harmless=_PROTECT_CHILD,
    ),
    _rule(
        "self_harm_instructions",
        _HOW,
        r"(?:kill|hang|drown|cut|hurt|harm|starve|poison|burn|shoot|suffocate|overdose) (?:myself|yourself|oneself)|"
        r"end my (?:own )?life|commit(?:ting)? suicide|overdose on|slit my|purge without|starve myself",
        gap=4,
        harmless=(
            r"prevent\w*|stop|not|urge|urges|avoid|without|friend|support|help (?:someone|somebody|"
            r"him|her|them|people)|"
            r"accidentally|cook(?:ing)?|shav\w+|resist|instead of|why|less likely"
        ),
    ),
    _rule(
        "self_harm_instructions",
        r"painless(?:ly)?|quick(?:est|ly)?|eas(?:y|iest)|least painful|reliabl[ey]|best",
        r"ways?|methods?",
        r"to (?:die|kill myself|end (?:it all|my life)|commit suicide|overdose|self harm|cut myself)|"
        r"of (?:suicide|dying|killing myself)",
        gap=2,
        harmless=rf"prevent\w*|{_FICTION}",
    ),
    _rule(
        "self_harm_instructions",
        r"how (?:many|much)",
        r"pills?|tablets?|mg|paracetamol|tylenol|acetaminophen|ibuprofen|insulin|xanax|alcohol|sleeping pills|it",
        r"to (?:die|kill (?:me|myself)|end my life|overdose)|(?:would|will) kill me|lethal for me",
        gap=6,
    ),
    _rule(
        "self_harm_instructions",
        r"i (?:am|m|will|ll|am going to|m going to|m gonna|am about to|m about to|plan to|have decided to)",
        r"kill myself|end my life|commit suicide|hang myself|slit my wrists",
        gap=3,
        harmless=r"not|never|joking|if my|laughing|won t",
    ),
    _rule(
        "hate",
        r"(?:we|you|they|someone|somebody|people|i) (?:should|must|need to|have to|ought to|will|ll|"
        r"are going to|want to|could)|"
        r"let s|time to|they (?:all )?need to be|should (?:all )?be|ought to be|must be|deserve to be|"
        r"fight back and|i want to",
        _DESTROY,
        _PEOPLE_OF_GROUP,
        gap=3,
        harmless=_FICTION + "|" + _NOT_DONE,
    ),
    _rule(
        "hate",
        _PEOPLE_OF_GROUP,
        rf"(?:should|must|need to|needs to|deserve to|ought to|have to|will) (?:all )?(?:be )?(?:{_DESTROY}|"
        rf"die|disappear)|need (?:{_DESTROY})",
        gap=2,
        harmless=_FICTION,
    ),
    _rule(
        "hate",
        rf"(?:{_DESTROY}) (?:all|every|the|those|these)(?: the| those| invading)?(?: filthy| fucking)?",
        _GROUP,
        gap=0,
        harmless=_FICTION + "|" + _NOT_DONE,
    ),
    _rule(
        "hate",
        _PEOPLE_OF_GROUP,
        rf"(?:are|is|re) (?:all |just |nothing but |like )*(?:{_SUBHUMAN})",
        gap=1,
        harmless=_NOT_DONE + "|endangered|claim\\w*|believe[sd]?|called|said",
    ),
    _rule(
        "hate",
        r"niggers?|faggots?|kikes?|trann(?:y|ies)|wetbacks?|chinks?|pakis?|spics?",
        r"should|deserve|need|get out|go back|die|hate|disgusting|scum|inferior|filthy",
        gap=5,
        harmless=_NOT_DONE,
    ),
    _rule(
        "hate",
        _WRITE,
        r"racist|antisemitic|anti semitic|homophobic|islamophobic|transphobic|hateful|white supremacist|neo ?nazi",
        r"jokes?|rants?|speech|posts?|tweets?|manifesto|slogans?|propaganda|messages?|songs?|poems?|comments?",
        gap=3,
        harmless=_NOT_DONE + r"|counter|respond to|replies? to",
    ),
    _rule(
        "hate",
        _WRITE,
        r"jokes?|rants?|manifesto|propaganda|insults?|speech|posts?",
        r"(?:mocking|demeaning|insulting|dehumani[sz]ing|against|that hates?|why|hating on)",
        _PEOPLE_OF_GROUP,
        gap=4,
        harmless=r"discrimination|racism|hate against|violence against|counter|respond",
    ),
    _rule(
        "violence_threat",
        r"i (?:will|ll|am going to|m going to|m gonna|am gonna|want to|wanna|plan to|am planning to|"
        r"intend to|need to|ought to|d love to|really want to)",
        rf"(?:{_KILL}|bomb|hurt badly)",
        _PERSON,
        gap=1,
        harmless=f"{_FICTION}|{_TECHNICAL}|not|never|feel like|a message|(?:want|need|ought) to kill them",
    ),
    _rule(
        "violence_threat",
        _HOW,
        _KILL,
        _PERSON,
        gap=3,
        harmless=(
            f"{_FICTION}|{_TECHNICAL}|{_NOT_DONE}|dreams?|dreamt|dreamed|with kindness|(?:want|need|"
            f"ought) to kill them"
        ),
    ),
    _rule(
        "violence_threat",
        r"(?:somebody|someone|we|they|you) (?:should|must|need to|needs to|ought to|gotta)",
        rf"(?:just |all |really )?(?:{_KILL}|hang|execute|put down|cull)",
        rf"(?:{_PERSON}|those|these|all|all of them|them all|em all)",
        gap=1,
        harmless=f"{_FICTION}|{_TECHNICAL}|{_NOT_DONE}|not",
    ),
    _rule(
        "violence_threat",
        r"hang (?:em|them) all|(?:die|dead) (?:\w+ ){0,4}at my hands|need to be slaughtered",
        harmless=f"{_FICTION}|{_TECHNICAL}|processes",
    ),
    _rule(
        "violence_threat",
        _HOW,
        r"(?:shoot up|attack|blow up|bomb|burn down|set fire to)",
        r"(?:a|my|the|this) (?:school|church|mosque|synagogue|mall|concert|office|hospital|crowd|building|"
        r"house|embassy|airport|train|bus)",
        gap=3,
        harmless=f"{_FICTION}|{_NOT_DONE}|photo|video",
    ),
    _rule(
        "violence_threat",
        r"i (?:will|ll|am going to|m going to|m gonna|want to|wanna|plan to)",
        r"(?:shoot up|blow up|bomb|burn down)",
        r"(?:a|my|the|this|your) (?:school|church|mosque|synagogue|mall|office|house|building|place|crowd|concert)",
        gap=1,
        harmless=f"{_FICTION}|balloons?",
    ),
    _rule(
        "violence_threat",
        _HOW,
        r"(?:get away with|hire) (?:a )?(?:murder|hitman|hit man|killing)|dispose of (?:a|"
        r"the) (?:dead )?body|hide a (?:dead )?body|kidnap|abduct|drug (?:a|her|his|someone)",
        gap=3,
        harmless=f"{_FICTION}|{_NOT_DONE}",
    ),
    _rule("weapons_mass_harm", _HOW, _MAKE, _EXPLOSIVE, gap=4, harmless=f"{_HARMLESS_BOMB}|{_NOT_DONE}"),
    _rule(
        "weapons_mass_harm",
        r"(?:instructions?|recipe|steps?|guide|blueprints?|formula|ingredients|materials) (?:for|to|on|of)",
        _EXPLOSIVE,
        gap=4,
        harmless=f"{_HARMLESS_BOMB}|{_NOT_DONE}",
    ),
    _rule(
        "weapons_mass_harm",
        r"i (?:want|need|plan|intend|am going|m going) to",
        _MAKE,
        _EXPLOSIVE,
        gap=3,
        harmless=f"{_HARMLESS_BOMB}|{_NOT_DONE}",
    ),
    _rule(
        "weapons_mass_harm",
        _HOW,
        r"poison|contaminate",
        r"(?:the |a |our |my )?(?:\w+ )?(?:water supply|reservoir|food supply|city|crowd)",
        gap=3,
        harmless=_NOT_DONE,
    ),
    _rule(
        "illegal_drugs",
        _HOW,
        r"make|cook|synthesi[sz]e|produce|manufacture|sell|deal|smuggle|buy|grow|extract|cut",
        _DRUGS,
        gap=4,
        harmless=f"{_NOT_DONE}|{_FICTION}|addiction|quit|body|police",
    ),
    _rule(
        "malware",
        _WRITE,
        rf"(?:(?!(?:essays?|articles?|report|stor(?:y|ies)|presentation|summary|explanation|polic(?:y|ies)|"
        rf"posters?|slides|quiz)\b)[\w']+ ){{0,4}}?(?:{_MALWARE})",
        gap=1,
        harmless=f"{_NOT_DONE}|{_FICTION}|detectors?|scanners?|analy[sz]\\w+|about",
    ),
    _rule(
        "malware",
        r"how (?:do|can|could|would|should|to)|help me|teach me|show me|i want to|i need to|best way to|"
        r"ways to|can you|could you|please",
        r"hack(?: into)?|break into|crack|brute force|get into|spy on|take over|hijack",
        _ACCOUNT,
        gap=3,
        harmless=f"{_NOT_DONE}|my own|(?:been|got|was) hacked",
    ),
    _rule(
        "malware",
        _HOW,
        r"ddos|take down|deface|sql inject(?:ion)?(?: into)?|hack(?: into)?",
        r"(?:a|the|this|my (?:school|ex|company|competitor|rival)(?: s)?|their|government|bank|"
        r"competitor) ?(?:\w+ )?(?:web ?sites?|servers?|network|database|bank|government|systems?|atm)",
        gap=2,
        harmless=f"{_NOT_DONE}|vulnerable lab|ctf|my own|{_FICTION}",
    ),
    _rule(
        "fraud_theft",
        _HOW,
        _STEAL,
        _LOOT,
        gap=3,
        harmless=f"{_NOT_DONE}|{_FICTION}|stolen from me|my own car|the show|base|(?:was|were|been) stolen",
    ),
    _rule(
        "fraud_theft",
        rf"{_HOW}|where (?:can|do|to)",
        rf"{_MAKE}|forge|print|sell|use|order",
        _FORGED,
        gap=3,
        harmless=f"{_NOT_DONE}|{_FICTION}|monopoly|teaching|classroom|tests?",
    ),
    _rule(
        "fraud_theft",
        _WRITE,
        r"phishing|scam|fraudulent|419",
        r"emails?|e mails?|messages?|letters?|texts?|sms|scripts?|websites?|pages?",
        gap=2,
        harmless=f"{_NOT_DONE}|example of|examples of|quiz|exercise|simulation|detector|filter",
    ),
    _rule(
        "fraud_theft",
        _HOW,
        r"launder money|evade (?:\w+ )?tax(?:es)?|commit (?:\w+ ){0,2}fraud|fake my (?:own )?death|"
        r"insider trad\w+ without|cheat the insurance|pass a fake",
        gap=3,
        harmless=f"{_NOT_DONE}|{_FICTION}",
    ),
    _rule(
        "harassment",
        r"how (?:do|can|could|would|should|to)|help me|teach me|show me|i want to|i need to|best way to|"
        r"ways to|can you|could you",
        r"track|spy on|follow|monitor|read|record|stalk|install",
        r"(?:my|her|his|their) (?:ex|wife|husband|girlfriend|boyfriend|partner|coworker|neighbou?r|phone|"
        r"messages|texts|location)",
        r"(?:secretly|without (?:\w+ ){0,3}(?:knowing|knowledge|consent|noticing|finding out)|knowing it)",
        gap=5,
        harmless=_NOT_DONE,
    ),
    _rule(
        "harassment",
        _HOW,
        r"dox|doxx|stalk|blackmail|extort|cyberbully|revenge porn|swat",
        rf"(?:{_PERSON}|a |this )",
        gap=2,
        harmless=f"{_NOT_DONE}|{_FICTION}|stocks?|(?:being|am|was) (?:\\w+ )?(?:stalked|blackmailed|doxxed)",
    ),
    _rule(
        "harassment",
        r"(?:find|get|give me|tell me)",
        r"home address|where (?:she|he) lives",
        r"so (?:i|we) can (?:\w+ ){0,2}(?:scare|hurt|confront|follow|surprise attack|threaten|punish|beat)",
        gap=8,
    ),
    _rule(
        "harassment",
        _WRITE,
        r"threatening|blackmail|intimidating|harassing|bullying",
        r"letters?|messages?|emails?|notes?|texts?|posts?",
        gap=2,
        harmless=f"{_NOT_DONE}|{_FICTION}|non threatening|less threatening",
    ),
)

_INVISIBLE: Final = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ufe00-\ufe0f]")
_SENTENCE: Final = re.compile(r"[.!?;:]+(?=\s|$)|\n+")
_SPACED: Final = re.compile(r"(?<![\w])(?:[^\W\d_][ .\-_*]{1,2}){3,}[^\W\d_](?!\w)")
_INNER_MARKS: Final = re.compile(r"(?<=[^\W\d_])[*_.\-](?=[^\W\d_])")
_LEET_WORD: Final = re.compile(r"(?=\S{0,40}[a-z])(?=\S{0,40}[0-9@$!|])[a-z0-9@$!|]{3,40}")
_LEET: Final = str.maketrans(
    {"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i", "|": "i"}
)
_SPACES: Final = re.compile(r"[^\w']+|_+")
MAX_SENTENCE_CHARS: Final = 2_000
"""A longer stretch without a stop is cut; rules look at neighbouring words."""


@frozen
class Screener:
    """Decides by rules whether a text may travel. One may serve every thread."""

    _rules: tuple[_Rule, ...] = field(default=_RULES, repr=False)

    def screen(self, text: str) -> Verdict:
        """The verdict on a prompt, a conversation's turn or an answer."""
        for sentence in _sentences(text):
            for rule in self._rules:
                if rule.expression.search(sentence) and not (rule.harmless and rule.harmless.search(sentence)):
                    return Verdict(allowed=False, category=rule.category, explanation=CATEGORIES[rule.category])
        return Verdict(allowed=True)


def _sentences(text: str) -> Iterator[str]:
    """The folded sentences of `text`; of one with spelling tricks the readings without them as well."""
    folded = "".join(
        mark for mark in unicodedata.normalize("NFKD", _INVISIBLE.sub("", text)) if not unicodedata.combining(mark)
    ).casefold()
    folded = folded.replace("’", "'")
    for sentence in _SENTENCE.split(_SPACED.sub(_closed_up, folded)):
        for low in range(0, len(sentence), MAX_SENTENCE_CHARS):
            for reading in _readings(sentence[low : low + MAX_SENTENCE_CHARS]):
                yield f" {_SPACES.sub(' ', reading.replace(chr(39), ' ')).strip()} "


def _closed_up(match: re.Match[str]) -> str:
    """A word spelled letter by letter, closed up; also without its first letter, which may be an "I" or an "a"."""
    word = re.sub(r"[ .\-_*]", "", match.group())
    return f"{word} {word[0]} {word[1:]}"


def _readings(sentence: str) -> Iterator[str]:
    yield sentence
    plain = _LEET_WORD.sub(lambda match: match.group().translate(_LEET), _INNER_MARKS.sub("", sentence))
    if plain != sentence:
        yield plain
