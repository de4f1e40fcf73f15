"""A scenario small enough for a test of everything in it."""

from simulations.scenario import Adversaries, Churn, Clients, Lookups, Nodes, Run, Scenario

__all__ = ["SMALL", "SMALL_TOML"]

SMALL = Scenario(
    name="small",
    run=Run(warm_up_s=120.0, duration_s=600.0, sample_s=200.0),
    nodes=Nodes(count=60, bootstraps=2, host_share=0.4, models=2),
    churn=Churn(departures_per_hour=1.0, replaced_after_s=20.0),
    lookups=Lookups(per_node_hour=6.0),
    clients=Clients(count=8, requests_per_hour=30.0, answer_messages=4),
    adversaries=Adversaries(shares=(0.1, 0.3), clients=20, days=5),
)

SMALL_TOML = """
name = "small"

[run]
warm_up_s = 60
duration_s = 300
sample_s = 100

[nodes]
count = 40
host_share = 0.4
models = 2

[churn]
departures_per_hour = 2.0

[clients]
count = 5
requests_per_hour = 40
answer_messages = 3

[adversaries]
shares = [0.1, 0.3]
clients = 10
days = 3
"""
