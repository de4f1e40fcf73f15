"""The test vectors of docs/rings.md: what the code writes, and what the page says, read by somebody else."""

import ast
import json
import re
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag

from peernet.client.network import LOOKUP_RING_TIMEOUT_S, RING_TIMEOUT_S
from peernet.core.ring.cells import CellType
from peernet.core.ring.pacing import CLIENT, ENDPOINT, MAX_CATCH_UP, MAX_UNREAD, SLACK_S
from peernet.core.ring.ring import MAX_RING_MESSAGE, WINDOW_CELLS
from peernet.net.rings.channel import FAREWELL_S, VERDICT_S
from peernet.net.rings.service import RingLimits
from tests.vectors.paced_ring import VECTORS as PACED_VECTORS
from tests.vectors.paced_ring import paced_vectors
from tests.vectors.ring import VECTORS, ring_vectors
from tests.vectors.second_pacing import Said, Slot, client_slots, host_slots
from tests.vectors.second_ring import Cell, SecondArc, SecondHop, cookie_of, frame, join_body

PAGE = Path(__file__).resolve().parents[2].joinpath("docs", "rings.md").read_text("utf-8")
KEPT = json.loads(VECTORS.read_text("utf-8"))
KEPT_PACED = json.loads(PACED_VECTORS.read_text("utf-8"))
ROLES = {"out": 1, "back": 2}
KEYS = ("message_1", "message_2", "handshake_hash", "to_hop", "from_hop", "layer_outward", "layer_backward")


def test_the_code_writes_the_vectors_that_are_kept():
    assert ring_vectors() == KEPT


def test_the_code_writes_the_vectors_of_a_paced_ring_that_are_kept():
    assert paced_vectors() == KEPT_PACED


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("second_ring.py", {"attrs", "collections", "cryptography", "hashlib", "hmac"}),
        ("second_pacing.py", {"attrs", "collections"}),
    ],
)
def test_the_second_reading_knows_nothing_of_the_code(name: str, known: set[str]):
    tree = ast.parse(Path(__file__).with_name(name).read_text("utf-8"))
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert {module.partition(".")[0] for module in modules} == known


def second_arc(hops: list[dict[str, str]]) -> SecondArc:
    def all_of(name: str) -> list[bytes]:
        return [bytes.fromhex(hop[name]) for hop in hops]

    made = [SecondHop(*secrets) for secrets in zip(all_of("onion_secret"), all_of("hop_ephemeral"), strict=True)]
    return SecondArc(made, all_of("onion_key"), all_of("record"), all_of("client_ephemeral"))


def as_kept(arc: str, cells: Iterable[Cell], kept: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Cells in the form of the file, cut down to digests where that has them."""
    told = []
    for cell, other in zip(cells, kept, strict=True):
        digests = other["legs"][0].startswith("sha256")
        legs = ["sha256 " + sha256(leg).hexdigest() if digests else leg.hex() for leg in cell.legs]
        body = "" if digests else cell.body.hex()
        told.append({"arc": arc, "way": cell.way, "hop": cell.hop, "type": cell.type, "body": body, "legs": legs})
    return told


def small_ring(arcs: dict[str, SecondArc]) -> dict[str, list[Cell]]:
    """The whole ring of the vectors, by the second reading; the cells of each arc."""
    cells = {name: list(arc.build(reaches=3)) for name, arc in arcs.items()}
    nonce = bytes.fromhex(KEPT["nonce"])
    cookie = cookie_of(nonce, *(arcs[name].known[-1].shared.handshake_hash for name in ROLES))
    assert cookie.hex() == KEPT["cookie"]
    for name, role in ROLES.items():
        cells[name].append(arcs[name].send("JOIN", join_body(role, KEPT["service"], nonce, cookie), 3))
    request = frame(bytes.fromhex(KEPT["request"]["part"]) * KEPT["request"]["times"])
    for start in range(0, len(request), 1005):
        cells["out"].append(arcs["out"].send("DATA", request[start : start + 1005], 3))
    count = -(-len(request) // 1005)
    cells["back"].append(arcs["back"].tell("DATA", frame(bytes.fromhex(KEPT["answer"])), 3))
    cells["out"].append(arcs["out"].tell("WINDOW", count.to_bytes(2, "big"), 3))
    cells["out"].append(arcs["out"].send("END", b"done", 3))
    cells["back"].append(arcs["back"].tell("END", b"done", 3))
    return cells


def test_a_second_reading_of_the_page_makes_the_same_ring():
    arcs = {name: second_arc(KEPT["arcs"][name]) for name in ROLES}
    cells = small_ring(arcs)
    for name, arc in arcs.items():
        kept = [cell for cell in KEPT["cells"] if cell["arc"] == name]
        assert as_kept(name, cells[name], kept) == kept
        for hop, known, own in zip(KEPT["arcs"][name], arc.known, arc.hops, strict=True):
            for key in KEYS:
                assert getattr(known.shared, key).hex() == getattr(own.shared, key).hex() == hop[key]


def test_the_second_readings_host_gets_the_request_and_nothing_altered():
    arcs = {name: second_arc(KEPT["arcs"][name]) for name in ROLES}
    received = []
    for cell in small_ring(arcs)["out"]:
        if cell.way == "outward" and cell.hop == 3 and cell.type != "MESSAGE_1":
            altered = cell.legs[-1][:-1] + bytes([cell.legs[-1][-1] ^ 1])
            with pytest.raises(InvalidTag):
                arcs["out"].hops[-1].from_client.open(altered)
            received.append(arcs["out"].hops[-1].from_client.open(cell.legs[-1]))
    kinds = [kind for kind, _ in received]
    assert kinds == ["JOIN", *["DATA"] * 33, "END"]
    stream = b"".join(body for kind, body in received if kind == "DATA")
    assert stream == frame(bytes.fromhex(KEPT["request"]["part"]) * KEPT["request"]["times"])


def test_a_second_reading_of_the_page_hears_of_a_hop_that_is_not_reached():
    kept = KEPT["unreachable"]
    arc = second_arc(kept["hops"])
    # It is known to the client who the third hop would have been.
    third = KEPT["arcs"]["out"][2]
    arc.hops = [*arc.hops, SecondHop(bytes(32), bytes(32))]
    arc.records = [*arc.records, bytes.fromhex(third["record"])]
    assert as_kept("broken", arc.build(reaches=2), kept["cells"]) == kept["cells"]


# --- a paced ring ----------------------------------------------------------------------------------------------------


def kept_of(arc: str) -> list[dict[str, Any]]:
    return [cell for cell in KEPT_PACED["cells"] if cell["arc"] == arc]


def paced_slots() -> dict[str, list[Slot]]:
    """When which cell is due, by the second reading of the page."""
    ends, delay_ms = KEPT_PACED["ends"], KEPT_PACED["delay_ms"]
    said: dict[str, list[Said]] = {"client": [], "host": []}
    for each in KEPT_PACED["says"]:
        said[each["end"]].append(Said(each["at_ms"], frame(bytes.fromhex(each["part"]) * each["times"])))
    reason = ends["reason"].encode()
    # The client's cells up to its END do not depend on when the host's comes.
    out = client_slots(said["client"], ends["at_ms"], reason, ends["at_ms"] + 1000)
    (end_ms,) = (slot.at_ms for slot in out if slot.type == "END")
    back = host_slots(said["host"], out[0].at_ms + delay_ms, end_ms + delay_ms, reason)
    return {
        "out": client_slots(said["client"], ends["at_ms"], reason, back[-1].at_ms + delay_ms),
        "back": back,
    }


def test_a_second_reading_of_the_page_has_every_cell_of_a_paced_ring_due_at_the_same_time():
    for arc, slots in paced_slots().items():
        assert [(slot.at_ms, slot.type) for slot in slots] == [(cell["at_ms"], cell["type"]) for cell in kept_of(arc)]


def test_a_second_reading_of_the_page_makes_the_same_paced_ring_padding_included():
    arcs = {name: second_arc(KEPT["arcs"][name]) for name in ROLES}
    slots = paced_slots()
    nonce = bytes.fromhex(KEPT_PACED["nonce"])
    for arc in arcs.values():
        list(arc.build(reaches=3))
    cookie = cookie_of(nonce, *(arcs[name].known[-1].shared.handshake_hash for name in ROLES))
    assert cookie.hex() == KEPT_PACED["cookie"]
    for name, arc in arcs.items():
        join = arc.send("JOIN", join_body(ROLES[name], KEPT_PACED["service"], nonce, cookie), 3)
        kept = [cell for cell in KEPT_PACED["joins"] if cell["arc"] == name]
        assert as_kept(name, [join], kept) == kept
        pass_on = arc.send if name == "out" else arc.tell
        kept = kept_of(name)
        told = as_kept(name, [pass_on(slot.type, slot.body, 3) for slot in slots[name]], kept)
        assert [cell | {"at_ms": slot.at_ms} for cell, slot in zip(told, slots[name], strict=True)] == kept


def test_the_paced_ring_that_is_kept_shows_what_the_page_says_of_pacing():
    """Its request is over the smallest burst, and much of its answer is dropped where the client wants no more."""
    out, back = kept_of("out"), kept_of("back")
    assert [cell["at_ms"] for cell in out].count(out[0]["at_ms"]) == 128
    assert (len(back), back[-1]["type"]) == (128, "END")
    assert out[-1]["type"] == "PAD"
    unsaid = [each for each in KEPT_PACED["says"] if each["end"] == "host"][-1]
    assert [cell["type"] for cell in back if cell["at_ms"] > unsaid["at_ms"]].count("DATA") < 5


# --- numbers of the page ---------------------------------------------------------------------------------------------


def test_the_page_has_every_type_of_cell():
    assert dict(re.findall(r"^\| (\d+) \| ([A-Z]+) \|", PAGE, re.MULTILINE)) == {
        str(kind.value): kind.name for kind in CellType
    }


def test_the_limits_of_the_page_are_those_of_the_code():
    limits = RingLimits()
    said = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", PAGE.split("### Limits and times")[1], re.MULTILINE))
    assert [re.findall(r"\d+(?:,\d{3})*", value) for value in said.values()][:10] == [
        [f"{limits.command_timeout_s:g}"],
        [f"{limits.standby_timeout_s:g}"],
        [f"{limits.build_timeout_s:g}"],
        [f"{limits.join_timeout_s:g}", str(limits.pending_joins)],
        [f"{limits.idle_timeout_s:g}"],
        [f"{FAREWELL_S:g}"],
        [f"{limits.legs:,}", str(limits.legs_per_neighbour)],
        [str(limits.held_bytes >> 20), str(limits.held_bytes_per_neighbour >> 20)],
        [f"{RING_TIMEOUT_S:g}", f"{LOOKUP_RING_TIMEOUT_S:g}"],
        [f"{VERDICT_S:g}"],
    ]
    assert f"may have {WINDOW_CELLS} DATA cells under way" in PAGE
    assert f"at most {MAX_RING_MESSAGE:,} bytes" in PAGE


def test_the_cadences_of_the_page_are_those_of_the_code():
    section = PAGE.split("\n## Paced rings\n")[1]
    for pace, name in ((CLIENT, "client"), (ENDPOINT, "endpoint")):
        (said,) = re.findall(rf"^- \*\*The {name}\*\*(.*?)^-", section, re.MULTILINE | re.DOTALL)
        assert f"one cell every {1000 * pace.interval_s:g} ms" in " ".join(said.split())
        classes = ", ".join(f"{size:,}" for size in pace.burst or pace.total)
        assert re.search(rf"[a-z:] {classes}\b", " ".join(said.split()))
    assert f"from {1000 * CLIENT.lead_s:g} ms after" in section
    assert f"at most {MAX_CATCH_UP} cells" in section
    assert f"{SLACK_S:g} s more" in section
    assert f"over {MAX_UNREAD >> 20} MiB" in section
