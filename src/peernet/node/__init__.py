"""A node: one swarm of connections and the services that its role needs."""
