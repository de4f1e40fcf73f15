"""The ledger's policy as a node is configured with it, and which node keeps which log.

`[network] policy` has it in full (C2SP tlog-policy); a key alone (`--ledger`) is the policy of one log, whose word
then counts without cosignatures.
"""

from peernet.core.errors import RemoteProtocolError, UserError
from peernet.core.ledger.notes import VerifierKey
from peernet.core.ledger.policy import LedgerPolicy, PolicyLog, one_log_policy, parse_policy
from peernet.net.addresses import PeerAddress, parse_peer_address
from peernet.node.config import NetworkConfig

__all__ = ["node_of", "policy_of"]


def policy_of(network: NetworkConfig) -> LedgerPolicy:
    """The policy; raises `UserError` when there is none, or it is wrong."""
    if network.policy:
        try:
            policy = parse_policy(network.policy)
        except RemoteProtocolError as error:
            raise UserError(f"the policy in [network] is not one: {error}") from error
        if not policy.logs:
            raise UserError("the policy in [network] names no log: have it written by 'peernet bootstrap'")
        return policy
    if not network.ledger:
        raise UserError("no ledger is configured: give its key with --ledger KEY, or --network FILE")
    try:
        key = VerifierKey.parse(network.ledger)
        return one_log_policy(key, network.bootstrap[0] if network.bootstrap else "")
    except RemoteProtocolError as error:
        raise UserError(f"--ledger {network.ledger!r} is no verifier key: {error}") from error


def node_of(log: PolicyLog) -> PeerAddress | None:
    """Where the node of a log is; None where the policy does not say it, or not as a peer's address."""
    try:
        return parse_peer_address(log.url) if log.url else None
    except (UserError, RemoteProtocolError):
        return None
