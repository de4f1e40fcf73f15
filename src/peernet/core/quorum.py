"""How many of a group must agree, when some of them may lie.

Of 3f + 1 members f may lie, be down, or both, and 2f + 1 are a quorum: any two quorums share an honest member, so no
two of them vouch for things that contradict each other. One member alone is its own quorum, and nothing more.

Source: design section 8; Castro and Liskov, "Practical Byzantine Fault Tolerance", 1999, section 3.
"""

__all__ = ["faults_borne", "quorum_of"]


def faults_borne(members: int) -> int:
    """f: how many of `members` may lie; raises `ValueError` when there is no member."""
    if members < 1:
        raise ValueError("a group has at least one member")
    return (members - 1) // 3


def quorum_of(members: int) -> int:
    """How many of `members` must agree: two such groups always share an honest one."""
    return members - faults_borne(members)
