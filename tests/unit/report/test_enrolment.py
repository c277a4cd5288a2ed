from dataclasses import replace

import numpy as np

from sv.base.files import sha256_of
from sv.base.layout import ModelFolder
from sv.kaldi import Trials, write_data_dir, write_scores, write_trials
from sv.kaldi.enrolment import write_enrolment
from sv.report.enrolment import enrolment_sections
from sv.report.page import render
from sv.results.folder import ScoreLists, SystemResults


def row(data, test_set, noise=None, backend="cosine"):
    return {
        "system": "ge2e", "test_set": test_set, "condition": "clean", "noise": noise, "backend": backend,
        "trials_sha256": sha256_of(data / test_set / "trials"), "eer": 50.0, "eer_low": 10.0, "eer_high": 90.0,
        "min_dcf": {"0.01": 1.0}, "num_target": 2, "num_nontarget": 2,
    }  # fmt: skip


def test_sets_with_enrolled_models_get_a_section_that_says_far_and_frr(tmp_path):
    utt2spk = {f"{speaker}-{n}": speaker for speaker in "ab" for n in (1, 2, 3)}
    data, exp = tmp_path / "data", tmp_path / "exp"
    trials = Trials(["a", "a", "b", "b"], ["a-3", "b-3", "a-3", "b-3"], np.array([True, False, False, True]))
    for name in ("digits", "pairs"):
        tables = {"wav_scp": dict.fromkeys(utt2spk, "x"), "utt2dur": dict.fromkeys(utt2spk, 1.0)}
        write_data_dir(data / name, utt2spk=utt2spk, **tables)
        write_trials(data / name / "trials", trials)
    write_enrolment(data / "digits", {"a": ["a-1", "a-2"], "b": ["b-1", "b-2"]})
    write_scores(exp / "scores/digits/cosine.scores", trials, [0.9, 0.2, 0.6, 0.5])
    rows = [
        row(data, "digits"),
        row(data, "digits", noise="babble"),
        row(data, "digits", backend="plda"),
        row(data, "pairs"),
    ]
    result = SystemResults(folder=ModelFolder(exp), rows=rows, journal=[], config={}, breakdown=[])
    sections = enrolment_sections([result], ScoreLists(data))
    assert [section.heading for section in sections] == [
        "Error rates by test set",
        "Similarities and thresholds: digits",
    ]
    rates, figures = (render("title", [], [section]) for section in sections)
    assert rates.count("<tr>") == 2 and "[10.0, 90.0]" in rates and "2 + 2" in rates
    assert figures.count("<svg") == 2
    assert "ge2e: the error rates are nearest to each other at threshold 0.600, FAR 50.00 %, FRR 50.00 %" in figures
    assert enrolment_sections([replace(result, rows=rows[3:])], ScoreLists(data)) == []
