"""How places, postcodes and streets are written: the pieces that expressions for addresses are made of.

Rule: every repetition is bounded, since these stand inside other repetitions.
"""

from typing import Final

from privacy.exposure import word_set

CAPITALISED: Final = r"[^\W\d_a-zà-öø-ÿ][\w'’.-]{0,40}"
"""A word with a capital, or one in a script without them."""
PLACE: Final = r"(?:(?:St|Ste|Mt|Ft)\.|[^\W\d_a-zà-öø-ÿ](?:[^\W\d_]|['’-]){1,40}(?!\w))"
"""A capitalised word without digits or full stop, as places are called."""
STATES: Final = (
    "AL|AK|AZ|AR|CA|CO|CT|DE|DC|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|OH|OK|"
    "OR|PA|PR|RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY|AA|AE|AP|"
    "ON|QC|BC|AB|MB|SK|NS|NB|NL|PE|NSW|VIC|QLD|TAS"
)
STATE_NAMES: Final = (
    "Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut|Delaware|Florida|Georgia|Hawaii|Idaho|Illinois|"
    "Indiana|Iowa|Kansas|Kentucky|Louisiana|Maine|Maryland|Massachusetts|Michigan|Minnesota|Mississippi|Missouri|"
    "Montana|Nebraska|Nevada|New (?:Hampshire|Jersey|Mexico|York)|North (?:Carolina|Dakota)|Ohio|Oklahoma|Oregon|"
    "Pennsylvania|Rhode Island|South (?:Carolina|Dakota)|Tennessee|Texas|Utah|Vermont|Virginia|Washington|"
    "West Virginia|Wisconsin|Wyoming"
)
UK_POSTCODE: Final = r"(?:GIR 0AA|[A-Z]{1,2}\d[A-Z\d]? \d[ABD-HJLNP-UW-Z]{2})"
CANADA_POSTCODE: Final = r"[ABCEGHJ-NPRSTVXY]\d[A-Z] ?\d[A-Z]\d"
POSTCODE: Final = (
    rf"(?:{UK_POSTCODE}|{CANADA_POSTCODE}|"
    r"(?:[A-Z]{1,2}-)?\d{4,6}(?:-\d{3,4})?(?:\s?[A-Z]{2}(?!\w))?|\d{2}-\d{3}|\d{3} \d{2})(?!\w)"
)


# What streets are called, and the small words of their names.
ENGLISH_STREETS: Final = (
    "Street|St|Str|Avenue|Ave|Av|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Circle|Cir|Place|Pl|"
    "Square|Sq|Terrace|"
    "Ter|Parkway|Pkwy|Highway|Hwy|Way|Trail|Trl|Close|Crescent|Cres|Gardens|Gdns|Grove|Mews|Row|Alley|Plaza|Loop|"
    "Turnpike|Tpke|Esplanade|Quay|Wharf|Walk|Broadway|Hill|Rise|Green|Park"
)
GERMANIC_ENDINGS: Final = (
    "stra(?:ß|ss)e|str\\.|gasse|weg|platz|allee|damm|ufer|(?<=[dglmnstz])ring|straat|laan|plein|gracht|"
    "kade|dijk|gatan|gata|gade|stræde|plads|vägen|vej|veien|katu|tie|kuja|polku|stræti|utca"
)
GERMANIC_WORDS: Final = (
    "Stra(?:ß|ss)e|Str\\.|Allee|Platz|Weg|Damm|Ring|Ufer|[Vv]ej|väg|[Gg]ate|[Gg]ade|Plads|baan|utca|u\\."
)
NUMBER_FIRST_ENDINGS: Final = "gatan|gata|gade|vägen|straat|gracht|laan|stra(?:ß|ss)e|gasse|platz|allee|katu|utca"
ROMANCE_STREETS: Final = (
    "rue|avenue|av\\.|boulevard|bd|place|chemin|allée|impasse|quai|cours|route|square|faubourg|calle|c/|avenida|"
    "avda\\.?|paseo|plaza|carrer|via|viale|piazza|corso|vicolo|largo|rua|travessa|ulica|ul\\.|al\\.|aleja|plac|pl\\."
)
ROMANCE_FIRST_WORDS: Final = word_set(
    "rue avenue av boulevard bd place chemin allée impasse quai cours route square faubourg calle c avenida avda "
    "paseo plaza carrer via viale piazza corso vicolo largo rua travessa ulica ul al aleja plac pl"
)
ROMANCE_PARTICLES: Final = (
    "de la|de l['’]|del|della|delle|dei|des|de|du|da|do|dos|d['’]|la|le|les|l['’]|los|las|el|san|santa|saint"
)
COMPASS: Final = "N|S|E|W|NE|NW|SE|SW|North|South|East|West"
UNITS: Final = "Apt|Apartment|Suite|Ste|Unit|Flat|Floor|Fl|Room|Rm|Bldg|Building|Piso|Wohnung|Whg"
POSTCODE_NAMES: Final = (
    "zip(?:[ -]?code)?|post ?code|postal code|plz|code postal|código postal|postleitzahl|postnummer|postnr\\.?|cap"
)
POSTCODE_FIRST_WORDS: Final = word_set(
    "zip zipcode post postcode postal plz code código postleitzahl postnummer postnr cap"
)
BOX_FIRST_WORDS: Final = word_set(
    "p po postfach post apartado psc boîte casella postboks postbus caixa unit cmr uss usns uscgc usnv"
)
