import pytest

from sv.__main__ import main
from sv.kaldi import read_trials, read_utt2spk


@pytest.fixture
def data_dir(tmp_path):
    utts = [f"{speaker}-{session}-{number}" for speaker in "abc" for session in "xy" for number in (1, 2)]
    (tmp_path / "utt2spk").write_text("".join(f"{utt} {utt[0]}\n" for utt in utts))
    return tmp_path


def test_trials_of_speakers_alone_then_of_sessions_and_sexes(data_dir, capsys):
    main(["make-trials", str(data_dir), str(data_dir / "trials")])
    said = capsys.readouterr().out
    assert said == f"{data_dir}/trials: 18 target and 48 nontarget trials of 12 utterances, 3 speakers\n"
    (data_dir / "utt2session").write_text("".join(f"{utt} {utt[2]}\n" for utt in read_utt2spk(data_dir / "utt2spk")))
    (data_dir / "spk2gender").write_text("a f\nb m\nc f\n")
    main(["make-trials", str(data_dir), str(data_dir / "trials")])
    assert ": 12 target and 16 nontarget trials " in capsys.readouterr().out
    trials = read_trials(data_dir / "trials")
    assert all((e[2] != t[2]) if label else ({e[0], t[0]} == {"a", "c"})
               for e, t, label in zip(trials.enrolment, trials.test, trials.is_target))  # fmt: skip


def test_quarantined_utterances_and_limits(data_dir, capsys):
    (data_dir / "quarantine.tsv").write_text("a-x-1\t/a.wav\tsilent\n")
    main(
        ["make-trials", "--max-targets", "5", "--max-nontargets", "7", str(data_dir), str(data_dir / "out" / "trials")]
    )
    assert ": 5 target and 7 nontarget trials of 11 utterances" in capsys.readouterr().out
    assert "a-x-1" not in (data_dir / "out" / "trials").read_text()


@pytest.mark.parametrize(("name", "text", "message"), [
    ("utt2spk", "a-1 a\na-2 a\n", "error: {}: nontarget trials need two speakers, there is 1: a"),
    ("utt2spk", "a-1 a\nb-2 b\n", "error: {}: target trials need a speaker with two utterances; each of the 2 has one"),
    ("utt2session", "a-x-1\n", "error: {}/utt2session:1: expected '<key> <value>', got 'a-x-1'"),
])  # fmt: skip
def test_one_line_and_nothing_written(data_dir, name, text, message):
    (data_dir / name).write_text(text)
    (data_dir / "trials").write_text("old\n")
    with pytest.raises(SystemExit) as exit_:
        main(["make-trials", str(data_dir), str(data_dir / "trials")])
    assert exit_.value.code == message.format(data_dir)
    assert (data_dir / "trials").read_text() == "old\n"
