from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sv.kaldi import Trials, write_data_dir, write_scores, write_trials
from sv.kaldi.enrolment import write_enrolment
from sv.report_enrolment import enrolment_sections


@dataclass
class Result:
    folder: Path
    rows: list


def row(test_set, noise=None, backend="cosine"):
    return {"system": "ge2e", "test_set": test_set, "noise": noise, "backend": backend}


def test_sets_with_enrolled_models_get_a_section_that_says_far_and_frr(tmp_path):
    utt2spk = {f"{speaker}-{n}": speaker for speaker in "ab" for n in (1, 2, 3)}
    data = tmp_path / "data"
    for name in ("digits", "pairs"):
        write_data_dir(
            data / name, wav_scp=dict.fromkeys(utt2spk, "x"), utt2spk=utt2spk, utt2dur=dict.fromkeys(utt2spk, 1)
        )
    write_enrolment(data / "digits", {"a": ["a-1", "a-2"], "b": ["b-1", "b-2"]})
    trials = Trials(["a", "a", "b", "b"], ["a-3", "b-3", "a-3", "b-3"], np.array([True, False, False, True]))
    write_trials(data / "digits/trials", trials)
    write_scores(tmp_path / "exp/scores/digits/cosine.scores", trials, [0.9, 0.2, 0.6, 0.5])
    rows = [row("digits"), row("digits", noise="babble"), row("digits", backend="neg_mean_l2"), row("pairs")]
    ((heading, content),) = enrolment_sections([Result(tmp_path / "exp", rows)], data)
    assert heading == "Similarities and thresholds: digits"
    assert content.count("<svg") == 2
    assert "ge2e: the error rates are nearest to each other at threshold 0.600, FAR 50.00 %, FRR 50.00 %" in content
