"""The portal: pages for people and an API for programs, over the operator's database.

A request goes through `app` (is it for us, may it, from where), which finds its route (`table`, `routes`), checks the
route's rule (`access`), and calls its handler with a `Visit`. Handlers are in the modules that `table` names, one for
each part of the portal; what they decide is in the packages beside this one, which know nothing of HTTP.
"""
