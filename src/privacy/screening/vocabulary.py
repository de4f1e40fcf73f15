"""The vocabulary of the rules: expressions for who asks, what is asked for, and what makes it harmless.

Each is a part of an expression over words as they stand after folding (`folding`): lower case, one space between two.
"""

from typing import Final

__all__ = [
    "ACCOUNT",
    "ASKED",
    "DESTROY",
    "DRUGS",
    "EXPLICIT",
    "EXPLOSIVE",
    "FICTION",
    "FORGED",
    "FRAUD",
    "GROUP",
    "HARMLESS_BOMB",
    "HOW",
    "INTENT",
    "KILL",
    "LOOT",
    "MAKE",
    "MALWARE",
    "MINOR",
    "NOT_DONE",
    "PEOPLE_OF_GROUP",
    "PERSON",
    "PESTS",
    "PROTECT_CHILD",
    "SELF_HARM",
    "STEAL",
    "SUBHUMAN",
    "TECHNICAL",
    "VIOLENT_CRIME",
    "WRITE",
]

HOW: Final = (
    r"how (?:do|can|could|would|should|might|to|does)|ways? (?:to|of)|steps? (?:to|for)|instructions? (?:to|for|on)|"
    r"guide (?:to|for|on)|tutorial (?:to|for|on)|recipe for|teach me|show me|tell me|explain how|help me|i want to|"
    r"i need to|i d like to|best way|easiest way|method (?:to|of|for)|plan to|need you to|can you|could you"
)
ASKED: Final = (
    r"how (?:do|can|could|would|should|to)|help me|teach me|show me|i want to|i need to|best way to|"
    r"ways to|can you|could you"
)
INTENT: Final = (
    r"i (?:will|ll|am going to|m going to|m gonna|am gonna|want to|wanna|plan to|am planning to|"
    r"intend to|need to|ought to|d love to|really want to)"
)
MAKE: Final = (
    r"make|making|build|building|create|creating|construct|assemble|synthesi[sz]e|synthesi[sz]ing|produce|manufacture|"
    r"cook|brew|extract|culture|weaponi[sz]e|obtain|acquire|buy|get hold of|3d print|detonate|set off"
)
WRITE: Final = r"write|generate|create|make|give me|draft|compose|produce|code|develop|program|build|tell"
PERSON: Final = (
    r"someone|somebody|anyone|a (?:person|man|woman|human|kid|child|guy|girl|neighbou?r|cop|teacher|stranger)|people|"
    r"humans|everyone|everybody|him|her|them|you(?! tube)|those people|"
    r"(?:my|his|her|their|our|your) (?:ex|wife|husband|girlfriend|boyfriend|boss|neighbou?rs?|brother|sister|"
    r"mother|father|mom|mum|dad|parents|family|classmates?|coworkers?|co workers?|colleagues?|teacher|roommate|kids?|"
    r"children|friends?|partner|stepdad|stepmother|landlord)|(?:the|this|that) (?:president|mayor|judge|senator|bitch)"
)
KILL: Final = (
    r"kill|murder|shoot|stab|strangle|behead|slaughter|lynch|assassinate|poison|suffocate|torture|maim|execute|"
    r"run over|burn alive|beat up|beat to death|choke"
)
VIOLENT_CRIME: Final = (
    r"(?:get away with|hire) (?:a )?(?:murder|hitman|hit man|killing)|dispose of (?:a|the) (?:dead )?body|"
    r"hide a (?:dead )?body|kidnap|abduct|drug (?:a|her|his|someone)"
)
FICTION: Final = (
    r"novel|fiction|fictional|story|stories|screenplay|script for|film|movie|game|games|gameplay|character|characters|"
    r"chess|minecraft|boss fight|boss level|npcs?|zombies?|quest|song|lyrics|metaphor|idiom|play|opera|joke"
)
PESTS: Final = (
    r"weeds?|nettles|bugs?|bed ?bugs|bacteria|virus|viruses|germs|mosquito(?:e?s)?|ants?|rats?|mice|mouse|moles|voles|"
    r"moths?|fleas?|ticks?|mites|grass|moss|algae|mold|mould|mildew|fungus|stumps?|wasps?|hornets?|flies|gnats|"
    r"(?:cock)?roach(?:es)?|lice|slugs?|snails?|aphids|termites|spiders|maggots|nits|larvae|ivy|cancer cells?|fish|"
    r"lobsters?|crabs|mussels|process|processes|threads?|jobs?|tasks?|containers?|daemons?|sessions?|workers|pids?"
)
TECHNICAL: Final = (
    r"without (?:a )?flash|lens|tripod|low light|portraits?|all the lights|water (?:pistol|gun)|paintball|laser tag|"
    r"judo|wrestling|martial arts|sparring|python|server|port|docker|linux|photos?|pictures?|video|videos|footage|"
    rf"film|camera|hoops|basketball|email|message|time|mood|vibe|conversation|tree|{PESTS}"
)
NOT_DONE: Final = (
    r"prevent|preventing|prevention|protect|protecting|avoid|avoiding|detect|detecting|detection|recogni[sz]e|"
    r"recogni[sz]ing|report|reporting|stop (?:him|her|them|someone|people|it)|defend|defen[sc]e|against (?:phishing|"
    r"malware|ransomware|fraud|scams?)|awareness|remove|removal|victims?|survivors?|history|historical|essay|article|"
    r"news|law|laws|legal|illegal|statistics|why (?:do|did|would|is|are)|happened|documentary|wrong to|mitigate|"
    r"training|support for|cope|coping|fake or real"
)
MINOR: Final = (
    r"child(?:ren)?|kids?|minors?|underage(?:d)?|pre ?teens?|toddlers?|infants?|bab(?:y|ies)|school ?girls?|"
    r"school ?boys?|little (?:girl|boy)s?|young (?:girl|boy)s?|(?:[1-9]|1[0-7]) ?(?:yo|y o|yr old|"
    r"years? old|year olds?)|"
    r"(?:[5-9]|1[0-7]) ?yo ?(?:girl|boy)?|loli(?:ta)?s?|jailbait"
)
EXPLICIT: Final = (
    r"porn|porno|pornography|nudes|erotica?|hentai|sexual(?:ly)? (?:story|stories|scene|explicit|"
    r"fantas(?:y|ies)|content|"
    r"photos?|pictures?|images?|videos?|acts?)|having sex|have sex|sex (?:with|scene|story|video|tape)|xxx|"
    r"blow ?jobs?|"
    r"masturbat\w+|(?<!the )fuck(?:s|ed)?(?! up| off| this| that| it| you)|fucking (?:an?|my|his|her|their|with)|"
    r"molest\w*|rap(?:e|ing) (?:a|him|her|them)|cum|cock|pussy|naked (?:pics?|pictures?|photos?|"
    r"images?|videos?)|nude (?:pics?|pictures?|photos?|images?|videos?)|incest|seduc\w+|lewd"
)
PROTECT_CHILD: Final = (
    r"protect|protecting|prevent|preventing|report|reporting|education|law|laws|policy|survivors?|victims?|therapy|"
    r"therapist|awareness|talk to|explain to|research|statistics|investigat\w+|convicted|arrested|charged|accused|"
    r"abused (?:as|when)|was (?:abused|raped|molested)|not (?:have|having)|don t have|do not have|safe|"
    r"breastfe\w+|postpartum|contracepti\w+|"
    r"(?:during|after) (?:the |a |our |my |her |giving |having )*(?:birth|delivery|baby)|"
    r"safety|crime|possession|punishable|offen[sc]e|disgusting"
)
GROUP: Final = (
    r"jews?|jewish people|jewboys?|muslims?|islamics?|christians|hindus|sikhs|blacks|black people|whites|white people|"
    r"asians?|arabs?|mexicans?|immigrants?|migrants?|refugees|gays?|gay people|homosexuals?|lesbians?|transgenders?|"
    r"trans(?:gender)? (?:people|person|women|men)|trann(?:y|ies)|fags?|faggots?|gyps(?:y|ies)|roma people|africans|"
    r"chinese(?: people)?|indians|pakis?|disabled people|the disabled|niggers?|niggas?|kikes?|infidels|women|feminists"
)
PEOPLE_OF_GROUP: Final = rf"(?:all |the |those |these |every |filthy |fucking |some |more )*(?:{GROUP})"
DESTROY: Final = (
    r"kill(?:ed|ing|in)?|murder(?:ed)?|exterminat(?:e|ed|ing)|slaughter(?:ed)?|gas(?:sed)?|lynch(?:ed)?|hang(?:ed)?|"
    r"shoot|shot|stab|wiped? out|eradicat(?:e|ed)|annihilat(?:e|ed)|burn(?:ed|t)?|behead|liquidate|extinguished|"
    r"cull(?:ed)?|rape|starve"
)
SUBHUMAN: Final = (
    r"subhumans?|vermin|rats|lice|maggots|parasites?|cockroach(?:es)?|animals|monkeys|apes|scum|filth|a cancer|"
    r"a plague|inferior|not human|trash|should not exist|shouldn t exist|don t deserve to live"
)
MALWARE: Final = (
    r"ransomware|malware|key ?loggers?|trojans?(?: horse)?|rootkits?|botnets?|spyware|computer (?:virus|worm)|"
    r"(?:self )?replicating (?:virus|worm)|stealers?|remote access trojan|exploit kit|phishing (?:kit|page|site)|"
    r"cookie (?:stealer|grabber)|token grabber|credential harvest\w+|fork bomb for|virus that"
)
EXPLOSIVE: Final = (
    r"(?:pipe |nail |car |dirty |nuclear |petrol |fertili[sz]er |homemade |suicide |atomic |"
    r"pressure cooker |letter )*bombs?|"
    r"explosives|explosive(?= $| (?:devices?|vests?|belts?|charges?|from|with|at|out|using|that))|ieds?|"
    r"molotov(?: cocktails?)?|c4|tatp|nitroglycerin|semtex|"
    r"nerve (?:agents?|gas)|sarin|vx gas|"
    r"ricin|anthrax|mustard gas|chlorine gas|poison gas|botulinum toxin|smallpox|bio ?weapons?|chemical weapons?|"
    r"biological weapons?|nuclear weapons?|ghost guns?|untraceable guns?|silencers?|grenades?|napalm|thermite"
)
HARMLESS_BOMB: Final = (
    r"bath|calorimeter|cherry|cocoa|chocolate|seed|photo ?bombs?|glitter|smoke detector|logic|minecraft|shelter|"
    r"disposal|defuse|squad|jager|hydrate|sex|cyclone|treaty|nonproliferation|museum|exhaust|toy|cosplay|"
    r"costume|cake|lawn ?mower|prop|"
    rf"manhattan project|inspections?|{FICTION}"
)
DRUGS: Final = (
    r"meth|methamphetamine|crystal meth|crack(?! (?:free|fill\w+|seal\w+|repair|noise|of|in))|cocaine|heroin|"
    r"fentanyl|mdma|ecstasy|lsd|ghb|rohypnol|"
    r"date rape drugs?|krokodil"
)
ACCOUNT: Final = (
    r"(?:someone(?: else)?|somebody|anyone|another person|a person|people|other people|(?:my|his|her|"
    r"their) (?:ex|wife|husband|"
    r"girlfriend|boyfriend|boss|neighbou?r|friend|coworker|classmate|teacher|partner|roommate|school|"
    r"company|employer|bank))(?: s)?(?: [\w']+){0,2} (?:accounts?|phones?|computers?|laptops?|wi ?fi|network|emails?|"
    r"facebook|instagram|snapchat|whatsapp|gmail|passwords?|webcams?|messages|icloud|database|server|systems?)"
)
FORGED: Final = (
    r"(?:fake|counterfeit|forged|false) (?:ids?|passports?|money|bills|banknotes|currency|checks?|cheques?|"
    r"prescriptions?|"
    r"diplomas?|degrees?|driver s licen[cs]es?|identity|vaccination cards?|invoices?|documents?|licen[cs]es?)|"
    r"counterfeit(?:ing)? (?:money|bills|currency)|stolen (?:credit )?cards?|cloned cards?"
)
FRAUD: Final = (
    r"launder money|evade (?:\w+ )?tax(?:es)?|commit (?:\w+ ){0,2}fraud|fake my (?:own )?death|"
    r"insider trad\w+ without|cheat the insurance|pass a fake"
)
SELF_HARM: Final = (
    r"(?:kill|hang|drown|cut|hurt|harm|starve|poison|burn|shoot|suffocate|overdose) (?:myself|yourself|oneself)|"
    r"end my (?:own )?life|commit(?:ting)? suicide|overdose on|slit my|purge without|starve myself"
)
STEAL: Final = (
    r"steal|stealing|shoplift|shoplifting|rob|robbing|burgle|burglari[sz]e|pickpocket|embezzle|launder(?:ing)?|"
    r"hot ?wire|skim|defraud|scam|con|forge|swindle"
)
LOOT: Final = (
    r"cars?|bikes?|money|cash|(?:credit )?cards?(?: numbers?| details| information)?|identit(?:y|ies)|"
    r"stores?|shops?|banks?|"
    r"house|jewell?ery|passwords?|wallets?|packages|elderly|old people|seniors|customers|investors|"
    r"signature|checks?|from (?:my|a|the) (?:work|job|employer|store|shop|company|supermarket|neighbou?r)|insurance"
)
