"""VOiCES: names, preparation, trials."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from local.voices import OddName, parse_name
from sv.base.files import sha256_of
from sv.kaldi.scp import read_table, read_utt2spk
from sv.kaldi.trials import read_trials

DISTANT = "Lab41-SRI-VOiCES-rm1-musi-sp0032-ch021631-sg0005-mc05-stu-far-dg010"
SOURCE = "Lab41-SRI-VOiCES-src-sp0032-ch021631-sg0005"
ROOT = Path(__file__).resolve().parents[3]
NOTHING_KNOWN = "not checked; a published hash is not known"
PREPARE, TRIALS = "local/prepare_voices.py", "local/make_voices_trials.py"


def test_every_field_of_a_name_is_read() -> None:
    name = parse_name(DISTANT)
    assert (name.speaker, name.chapter, name.segment) == ("sp0032", "ch021631", "sg0005")
    assert (name.room, name.distractor, name.microphone) == ("rm1", "musi", "mc05")
    assert (name.mic_type, name.place, name.angle) == ("stu", "far", "dg010")
    assert name.utterance == "sp0032-rm1-musi-ch021631-sg0005-mc05-stu-far-dg010"
    source = parse_name(SOURCE)
    assert source.is_source and not name.is_source
    assert source.utterance == "sp0032-src-ch021631-sg0005"
    assert source.speech == name.speech
    assert {source.room, source.distractor, source.microphone, source.place, source.angle} == {"source"}


@pytest.mark.parametrize(
    ("stem", "message"),
    [
        ("VOiCES-rm1", "does not begin with Lab41-SRI-VOiCES-"),
        (DISTANT.replace("rm1", "rm9"), "the room must be rm1 to rm4, got 'rm9'"),
        (DISTANT.replace("musi", "rain"), "the distractor must be none or musi or tele or babb, got 'rain'"),
        (DISTANT.replace("sp0032", "sp32"), "the speaker must be spNNNN, got 'sp32'"),
        (DISTANT.replace("sg0005", "seg0005"), "the segment must be sgNNNN, got 'seg0005'"),
        (DISTANT.replace("-mc05", ""), "the microphone must be mcNN, got 'stu'"),
        (DISTANT.replace("-stu", "-xxx"), "the microphone type must be stu or lav, got 'xxx'"),
        (DISTANT.replace("mc05", "mc01"), "in room rm1 mc01 is stu-clo, got stu-far"),
        (DISTANT.replace("mc05", "mc77"), "in room rm1 mc77 is not there; there are mc01 to mc12, got stu-far"),
        (DISTANT.replace("dg010", "dg015"), "the angle must be dg000 to dg180 in steps of ten, got 'dg015'"),
        (DISTANT.replace("dg010", "dg190"), "the angle must be dg000 to dg180 in steps of ten, got 'dg190'"),
        (DISTANT.removesuffix("-dg010"), "the angle must be dg000 to dg180 in steps of ten, got 'nothing'"),
        (f"{DISTANT}-copy", "nothing may follow the angle, got 'copy'"),
        (f"{SOURCE}-mc01", "nothing may follow the segment, got 'mc01'"),
    ],
)
def test_the_first_odd_field_is_named(stem: str, message: str) -> None:
    with pytest.raises(OddName, match=re.escape(message)):
        parse_name(stem)


def test_rooms_without_a_published_table_accept_any_microphone() -> None:
    assert parse_name(DISTANT.replace("rm1", "rm3").replace("mc05", "mc17")).microphone == "mc17"


@pytest.fixture
def devkit(tmp_path, speech):
    """Three speakers, three segments each, one recording of each segment; 0.3 s."""
    root = tmp_path / "VOiCES_devkit"
    for i, speaker in enumerate(("sp0001", "sp0002", "sp0003")):
        for segment in range(3):
            words = f"{speaker}-ch000007-sg000{segment}"
            speech(
                root / "source-16k" / "test" / speaker / f"Lab41-SRI-VOiCES-src-{words}.wav", 0.3, seed=10 * i + segment
            )
            room, distractor, microphone = (("rm1", "none", "mc01-stu-clo"), ("rm2", "babb", "mc06-lav-far"))[
                segment % 2
            ]
            name = f"Lab41-SRI-VOiCES-{room}-{distractor}-{words}-{microphone}-dg090.wav"
            speech(
                root / "distant-16k" / "speech" / "test" / room / distractor / speaker / name,
                0.3,
                seed=100 + 10 * i + segment,
            )
    speech(root / "distant-16k" / "distractors" / "Lab41-SRI-VOiCES-rm1-babb-mc01-stu-clo.wav", 0.3)
    return root


@pytest.fixture
def prepared(devkit, tmp_path, run):
    result = run(PREPARE, devkit, tmp_path / "data")
    assert result.returncode == 0, result.stderr
    return tmp_path / "data" / "voices_devkit"


def test_the_devkit_becomes_a_data_directory_with_what_the_names_say(prepared, run) -> None:
    utt2spk = read_utt2spk(prepared / "utt2spk")
    assert len(utt2spk) == 18
    assert set(utt2spk.values()) == {"sp0001", "sp0002", "sp0003"}
    utt = "sp0002-rm2-babb-ch000007-sg0001-mc06-lav-far-dg090"
    found = {
        name: read_table(prepared / f"utt2{name}")[utt]
        for name in ("room", "distractor", "mic", "mictype", "distance", "angle")
    }
    assert found == {
        "room": "rm2",
        "distractor": "babb",
        "mic": "mc06",
        "mictype": "lav",
        "distance": "far",
        "angle": "dg090",
    }
    assert read_table(prepared / "utt2room")["sp0002-src-ch000007-sg0001"] == "source"
    assert (
        read_table(prepared / "utt2name")[utt] == "Lab41-SRI-VOiCES-rm2-babb-sp0002-ch000007-sg0001-mc06-lav-far-dg090"
    )
    assert run("utils/validate_data_dir.py", prepared).returncode == 0


@pytest.mark.parametrize(
    ("folder", "name", "reason"),
    [
        ("rm1/none/sp0001", DISTANT.replace("-mc05", ""), "the microphone must be mcNN, got 'stu'"),
        ("rm2/musi/sp0032", DISTANT, "lies in rm2/musi/sp0032, its name says rm1/musi/sp0032"),
        ("rm1/musi/sp0001", DISTANT, "lies in rm1/musi/sp0001, its name says rm1/musi/sp0032"),
    ],
)
def test_one_odd_file_is_quarantined_with_its_reason(folder, name, reason, devkit, tmp_path, run, speech) -> None:
    path = devkit / "distant-16k" / "speech" / "train" / folder / f"{name}.wav"
    speech(path, 0.3)
    result = run(PREPARE, "--max-bad", 0.2, devkit, tmp_path / "data")
    assert result.returncode == 0, result.stderr
    (line,) = (tmp_path / "data" / "voices_devkit" / "quarantine.tsv").read_text().splitlines()
    assert line.split("\t")[1] == str(path)
    assert reason in line
    assert len(read_utt2spk(tmp_path / "data" / "voices_devkit" / "utt2spk")) == 18
    strict = run(PREPARE, devkit, tmp_path / "strict")
    assert strict.returncode == 1
    assert "1 of 19 files are bad, more than --max-bad 0.01 allows" in strict.stderr
    assert len(strict.stderr.strip().splitlines()) == 1


def test_a_devkit_without_sources_and_a_folder_without_voices_are_one_line(devkit, tmp_path, run) -> None:
    (devkit / "source-16k").rename(devkit / "elsewhere")
    result = run(PREPARE, devkit, tmp_path / "data")
    assert result.returncode == 1
    assert f"prepare_voices.py: {devkit}: {devkit}/source-16k is missing; a devkit has" in result.stderr
    empty = run(PREPARE, tmp_path / "data2", tmp_path / "data")
    assert empty.returncode == 1
    assert "no VOiCES here; looked for distant-16k/speech, source-16k, " in empty.stderr


def test_trials_by_the_rules(prepared, run) -> None:
    result = run(TRIALS, "--num-targets", 1, "--num-nontargets", 3, prepared)
    assert result.returncode == 0, result.stderr
    trials, names = read_trials(prepared / "trials"), read_table(prepared / "utt2name")
    assert (trials.is_target.sum(), (~trials.is_target).sum()) == (9, 27)
    for enrolment, test, is_target in zip(trials.enrolment, trials.test, trials.is_target):
        source, recording = parse_name(names[enrolment]), parse_name(names[test])
        assert source.is_source and not recording.is_source
        assert (source.speaker == recording.speaker) == is_target
        assert source.speech != recording.speech
    for test in set(trials.test):
        rows = [i for i, utt in enumerate(trials.test) if utt == test]
        others = {parse_name(names[trials.enrolment[i]]).speaker for i in rows if not trials.is_target[i]}
        assert len(others) == 2  # both other speakers before any of them twice
    first = (prepared / "trials").read_bytes()
    run(TRIALS, "--num-targets", 1, "--num-nontargets", 3, prepared)
    assert (prepared / "trials").read_bytes() == first
    run(TRIALS, "--num-targets", 1, "--num-nontargets", 3, "--seed", 1, prepared)
    assert (prepared / "trials").read_bytes() != first


def test_trials_of_one_microphone_and_a_missing_one(prepared, run) -> None:
    assert run(TRIALS, "--microphones", "mc06", prepared).returncode == 0
    trials, mics = read_trials(prepared / "trials"), read_table(prepared / "utt2mic")
    assert {mics[utt] for utt in trials.test} == {"mc06"}
    missing = run(TRIALS, "--microphones", "mc06,mc11", prepared)
    assert missing.returncode == 1
    assert missing.stderr.strip() == (
        f"make_voices_trials.py: {prepared}: no recordings of microphone mc11; there are mc01, mc06"
    )


@pytest.fixture
def challenge(tmp_path, speech):
    """The challenge's layout: two development speakers, and evaluation audio with the organisers' map."""
    root = tmp_path / "VOiCES"
    dev = root / "Development_Data" / "Speaker_Recognition"
    lists = dev / "sid_dev_lists_and_keys"
    lists.mkdir(parents=True)
    names = {
        speaker: [
            f"Lab41-SRI-VOiCES-src-{speaker}-ch000001-sg0000",
            f"Lab41-SRI-VOiCES-rm2-tele-{speaker}-ch000001-sg0001-mc03-stu-mid-dg120",
        ]
        for speaker in ("sp0010", "sp0011")
    }
    for i, (speaker, stems) in enumerate(names.items()):
        for j, stem in enumerate(stems):
            speech(dev / "sid_dev" / speaker / f"{stem}.wav", 0.3, seed=2 * i + j)
    (lists / "dev-enroll.lst").write_text("".join(f"{s[0]} sid_dev/{spk}/{s[0]}.wav\n" for spk, s in names.items()))
    (lists / "dev-test.lst").write_text("".join(f"sid_dev/{spk}/{s[1]}.wav\n" for spk, s in names.items()))
    (lists / "dev-trial-keys.lst").write_text(
        "".join(
            f"{enrol[0]} sid_dev/{spk}/{test[1]}.wav {'tgt' if enrol is test else 'imp'}\n"
            for enrol in names.values()
            for spk, test in names.items()
        )
    )
    release = root / "VOiCES_challenge_2019_post-eval-release"
    release.mkdir()
    anonymous = {f"VOiCES_2019_{n}": stem for n, stem in enumerate(sum(names.values(), []))}
    for n, name in enumerate(anonymous):
        speech(root / "Speaker_Recognition" / "sid_eval" / f"{name}.wav", 0.3, seed=20 + n)
    (release / "VOiCES_challenge_2019_eval.SID.map").write_text(
        "".join(f"{a} x/{stem}.wav\n" for a, stem in anonymous.items())
    )
    (release / "VOiCES_challenge_2019_eval.SID.trial-keys.lst").write_text(
        "VOiCES_2019_0 VOiCES_2019_1.wav tgt\nVOiCES_2019_0 VOiCES_2019_3.wav imp\n"
    )
    return root


@pytest.fixture
def challenge_data(challenge, tmp_path, run):
    result = run(PREPARE, challenge, tmp_path / "data")
    assert result.returncode == 0, result.stderr
    return tmp_path / "data"


def test_the_challenges_lists_become_trials(challenge, challenge_data, run) -> None:
    result = run(TRIALS, "--corpus", challenge, challenge_data / "voices_dev")
    assert result.returncode == 0, result.stderr
    trials = read_trials(challenge_data / "voices_dev" / "trials")
    assert trials.enrolment[:2] == ["sp0010-src-ch000001-sg0000"] * 2
    assert trials.test[:2] == [f"sp001{i}-rm2-tele-ch000001-sg0001-mc03-stu-mid-dg120" for i in (0, 1)]
    np.testing.assert_array_equal(trials.is_target, [True, False, False, True])
    assert run(TRIALS, "--corpus", challenge, challenge_data / "voices_eval").returncode == 0
    trials = read_trials(challenge_data / "voices_eval" / "trials")
    assert list(zip(trials.test, trials.is_target.tolist())) == [
        ("sp0010-rm2-tele-ch000001-sg0001-mc03-stu-mid-dg120", True),
        ("sp0011-rm2-tele-ch000001-sg0001-mc03-stu-mid-dg120", False),
    ]


def test_evaluation_audio_without_the_map_has_no_speakers(challenge, tmp_path, run) -> None:
    (challenge / "VOiCES_challenge_2019_post-eval-release" / "VOiCES_challenge_2019_eval.SID.map").unlink()
    assert run(PREPARE, challenge, tmp_path / "data").returncode == 0
    data = tmp_path / "data" / "voices_eval"
    assert not (data / "utt2room").exists()
    assert run(TRIALS, "--corpus", challenge, data).returncode == 0
    trials = read_trials(data / "trials")
    assert (trials.enrolment[0], trials.test[0]) == ("VOiCES_2019_0", "VOiCES_2019_1")


KEYS = "Development_Data/Speaker_Recognition/sid_dev_lists_and_keys/dev-trial-keys.lst"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("tgt", "yes", 1), ":1: the last field must be tgt or imp, got 'yes'"),
        (lambda text: text.replace(" tgt", "", 1), ":1: expected '<model> <path> tgt|imp', got 'Lab41"),
        (
            lambda text: text.replace("sg0001", "sg0009", 1),
            ":1: Lab41-SRI-VOiCES-rm2-tele-sp0010-ch000001-sg0009-mc03-stu-mid-dg120 is not in ",
        ),
        (lambda text: "nobody " + text.split(" ", 1)[1], ":1: model nobody is not in "),
        (lambda text: text.replace("imp", "tgt", 1), "is called target, which their speakers are not"),
        (
            lambda text: "\n".join(line for line in text.splitlines() if "tgt" in line),
            "2 target and 0 nontarget trials; both are needed",
        ),
    ],
)
def test_what_is_wrong_in_a_list_is_one_line_with_its_place(change, message, challenge, challenge_data, run) -> None:
    keys = challenge / KEYS
    keys.write_text(change(keys.read_text()))
    result = run(TRIALS, "--corpus", challenge, challenge_data / "voices_dev")
    assert result.returncode == 1
    assert len(result.stderr.strip().splitlines()) == 1
    assert message in result.stderr
    assert not (challenge_data / "voices_dev" / "trials").exists()


def test_trials_of_a_quarantined_file_are_dropped(challenge, tmp_path, run) -> None:
    stem = "Lab41-SRI-VOiCES-rm2-tele-sp0011-ch000001-sg0001-mc03-stu-mid-dg120"
    (challenge / "Development_Data/Speaker_Recognition/sid_dev/sp0011" / f"{stem}.wav").write_bytes(b"no audio")
    assert run(PREPARE, "--max-bad", 0.5, challenge, tmp_path / "data").returncode == 0
    keys = challenge / KEYS
    test = "sid_dev/sp0010/Lab41-SRI-VOiCES-rm2-tele-sp0010-ch000001-sg0001-mc03-stu-mid-dg120.wav"
    keys.write_text(keys.read_text() + f"Lab41-SRI-VOiCES-src-sp0011-ch000001-sg0000 {test} imp\n")
    result = run(TRIALS, "--corpus", challenge, tmp_path / "data" / "voices_dev")
    assert result.returncode == 0, result.stderr
    assert "2 dropped with 1 quarantined files" in result.stdout
    assert stem in (tmp_path / "data" / "voices_dev" / "trials.dropped").read_text()


def test_lists_that_are_not_there_are_named(challenge, challenge_data, run) -> None:
    (challenge / KEYS).unlink()
    result = run(TRIALS, "--corpus", challenge, challenge_data / "voices_dev")
    assert result.returncode == 1
    assert f"{challenge}: no dev-trial-keys.lst; looked in Development_Data" in result.stderr


def test_options_that_do_not_go_together_are_usage_errors(prepared, run) -> None:
    assert run(TRIALS, "--test", "x", prepared).returncode == 2
    assert run(TRIALS, "--keys", "x", "--microphones", "mc01", prepared).returncode == 2


def test_the_synthetic_devkit_is_prepared_as_the_real_one(tmp_path, run, speech) -> None:
    corpora = tmp_path / "corpora"
    for i, speaker in enumerate(("id10001", "id10002")):
        for j in range(2):
            speech(
                corpora / "voxceleb1" / "test" / "wav" / speaker / "aaaaaaaaaaa" / f"0000{j}.wav", 0.4, seed=2 * i + j
            )
    for i, kind in enumerate(("noise", "music", "speech")):
        speech(corpora / "musan" / kind / "x" / f"{kind}-x-0001.wav", 0.3, seed=10 + i)
    speech(corpora / "RIRS_NOISES" / "simulated_rirs" / "smallroom" / "Room001" / "r.wav", 0.1, seed=20)
    result = run("local/make_synthetic_voices.py", corpora)
    assert result.returncode == 0, result.stderr
    assert "VOiCES_devkit: 16 recordings in rooms" in result.stdout
    assert run(PREPARE, corpora / "VOiCES_devkit", tmp_path / "data").returncode == 0
    data = tmp_path / "data" / "voices_devkit"
    assert (data / "quarantine.tsv").read_text() == ""
    rooms = read_table(data / "utt2room")
    assert sorted(set(rooms.values())) == ["rm1", "rm2", "source"]
    assert len(rooms) == 20
    assert run(TRIALS, data).returncode == 0
    names = {path.name for path in (corpora / "VOiCES_devkit").rglob("*.wav")}
    assert run("local/make_synthetic_voices.py", corpora).returncode == 0
    assert {path.name for path in (corpora / "VOiCES_devkit").rglob("*.wav")} == names


def test_a_set_says_which_published_list_it_has_and_another_is_refused(
    challenge, challenge_data, tmp_path, run
) -> None:
    dev, table = challenge_data / "voices_dev", tmp_path / "table.toml"
    assert run(TRIALS, "--corpus", challenge, dev).returncode == 0
    said = (dev / "published_list").read_text()
    assert said == f"voices-dev: dev-trial-keys.lst, SHA-256 {sha256_of(challenge / KEYS)}, {NOTHING_KNOWN}\n"
    entry = 'recipe = "voices"\nlist = "x"\naddress = "https://example.org"\ntrials = 5\n'
    table.write_text(f"[voices-dev]\n{entry}")
    before = (dev / "trials").read_bytes()
    result = run(TRIALS, "--protocols", table, "--corpus", challenge, dev)
    assert result.returncode == 1
    assert (
        f"{challenge / KEYS}: not the list of voices-dev: expected 5 trials, got 4; get it from https" in result.stderr
    )
    assert len(result.stderr.splitlines()) == 1 and (dev / "trials").read_bytes() == before


def test_a_set_of_no_such_name_is_refused_by_the_recipe(tmp_path) -> None:
    words = ("--trials", "voices-dev,voices-test", "--data", tmp_path / "d", "--exp", tmp_path / "e")
    done = subprocess.run([ROOT / "egs/voices/run.sh", *words], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.endswith("error: --trials: no voices-test; see --help\n")
    assert not (tmp_path / "d").exists()
