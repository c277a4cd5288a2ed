import pytest
import soundfile

from sv.kaldi import read_trials, read_utt2spk, write_data_dir


@pytest.fixture
def source(tmp_path, speech):
    """Ten speakers with two videos of two utterances each."""
    speech(tmp_path / "x.wav")
    seconds = soundfile.info(tmp_path / "x.wav").duration
    utts = [f"id{s}-{v * 3}-{u}" for s in range(10, 20) for v in "ab" for u in (1, 2)]
    write_data_dir(
        tmp_path / "dev",
        wav_scp=dict.fromkeys(utts, str(tmp_path / "x.wav")),
        utt2spk={utt: utt[:4] for utt in utts},
        utt2dur=dict.fromkeys(utts, seconds),
        spk2gender={f"id{s}": "fm"[s % 2] for s in range(10, 20)},
    )
    return tmp_path / "dev"


def speakers(path):
    return set(read_utt2spk(path / "utt2spk").values())


def test_speakers_are_disjoint_and_the_trials_are_the_held_out_ones(run, source, tmp_path):
    done = run("local/split_validation.py", "--fraction", 0.4, source, tmp_path / "train", tmp_path / "valid")
    assert done.returncode == 0, done.stderr
    train, valid = speakers(tmp_path / "train"), speakers(tmp_path / "valid")
    assert (len(train), len(valid), train & valid) == (6, 4, set())
    trials = read_trials(tmp_path / "valid/trials")
    assert trials.is_target.sum() == 4 * 4  # pairs of one speaker across the two videos
    for first, second, is_target in zip(trials.enrolment, trials.test, trials.is_target):
        assert (first[:4] == second[:4]) == is_target
        assert first[:8] != second[:8]
        assert int(first[2:4]) % 2 == int(second[2:4]) % 2  # one gender
    assert run("local/check_leak.py", tmp_path / "train", tmp_path / "valid").returncode == 0


def test_sessions_that_are_known_count_instead_of_those_of_the_ids(run, source, tmp_path):
    utts = list(read_utt2spk(source / "utt2spk"))
    (source / "utt2session").write_text("".join(f"{utt} {utt[-1]}\n" for utt in utts))
    done = run("local/split_validation.py", "--fraction", 0.4, source, tmp_path / "train", tmp_path / "valid")
    assert done.returncode == 0, done.stderr
    trials = read_trials(tmp_path / "valid/trials")
    assert trials.is_target.sum() == 4 * 4
    assert all(e[-1] != t[-1] for e, t, label in zip(trials.enrolment, trials.test, trials.is_target) if label)


def test_the_draw_is_seeded_and_keyed_by_speaker(run, source, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(
            "local/split_validation.py",
            "--fraction",
            0.4,
            "--seed",
            seed,
            source,
            tmp_path / f"t{name}",
            tmp_path / name,
        )
    assert (tmp_path / "a/trials").read_bytes() == (tmp_path / "b/trials").read_bytes()
    assert (tmp_path / "a/cuts.jsonl.gz").read_bytes() == (tmp_path / "b/cuts.jsonl.gz").read_bytes()
    assert speakers(tmp_path / "a") != speakers(tmp_path / "c")


def test_holding_everyone_out_is_refused(run, source, tmp_path):
    done = run("local/split_validation.py", "--fraction", 0.99, source, tmp_path / "t", tmp_path / "v")
    assert (done.returncode, "cannot hold 10 of 10 speakers" in done.stderr) == (1, True)


def test_a_leak_names_the_speakers(run, source, tmp_path):
    done = run("local/check_leak.py", source, source)
    assert done.returncode == 1
    assert f"10 speakers of {source} are in training ({source}): id10, id11, id12, id13, id14" in done.stderr


def test_a_trial_of_an_unknown_utterance_is_named_by_line(run, source, tmp_path):
    (source / "trials").write_text("id10-aaa-1 id10-bbb-1 target\nid10-aaa-1 id99-bbb-1 nontarget\n")
    done = run("local/check_leak.py", tmp_path / "other", source)
    assert done.returncode == 1
    assert f"{source}/trials:2: unknown utterance id99-bbb-1" in done.stderr
