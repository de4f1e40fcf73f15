"""Words that show what a sentence is for: verbs that ask, verbs that say how, words that say nothing.

Rules:

1. A list here only proposes; the grammar around the word decides (`_kinds`, `_imperatives`).
2. A verb is in `TASK_VERBS` when a sentence that opens with it asks for something, whatever follows. Most verbs are
   nouns as well ("word", "price"): those are known by what follows them, and need no list.
"""

from typing import Final

from privacy.exposure import word_set

CREATING: Final = word_set(
    """
    write draft compose create generate make design invent list give suggest name pick choose propose prepare plan
    outline recommend build develop produce code implement brainstorm sketch devise craft formulate
    """
)
TRANSFORMING: Final = word_set(
    """
    translate rewrite summarize summarise rephrase paraphrase shorten simplify convert proofread correct fix edit
    improve polish expand format sort rank reword condense review refactor debug analyze analyse annotate transcribe
    explain describe check classify extract compare rework reformulate critique interpret
    prioritise prioritize
    """
)
_ANSWERING: Final = word_set(
    """
    define tell find calculate compute solve show help discuss identify evaluate determine estimate provide state
    answer research predict recite count spell prove derive illustrate elaborate advise teach demonstrate contrast
    optimize optimise test verify conjugate differentiate integrate factor simulate draw plot print look
    enumerate work figure get combine merge turn put change replace remove assess diagnose schedule organize organise
    set search locate quote guess rate clarify recap debunk demystify decipher decode pinpoint troubleshoot untangle
    visualize visualise quiz argue defend justify criticise criticize persuade convince debate
    """
)
ADDRESSING: Final = word_set(
    """
    ask remind congratulate persuade convince console comfort reassure nudge welcome thank invite introduce apologize
    apologise announce decline encourage motivate inform notify warn alert greet cheer
    """
)
"""What one does to somebody by a letter or a message: to write it is the task."""
_FOREIGN: Final = word_set(
    """
    formuliere formulier entwirf erfinde verbessere korrigiere kürze fasse rechne prüfe empfiehl zähle zeig zeige
    erklär
    corrige corrigez trouve trouvez suggère suggérez dis dites invente rédigez proposez comparez raconte
    dime corrige busca recomienda sugiere recomiéndame explícame escríbeme ayúdame cuéntame inventa
    schreib schreibe verfasse erkläre übersetze nenne beschreibe gib erstelle berechne vergleiche
    écris écrivez explique expliquez traduis traduisez décris donne donnez résume propose calcule compare rédige
    escribe explica traduce describe dame resume propón calcula compara redacta
    scrivi spiega traduci descrivi dammi riassumi proponi calcola confronta elenca
    napisz wyjaśnij przetłumacz opisz podaj wymień streść zaproponuj oblicz porównaj ułóż popraw
    schrijf vertaal beschrijf noem geef bereken vergelijk
    """
)
"""The commonest in German, French, Spanish, Italian, Polish and Dutch; questions need none."""
TASK_VERBS: Final = CREATING | TRANSFORMING | _ANSWERING | ADDRESSING | _FOREIGN
REMARK_VERBS: Final = word_set(
    """
    act roleplay pretend imagine include use keep avoid be add ensure limit start end begin focus remember note assume
    consider return output respond reply don't never always stick cite refrain leave omit mind pay
    mention highlight emphasise emphasize stress offer promise sign insist refer recall see
    """
)
DISTRIBUTED: Final = word_set(
    """
    define explain describe translate answer solve correct convert spell compute calculate respond
    """
)
GENERIC: Final = word_set(
    """
    answer following question questions task tasks thing things help need want several few some three two four five
    couple many list please respond reply item items request requests give tell have got like know ask wonder wondering
    todo points point different various separate independent quick hi hello hey thanks thank advance kindly could can
    pls plz thx ok okay u w unrelated small little tiny totally completely jobs job bits stuff ones
    ich brauche bräuchte hilfe bitte danke hallo mal wieder ein paar zwei drei fragen sachen dinge du mir kannst helfen
    hola buenas necesito varias algunas cosas preguntas ayuda gracias por favor bonjour merci aide choses
    today first second third one morning afternoon evening good dear everyone assistant favour favours favor favors
    """
)
"""Words of a lead that says nothing but that tasks follow."""

PROCEDURE: Final = word_set(
    """
    preheat mix stir bake boil simmer fry chop slice pour whisk knead drain serve season grease cover heat cool roll
    sprinkle peel dice grate marinate beat fold sift melt blend toss click press tap install select insert screw attach
    unscrew wash rinse wipe dry cut glue push pull lift drive ride cross park wait sit stand hold hang open close
    switch plug unplug drag drop type enter log restart reboot shut download upload save copy paste delete go take
    bring put place leave let transfer remove add combine feed water buy call collect fetch visit meet attend pay clean
    """
)
"""What a person does with the hands: the steps of a recipe or a manual, which is not taken apart."""
NO_VERBS: Final = word_set(
    """
    about above across after against along amid among around as at before behind below beneath beside besides between
    beyond but by concerning considering despite down during except excluding following for from given in including
    inside instead into like near of off on onto opposite out outside over past per plus regarding since than through
    throughout till to toward towards under underneath unlike until up upon versus via with within without
    and or nor so yet although though because if unless when whenever where wherever whereas while once whether that
    only even just also too then there here now today tonight tomorrow yesterday soon later again still never always
    often sometimes maybe perhaps however therefore thus hence meanwhile otherwise moreover indeed almost both either
    neither not no none all any some every each half quite rather such what which who whom whose why how
    i you he she it we they me him her us them my your his its our their this these those mine someone somebody
    everyone everybody nobody nothing something everything anyone anything one two three four five six seven eight
    nine ten am is are was were be been being do does did has have had can could may might must shall should will
    would ought a an the
    got made bought went sold lost found told gave took left met saw ate drank wrote began broke came felt forgot grew
    heard kept knew led paid ran said sent slept spent stood taught thought understood won built caught chose drew
    drove fell flew held hurt laid lent meant rode rose sang sat shot spoke stole swam threw wore
    monday tuesday wednesday thursday friday saturday sunday january february march april may june july august
    september october november december last next most more less least many much few several another other
    let trust excuse believe forgive pardon bear say suppose
    hi hello hey dear thanks sorry yes okay ok well oh name age date reason born mum mom dad
    """
)
"""Words that open a sentence before an article or a pronoun and are no instruction: "While the", "Got a"."""
