"""Charts say all that they show in words, too, and carry nobody's markup."""

import re
from xml.etree import ElementTree as ET

import pytest

from bootstrap.portal.charts import MAX_POINTS, Point, bar_chart, line_chart

POINTS = [Point("1 May", 10.0), Point("2 May", None), Point("3 May", 40.0), Point("4 May", 20.0)]


@pytest.mark.parametrize("draw", [line_chart, bar_chart])
def test_a_chart_is_well_formed_named_and_described(draw):
    figure = ET.fromstring(str(draw("rtt", "Round trip", POINTS, unit="ms")))
    svg = figure.find("svg")
    assert svg is not None
    ids = {element.get("id") for element in svg if element.get("id")}
    assert set(svg.get("aria-labelledby", "").split()) == ids
    assert "between 10 and 40 ms" in (svg.findtext("desc") or "")


@pytest.mark.parametrize("draw", [line_chart, bar_chart])
def test_every_number_is_in_the_table_and_a_gap_is_no_zero(draw):
    figure = ET.fromstring(str(draw("rtt", "Round trip", POINTS, unit="ms")))
    cells = [cell.text for cell in figure.iter("td")]
    assert cells == ["10 ms", "not known", "40 ms", "20 ms"]
    drawn = str(draw("rtt", "Round trip", POINTS, unit="ms"))
    assert drawn.count("<rect") in {0, 3}
    # The line is cut: a lone point, and a run of two.
    assert (drawn.count("<circle"), drawn.count("<polyline")) in {(0, 0), (1, 1)}


@pytest.mark.parametrize("draw", [line_chart, bar_chart])
def test_there_is_no_style_and_no_script_and_text_is_escaped(draw):
    drawn = str(draw("x", "<script>alert(1)</script>", [Point('"><b>', 1.0, "<i>")], unit="<u>", x_label="&"))
    assert not re.search(r"style=|<script|<b>|<i>|<u>|on\w+=", drawn)
    ET.fromstring(drawn)


@pytest.mark.parametrize("points", [[], [Point("a", None)], [Point("a", 0.0)]])
def test_nothing_and_zero_can_be_drawn(points):
    for draw in (line_chart, bar_chart):
        drawn = str(draw("x", "Nothing yet", points, unit="%"))
        assert ("no values yet" in drawn) == (not points or points[0].value is None)


def test_a_drawing_stays_inside_its_box():
    drawn = str(bar_chart("x", "Over the top", [Point("a", 150.0)], unit="%", top=100))
    (rect,) = ET.fromstring(drawn).iter("rect")
    assert 0 <= float(rect.get("y", "-1")) <= 220
    with pytest.raises(AssertionError):
        line_chart("x", "Too many", [Point("a", 1.0)] * (MAX_POINTS + 1), unit="")


@pytest.mark.parametrize(
    ("largest", "ticks"),
    [
        (5.0, ["0", "2.5", "5"]),
        (900.0, ["0", "500", "1\u202f000"]),
        (150_000.0, ["0", "100\u202fk", "200\u202fk"]),
        (1_700_000.0, ["0", "1\u202fM", "2\u202fM"]),
    ],
)
def test_the_scale_has_room_for_its_numbers(largest: float, ticks: list[str]):
    figure = ET.fromstring(str(bar_chart("x", "Left", [Point("a", largest)], unit="credits")))
    assert [text.text for text in figure.iter("text") if text.get("text-anchor") == "end"][:3] == ticks
    assert figure.findtext("figcaption") == "Left (credits)"
