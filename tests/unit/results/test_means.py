"""mean15, mean16 and the means of each kind of condition."""

import pytest

from sv.report.blocks import Cell, matrix
from sv.results.comparison import compare
from sv.results.means import averaged, averaged_text, mean15, means
from sv.results.tables import backend_table, table_body

KINDS = ("babble", "music", "noise", "nonspeech")


@pytest.fixture
def papers(row):
    """papers(system): clean of EER 1, and four kinds of noise at five SNRs, EERs 10, 20, 30, 40 by kind, less SNR / 10."""

    def make(system: str) -> list[dict]:
        noisy = [
            (kind, snr, 10 * i - snr / 10) for i, kind in enumerate(KINDS, 1) for snr in (0.0, 5.0, 10.0, 15.0, 20.0)
        ]
        return [row(system, eer=1.0), *(row(system, kind, snr, eer=eer) for kind, snr, eer in noisy)]

    return make


def test_means_by_hand_in_the_order_of_the_papers(papers) -> None:
    body = {cells[0]: cells[1:] for cells in table_body(compare([papers("a")])[0])[21:]}
    # The mean of SNR / 10 is 1. mean15: 20 - 1; mean16: (15 x 19 + 1) / 16.
    assert {name: cells[0] for name, cells in body.items()} == {
        "mean of noise": "29.00", "mean of music": "19.00", "mean of babble": "9.00", "mean15": "19.00", "mean16": "17.88",
        "mean of nonspeech": "39.00",
    }  # fmt: skip
    assert list(body) == [
        "mean of noise", "mean of music", "mean of babble", "mean15", "mean16", "mean of nonspeech",
    ]  # fmt: skip
    assert body["mean15"] == ["19.00", "", "1.900", "0.760"]


@pytest.mark.parametrize("lost", [("babble", 5.0), ("music", 20.0), ("noise", 0.0)])
def test_mean15_is_of_all_fifteen_or_not_there(papers, lost) -> None:
    rows = [one for one in papers("a") if (one["noise"], one["snr_db"]) != lost]
    assert not {"mean15", "mean16", f"mean of {lost[0]}"} & set(means(rows))
    assert any(name.startswith(f"mean of {lost[0]} at ") for name in means(rows))
    assert averaged_text(rows) == "the mean of 19 noisy conditions"


def test_mean16_needs_clean_and_mean15_does_not(papers) -> None:
    rows = papers("a")[1:]
    assert "mean15" in means(rows) and "mean16" not in means(rows)


def test_other_snrs_and_noises_do_not_move_mean15(papers, row) -> None:
    rows = [*papers("a"), row("a", "babble", -5.0, eer=90.0), row("a", "street", 0.0), row("a", "street", 2.5)]
    assert sum(one["eer"] for one in mean15(rows)) / 15 == 19
    assert {"mean of babble at -5, 0, 5, 10, 15, 20 dB", "mean of street at 0, 2.5 dB"} <= set(means(rows))
    assert averaged(rows)[0] == "mean15" and averaged_text(rows) == "mean15"


def test_a_system_without_all_conditions_does_not_hide_the_means_of_another(papers, row) -> None:
    (line,) = [cells for cells in table_body(compare([[row("b")], papers("a")])[0]) if cells[0] == "mean15"]
    assert line[1:] == ["-", "-", "-", "-", "19.00", "", "1.900", "0.760"]


def test_back_ends_are_averaged_over_mean15(papers) -> None:
    header, line = backend_table(compare([papers("a")]))
    assert (header[7], line[7]) == ("mean15 EER %", "19.00")


def test_the_last_line_of_a_matrix_is_mean15(papers) -> None:
    found = matrix([(one, one["eer"]) for one in papers("a")], lambda values: Cell(f"{sum(values) / len(values):.2f}"))
    name, cells = found.lines[-1]
    assert (name, [cell.text for cell in cells]) == ("mean15", ["18.00", "18.50", "19.00", "19.50", "20.00", "19.00"])
    assert [(label, cell.text) for label, cell in found.plain] == [("clean", "1.00")]


def test_other_kinds_have_means_of_their_own_and_are_not_clean(papers, row) -> None:
    rows = papers("a")
    for name, eer in (("reverb-small", 4.0), ("reverb-large", 6.0), ("codec-opus", 3.0), ("clip", 2.0)):
        rows.append(row("a", eer=eer) | {"condition": name})
    rows += [row("a", "babble", snr, eer=50.0) | {"condition": f"far-babble-snr{snr:g}"} for snr in (0.0, 5.0)]
    body = {cells[0]: cells[1] for cells in table_body(compare([rows])[0])}
    assert (body["clean"], body["mean15"], body["mean16"]) == ("1.00", "19.00", "17.88")
    assert (body["codec-opus"], body["far babble 5 dB"]) == ("3.00", "50.00")
    assert body["mean of far babble at 0, 5 dB"] == "50.00"
    assert body["mean of reverb-small, reverb-large"] == "5.00"
    assert not [name for name in body if name.startswith(("mean of codec", "mean of clip"))]
    found = matrix([(one, one["eer"]) for one in rows], lambda values: Cell(f"{sum(values) / len(values):.2f}"))
    assert [label for label, _ in found.plain] == ["clean", "reverb-small", "reverb-large", "codec-opus", "clip"]
    assert [name for name, _ in found.lines][-2:] == ["far babble", "mean15"]
    assert compare([rows])[0].noises == ["noise", "music", "babble", "nonspeech", "far babble"]


def test_all_noise_far_away_has_one_mean_besides_that_of_each_kind(row) -> None:
    kinds = (("babble", 30.0), ("wind", 10.0))
    rows = [row("a"), row("a", "wind", 0.0, eer=1.0)]
    rows += [
        row("a", noise, snr, eer=eer - snr) | {"condition": f"far-{noise}-snr{snr:g}"}
        for noise, eer in kinds
        for snr in (0.0, 5.0)
    ]
    body = {cells[0]: cells[1] for cells in table_body(compare([rows])[0])}
    assert body["mean of far babble at 0, 5 dB"] == "27.50" and body["mean of far wind at 0, 5 dB"] == "7.50"
    assert body["mean of far at 0, 5 dB"] == "17.50"
    assert [name for name in means(rows[:4]) if "far" in name] == ["mean of far babble at 0, 5 dB"]


def test_conditions_without_noise_follow_it_rooms_from_small_to_large_and_all_codecs_are_one_mean(row) -> None:
    names = [
        "codec-vorbis",
        "reverb-large",
        "clip",
        "codec-gsm",
        "codec-telephone",
        "reverb-small",
        "codec-mp3",
        "codec-opus",
    ]
    rows = [row("a", eer=float(i)) | {"condition": name} for i, name in enumerate(names)]
    rows += [row("a", "wind", 5.0, eer=9.0), row("a", eer=1.0)]
    rows += [row("a", "wind", 5.0, eer=8.0) | {"condition": "far-wind-snr5"}, row("a") | {"condition": "odd"}]
    body = [cells[:2] for cells in table_body(compare([rows])[0])]
    codecs = ["codec-gsm", "codec-opus", "codec-mp3", "codec-vorbis", "codec-telephone"]
    assert [name for name, _ in body[:12]] == [
        "clean", "far wind 5 dB", "wind 5 dB", "reverb-small", "reverb-large", *codecs, "clip", "odd",
    ]  # fmt: skip
    # 3, 7, 6, 0 and 4; 5 and 1
    assert body[12:] == [["mean of reverb-small, reverb-large", "3.00"], ["mean of codec", "4.00"]]
    partial = [one for one in rows if one["condition"] != "codec-mp3"]
    assert "mean of codec-gsm, codec-opus, codec-vorbis, codec-telephone" in means(partial)
    assert averaged_text(rows) == "the mean of 11 conditions"


def test_the_mean_of_a_matrix_is_not_over_added_noise_and_far_speech(row) -> None:
    def lines(rows):
        found = matrix([(one, one["eer"]) for one in rows], lambda values: Cell(f"{sum(values) / len(values):.1f}"))
        return {name: cells[-1].text for name, cells in found.lines}

    added = [row("a", "noise", 5.0, eer=1.0), row("a", "wind", 5.0, eer=2.0)]
    far = [
        row("a", noise, 5.0, eer=eer) | {"condition": f"far-{noise}-snr5"}
        for noise, eer in (("noise", 6.0), ("wind", 9.0))
    ]
    assert lines(added + far)["mean"] == "1.5"
    assert lines(far)["mean"] == "7.5"
    assert "mean" not in lines(added[:1] + far[:1])


def test_all_rooms_are_one_mean_and_encoders_of_other_versions_share_no_table(row) -> None:
    rooms = [
        row("a", eer=eer) | {"condition": f"reverb-{size}"}
        for size, eer in (("small", 1.0), ("medium", 2.0), ("large", 6.0))
    ]
    assert [cells[:2] for cells in table_body(compare([rooms])[0])][3:] == [["mean of reverb", "3.00"]]
    old, new = (
        [row(name) | {"condition": "codec-opus", "encoder": f"libsndfile {version}"}] for name, version in ("a1", "b2")
    )
    with pytest.raises(ValueError, match=r"a and b cannot share a table: .* encoder is libsndfile 1 and libsndfile 2"):
        compare([old, new])
    assert compare([[row("a")], [row("b") | {"encoder": "none"}]])  # rows of before there was such a field
