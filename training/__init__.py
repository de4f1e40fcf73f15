"""How the packaged models are made: from texts and labelled data to what `privacy` loads. Nothing here is shipped."""
