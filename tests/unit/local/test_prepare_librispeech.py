from sv.data.trial_lists import sessions_of
from sv.kaldi import read_trials, read_utt2spk, validate_data_dir


def write_part(speech, root, per_speaker=5):
    for speaker in (84, 174):
        for number in range(per_speaker):
            chapter = 100 * speaker + number % 2
            name = f"{speaker}-{chapter}-{number:04d}"
            speech(root / f"dev-clean/{speaker}/{chapter}/{name}.flac", seed=10 * speaker + number)


def test_a_part_becomes_a_data_directory_with_four_trials_of_each_kind_an_utterance(run, speech, tmp_path):
    write_part(speech, tmp_path / "LibriSpeech")
    done = run("local/prepare_librispeech.py", tmp_path / "LibriSpeech", tmp_path / "data")
    assert done.returncode == 0, done.stderr
    out = tmp_path / "data/librispeech_dev-clean"
    assert validate_data_dir(out) == []
    utt2spk, trials = read_utt2spk(out / "utt2spk"), read_trials(out / "trials")
    assert sessions_of(utt2spk)["84-8401-0003"] == "8401"
    assert (len(trials), int(trials.is_target.sum())) == (80, 40)
    for left, right, target in zip(trials.enrolment, trials.test, trials.is_target):
        assert (utt2spk[left] == utt2spk[right]) == target and left != right


def test_other_layouts_and_too_few_utterances_are_named(run, speech, tmp_path):
    done = run("local/prepare_librispeech.py", tmp_path, tmp_path / "data")
    assert (done.returncode, "no folder dev-clean; is this LibriSpeech?" in done.stderr) == (1, True)
    write_part(speech, tmp_path / "few", per_speaker=4)
    done = run("local/prepare_librispeech.py", tmp_path / "few", tmp_path / "data")
    assert (done.returncode, "a test list needs 5 utterances of every speaker" in done.stderr) == (1, True)
    speech(tmp_path / "few/dev-clean/84/8400/x.flac")
    done = run("local/prepare_librispeech.py", tmp_path / "few", tmp_path / "data")
    assert (done.returncode, "expected" in done.stderr and "<speaker>-<chapter>-<number>" in done.stderr) == (1, True)
