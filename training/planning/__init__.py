"""How the planner's judge is made: from labelled prompts of ours to weights that `privacy.planning` loads."""
