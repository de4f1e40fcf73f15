"""The recipe of the entity recogniser: `make train-detector`.

texts/       texts of ours, with slots and labels      ->  blocks     parses them
values       what fills a slot, in many forms
corpora      labelled data of others, read in place
casing       what people do to text: lower case, capitals, typos
prepare      all of it, as examples for `spacy train`
train        prepares, trains, measures, packages
"""
