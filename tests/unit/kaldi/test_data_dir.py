import subprocess

import pytest

from sv.kaldi import DataDirError, share_of, split_keys, validate_data_dir, write_data_dir
from sv.kaldi.data_dir import speaker_order_problems, subset_data_dir


@pytest.fixture
def data_dir(tmp_path):
    wav = tmp_path / "x.wav"
    wav.touch()
    utts = ["s1-a", "s1-b", "s2-a"]
    write_data_dir(
        tmp_path / "d",
        wav_scp=dict.fromkeys(utts, str(wav)),
        utt2spk={utt: utt[:2] for utt in utts},
        utt2dur=dict.fromkeys(utts, 1.25),
        spk2gender={"s1": "f", "s2": "m", "s3": "m"},
    )
    return tmp_path / "d"


def test_a_written_directory_is_valid(data_dir):
    assert validate_data_dir(data_dir) == []
    assert (data_dir / "spk2utt").read_text() == "s1 s1-a s1-b\ns2 s2-a\n"
    assert (data_dir / "spk2gender").read_text() == "s1 f\ns2 m\n"


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("utt2spk", "s1-a s1\ns2-a s2\ns1-b s1\n", "utt2spk:3: 's1-b' after 's2-a'; sort with LC_ALL=C"),
        ("utt2spk", "s1-a s1\ns1-a s1\n", "utt2spk:2: key 's1-a' appears twice"),
        ("utt2spk", "s1-a s1\ns1-b s1\ns2-a x2\n", "utt2spk:3: speaker 'x2' is not a prefix of utterance 's2-a'"),
        ("spk2utt", "s1 s1-a\ns2 s2-a\n", "spk2utt: does not agree with utt2spk"),
        ("utt2dur", "s1-a 1\ns2-a 1\n", "utt2dur: 1 utterances of utt2spk are missing, e.g. 's1-b'"),
        (
            "wav.scp",
            "s1-a /no/such.wav\ns1-b x |\ns2-a x |\n",
            "wav.scp:1: the file of 's1-a' is missing: /no/such.wav",
        ),
        ("utt2spk", "", "utt2spk: no utterances"),
        (
            "utt2spk",
            "13_1 13\n1_2 1\n",
            "utt2spk:2: not sorted by speaker, as Kaldi wants it: '1_2' of '1' after '13_1' of '13'",
        ),
    ],
)
def test_each_broken_rule_is_named(data_dir, name, content, problem):
    (data_dir / name).write_text(content)
    assert any(line.endswith(problem) or problem in line for line in validate_data_dir(data_dir))


def test_jobs_get_contiguous_shares_that_cover_everything():
    keys = [f"u{i:02d}" for i in range(11)]
    shares = [split_keys(keys[::-1], 4, job) for job in range(1, 5)]
    assert sum(shares, []) == keys
    assert {len(share) for share in shares} == {2, 3}
    with pytest.raises(ValueError, match=r"job must be in 1..4, got 5"):
        split_keys(keys, 4, 5)


@pytest.mark.parametrize("num_jobs", [1, 2, 3, 7, 20])
def test_jobs_get_about_the_same_duration(num_jobs):
    weights = {f"u{i:02d}": 1.0 + 9.0 * (i < 4) for i in range(11)}  # 40 of 47 s are in the first four
    shares = [split_keys([*weights], num_jobs, job, weights) for job in range(1, num_jobs + 1)]
    assert sum(shares, []) == [*weights]
    sums = [sum(weights[key] for key in share) for share in shares]
    assert max(sums) <= 47 / num_jobs + 10
    if num_jobs == 2:
        assert shares[0] == ["u00", "u01"]
    equal = dict.fromkeys(weights, 0.3)
    by_number = [split_keys([*equal], num_jobs, job, equal) for job in range(1, num_jobs + 1)]
    assert sum(by_number, []) == [*equal]
    assert max(map(len, by_number)) - min(map(len, by_number)) <= 1
    assert split_keys([], num_jobs, 1, {}) == []


def test_a_share_of_a_data_directory_is_by_duration_where_it_is_known(data_dir):
    (data_dir / "utt2dur").write_text("s1-a 30.0\ns1-b 1.0\ns2-a 1.0\n")
    (data_dir / "utt2spk").write_text("s1-a s1\ns1-b s1\ns2-a s2\n")
    assert [share_of(data_dir, 2, job) for job in (1, 2)] == [["s1-a"], ["s1-b", "s2-a"]]
    (data_dir / "utt2dur").unlink()
    assert [share_of(data_dir, 2, job) for job in (1, 2)] == [["s1-a"], ["s1-b", "s2-a"]]  # 1 and 2 of 3
    (data_dir / "utt2spk").write_text("s1-a s1\ns1-b s1\ns2-a s2\ns2-b s2\n")
    assert share_of(data_dir, 2, 1) == ["s1-a", "s1-b"]
    (data_dir / "utt2dur").write_text("s1-a 30.0\ns1-b 1.0\ns2-a 1.0\ns2-b 1.0\n")
    assert share_of(data_dir, 2, 1) == ["s1-a"]


def test_a_subset_of_unknown_utterances_is_refused(data_dir, tmp_path):
    subset_data_dir(data_dir, tmp_path / "sub", ["s1-b"])
    assert (tmp_path / "sub/utt2spk").read_text() == "s1-b s1\n"
    with pytest.raises(DataDirError, match=r"1 utterances are not there, e.g. \['zz'\]"):
        subset_data_dir(data_dir, tmp_path / "sub2", ["s1-b", "zz"])


@pytest.mark.parametrize("separator", ["-", "_", "", ".", "!", "~"])
@pytest.mark.parametrize("speakers", [("1", "13"), ("a", "b"), ("spk", "spk1", "spk-1"), ("x", "x", "xy")])
def test_the_order_of_speakers_is_that_of_sort(separator, speakers, tmp_path):
    utt2spk = {f"{speaker}{separator}{number}": speaker for number, speaker in enumerate(speakers)}
    utt2spk = {utt: utt2spk[utt] for utt in sorted(utt2spk, key=str.encode)}
    table = "".join(f"{utt} {speaker}\n" for utt, speaker in utt2spk.items())
    (tmp_path / "utt2spk").write_text(table)
    done = subprocess.run(["sort", "-k2", tmp_path / "utt2spk"], capture_output=True, text=True, env={"LC_ALL": "C"})
    assert bool(speaker_order_problems(tmp_path / "utt2spk", utt2spk)) == (done.stdout != table)


def test_sessions_go_with_their_utterances_and_nothing_of_before_stays(data_dir, tmp_path):
    (data_dir / "utt2session").write_text("s1-a x\ns1-b y\n")
    subset_data_dir(data_dir, tmp_path / "out", ["s1-b", "s2-a"])
    assert (tmp_path / "out/utt2session").read_text() == "s1-b y\n"
    assert (tmp_path / "out/spk2gender").read_text() == "s1 f\ns2 m\n"
    for name in ("utt2session", "spk2gender"):
        (data_dir / name).unlink()
    subset_data_dir(data_dir, tmp_path / "out", ["s1-a"])
    assert not (tmp_path / "out/utt2session").exists() and not (tmp_path / "out/spk2gender").exists()
