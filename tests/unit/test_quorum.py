import pytest

from peernet.core.quorum import faults_borne, quorum_of


def test_four_bear_one_liar_and_three_agree() -> None:
    assert [(faults_borne(n), quorum_of(n)) for n in (1, 2, 3, 4, 5, 6, 7, 10)] == [
        (0, 1), (0, 2), (0, 3), (1, 3), (1, 4), (1, 5), (2, 5), (3, 7),
    ]  # fmt: skip


@pytest.mark.parametrize("members", range(1, 40))
def test_two_quorums_share_an_honest_member_and_the_honest_are_one(members: int) -> None:
    assert 2 * quorum_of(members) - members > faults_borne(members)
    assert quorum_of(members) <= members - faults_borne(members)


def test_nobody_is_no_group() -> None:
    with pytest.raises(ValueError, match="at least one"):
        quorum_of(0)
