"""What class each column of the tables of hosts is of (`bootstrap.retention`)."""

from collections.abc import Mapping
from typing import Final

from bootstrap.retention.purge import Purge

__all__ = ["COLUMNS", "PURGES"]

_TABLES: Final[Mapping[str, tuple[str, str]]] = {
    "registration_code": ("credentials", "hash account_id made_at_s expires_at_s used_at_s"),
    "host": (
        "host",
        """id account_id peer_key name named_in_public state state_at_s retired_at_s registered_at_s cores memory_mib
        gpus engine software measured_at_s answered_at_s region reported_until_s""",
    ),
    "payout_key": ("payment", "public_key account_id host_id registered_at_s"),
    "host_agreement": (
        "agreement",
        "id host_id account_id version digest portal code payout_key signature payout_signature signed_at_s",
    ),
    "host_model": ("host", "host_id name source digest seen_at_s"),
    "host_measured": ("measurement", "host_id hour_at_s tries answers round_trip_us slowest_us"),
    "network_measured": ("service", "hour_at_s tries answers"),
    "host_reported": (
        "measurement",
        """host_id hour_at_s requests errors prompt_tokens answer_tokens first_tokens first_token_ms later_tokens
        later_tokens_ms""",
    ),
    "host_trial_due": ("service", "host_id due_at_s"),
    "host_trial": (
        "measurement",
        """host_id model hour_at_s tries answers timed_out refused cut_off unreached prompt_tokens answer_tokens
        first_tokens first_token_us slowest_first_us later_tokens later_us longest_gap_us short_prompts short_tokens
        short_us long_prompts long_tokens long_us price_microcredits""",
    ),
    "network_trial": (
        "measurement",
        """hour_at_s model tries answers not_tried first_tokens first_token_us later_tokens later_us
        price_microcredits""",
    ),
    "abuse_report": ("measurement", "id host_id lane_key category count reported_at_s"),
    "refused_lane": ("measurement", "lane_key refused_by refused_at_s"),
    "sanction": (
        "strike",
        """id host_id kind reason explanation source given_by given_at_s lapses_at_s ended_at_s ended_why seconded_by
        seconded_at_s amount_microcredits""",
    ),
    "appeal": (
        "strike",
        "id sanction_id host_id account_id words made_at_s decided_by decided_at_s outcome explanation",
    ),
}

COLUMNS: Final[Mapping[str, str]] = {
    f"{table}.{column}": kind for table, (kind, columns) in _TABLES.items() for column in columns.split()
}

_RETIRED: Final = "host_id IN (SELECT id FROM host WHERE retired_at_s IS NOT NULL OR state = 'removed')"
PURGES: Final = (
    Purge("measurement", "host_measured", "hour_at_s", key=("host_id", "hour_at_s")),
    Purge("measurement", "host_reported", "hour_at_s", key=("host_id", "hour_at_s")),
    Purge("measurement", "host_trial", "hour_at_s", key=("host_id", "model", "hour_at_s")),
    Purge("measurement", "network_trial", "hour_at_s", key=("hour_at_s", "model")),
    Purge("measurement", "abuse_report", "reported_at_s"),
    Purge("measurement", "refused_lane", "refused_at_s", key="lane_key"),
    # What a host that is in works under is kept for as long as it is.
    Purge("agreement", "host_agreement", "signed_at_s", only=_RETIRED),
    Purge("strike", "appeal", "made_at_s", only="decided_at_s IS NOT NULL"),
    # What is in force, or can still be argued about, stays.
    Purge(
        "strike",
        "sanction",
        "given_at_s",
        only="ended_at_s IS NOT NULL AND NOT EXISTS (SELECT 1 FROM appeal WHERE sanction_id = sanction.id)",
    ),
    Purge("payment", "payout_key", "registered_at_s", only=_RETIRED, key="public_key"),
)
