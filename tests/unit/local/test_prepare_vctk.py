import numpy as np
import pytest
import soundfile

from local.prepare_vctk import find_sources, read_genders
from sv.kaldi import read_scp, read_utt2dur, read_utt2spk, validate_data_dir

SCRIPT = "local/prepare_vctk.py"
RATE = 48_000


def sentence(path, seconds=1.5, seed=0, rate=RATE):
    """Speech between half a second of near silence on either side."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    speech, silence = 0.2 * rng.standard_normal(int(seconds * rate)), 1e-4 * rng.standard_normal(rate // 2)
    soundfile.write(path, np.concatenate([silence, speech, silence]), rate)


@pytest.fixture
def vctk(tmp_path):
    """Two speakers of version 0.80, the second without sentence 001."""
    root = tmp_path / "VCTK-Corpus"
    for speaker, numbers in (("p225", (1, 2)), ("p226", (2, 3))):
        for number in numbers:
            sentence(root / f"wav48/{speaker}/{speaker}_{number:03d}.wav", seed=number)
    (root / "speaker-info.txt").write_text(
        "ID  AGE  GENDER  ACCENTS  REGION\n225  23  F  English  Southern\n226  22  M  English\n"
    )
    return root


def test_sentences_are_trimmed_and_the_phrase_is_its_end(run, vctk, tmp_path):
    done = run(SCRIPT, vctk, tmp_path / "data")
    assert done.returncode == 0, done.stderr
    assert "1 speakers have no sentence 001: p226" in done.stdout
    for name in ("vctk", "vctk_phrase"):
        assert validate_data_dir(tmp_path / "data" / name) == []
    data = tmp_path / "data/vctk"
    assert list(read_utt2spk(data / "utt2spk")) == ["p225-001", "p225-002", "p226-002", "p226-003"]
    assert (data / "spk2gender").read_text() == "p225 f\np226 m\n"
    # A frame of 256 ms counts as speech if it holds a bit of it: up to two of them more on either side.
    assert all(1.5 <= seconds < 2.05 for seconds in read_utt2dur(data / "utt2dur").values())
    assert read_utt2dur(tmp_path / "data/vctk_phrase/utt2dur") == {"p225-001": 0.8}
    whole, rate = soundfile.read(read_scp(data / "wav.scp")["p225-001"])
    phrase, _ = soundfile.read(read_scp(tmp_path / "data/vctk_phrase/wav.scp")["p225-001"])
    assert rate == 16_000
    ends = [len(whole) - 12_800 - offset for offset in range(0, 4097, 1024)]  # 14 dB trims no less than 20 dB does
    assert any(np.array_equal(whole[start : start + 12_800], phrase) for start in ends)


def test_version_092_is_read_from_the_first_microphone(run, tmp_path):
    root = tmp_path / "VCTK-Corpus-0.92"
    for speaker in ("p225", "s5"):
        for microphone in (1, 2):
            sentence(root / f"wav48_silence_trimmed/{speaker}/{speaker}_001_mic{microphone}.flac", seed=microphone)
    done = run(SCRIPT, tmp_path, tmp_path / "data")
    assert done.returncode == 0, done.stderr
    assert list(read_utt2spk(tmp_path / "data/vctk/utt2spk")) == ["p225-001", "s5-001"]
    assert list(read_utt2spk(tmp_path / "data/vctk_phrase/utt2spk")) == ["p225-001", "s5-001"]


def test_pure_silence_is_quarantined_with_the_reason(run, vctk, tmp_path):
    soundfile.write(vctk / "wav48/p226/p226_003.wav", np.zeros(RATE), RATE)
    done = run(SCRIPT, "--max-bad", 0.5, vctk, tmp_path / "data")
    assert done.returncode == 0, done.stderr
    assert "vctk: 3 utterances, 3 converted to 16 kHz mono, 1 quarantined" in done.stderr
    assert "silent: every sample is zero" in (tmp_path / "data/vctk/quarantine.tsv").read_text()


def test_too_short_a_phrase_is_quarantined(run, vctk, tmp_path):
    sentence(vctk / "wav48/p226/p226_001.wav", seconds=0.1)
    done = run(SCRIPT, vctk, tmp_path / "data")
    assert done.returncode == 0, done.stderr
    line = (tmp_path / "data/vctk_phrase/quarantine.tsv").read_text()
    assert line.startswith("p226-001\t") and "s of speech, more than 0.82 s are needed" in line


def test_what_is_not_vctk_is_refused(run, vctk, tmp_path):
    (vctk / "wav48/p225/p225_001.wav").rename(vctk / "wav48/p225/hello.wav")
    done = run(SCRIPT, vctk, tmp_path / "data")
    assert done.returncode == 1
    assert "hello.wav: expected <speaker>/<speaker>_<sentence>[_mic1|_mic2], as p225/p225_001" in done.stderr
    (vctk / "wav48").rename(vctk / "other")
    assert (
        "found neither wav48_silence_trimmed nor wav48; is this VCTK, unpacked?" in run(SCRIPT, vctk, tmp_path).stderr
    )


def test_a_bad_line_of_speaker_info_is_named(run, vctk, tmp_path):
    (vctk / "speaker-info.txt").write_text("ID  AGE  GENDER\n225  23  F\n226 male\n")
    done = run(SCRIPT, vctk, tmp_path / "data")
    assert done.returncode == 1
    assert "speaker-info.txt:3: expected 'ID AGE GENDER ...', got '226 male'" in done.stderr


def test_digits(run, speech, tmp_path):
    for name in ("0_george_0", "0_george_12", "7_yweweler_3"):
        speech(tmp_path / f"fsdd/recordings/{name}.wav", 0.4, rate=8000)
    done = run("local/prepare_digits.py", tmp_path / "fsdd", tmp_path / "data")
    assert done.returncode == 0, done.stderr
    assert validate_data_dir(tmp_path / "data/digits") == []
    assert list(read_utt2spk(tmp_path / "data/digits/utt2spk")) == ["george-0-000", "george-0-012", "yweweler-7-003"]
    speech(tmp_path / "fsdd/recordings/seven_george.wav", 0.4, rate=8000)
    done = run("local/prepare_digits.py", tmp_path / "fsdd", tmp_path / "data")
    assert "seven_george.wav: expected <digit>_<speaker>_<take>, as 7_jackson_32" in done.stderr
    done = run("local/prepare_digits.py", tmp_path, tmp_path / "data")
    assert done.returncode == 1 and "no folder recordings; is this the Free Spoken Digit Dataset?" in done.stderr


@pytest.fixture
def noisy_vctk(tmp_path):
    root, rng = tmp_path / "noisy", np.random.default_rng(0)
    for part in ("testset_wav", "trainset_28spk_wav"):
        for kind in ("clean", "noisy"):
            (root / f"{kind}_{part}").mkdir(parents=True)
        clean, noise = 0.1 * rng.standard_normal(8000), 0.01 * np.sin(np.arange(8000) / 9)
        soundfile.write(root / f"clean_{part}/p232_001.wav", clean, 16_000, subtype="FLOAT")
        soundfile.write(root / f"noisy_{part}/p232_001.wav", clean + noise, 16_000, subtype="FLOAT")
    return root


def test_noise_is_noisy_less_clean(run, noisy_vctk, tmp_path):
    done = run("local/prepare_noisy_vctk.py", noisy_vctk, tmp_path / "data")
    assert done.returncode == 0, done.stderr
    assert "vctk_noise_train: 1 pairs in clean_trainset_28spk_wav and noisy_trainset_28spk_wav" in done.stdout
    for part in ("train", "test"):
        assert validate_data_dir(tmp_path / f"data/vctk_noise_{part}") == []
        noise, _ = soundfile.read(read_scp(tmp_path / f"data/vctk_noise_{part}/wav.scp")["p232_001"])
        np.testing.assert_allclose(noise, 0.01 * np.sin(np.arange(8000) / 9), atol=2**-15)


@pytest.mark.parametrize("problem", ["missing", "longer", "same"])
def test_recordings_that_are_no_pair_are_quarantined(run, noisy_vctk, tmp_path, problem):
    clean, noisy = (noisy_vctk / f"{kind}_testset_wav/p257_001.wav" for kind in ("clean", "noisy"))
    soundfile.write(noisy, 0.1 * np.sin(np.arange(100)), 16_000)
    if problem != "missing":
        soundfile.write(clean, 0.1 * np.sin(np.arange(100 if problem == "same" else 101)), 16_000)
    done = run("local/prepare_noisy_vctk.py", "--max-bad", 0.5, noisy_vctk, tmp_path / "data")
    assert done.returncode == 0, done.stderr
    reasons = {
        "missing": "no clean recording",
        "longer": "100 samples at 16 kHz, but 101 in",
        "same": "no noise: the same as",
    }
    assert reasons[problem] in (tmp_path / "data/vctk_noise_test/quarantine.tsv").read_text()


def test_noisy_vctk_needs_both_parts(run, noisy_vctk, tmp_path):
    (noisy_vctk / "clean_trainset_28spk_wav").rename(noisy_vctk / "x")
    done = run("local/prepare_noisy_vctk.py", noisy_vctk, tmp_path / "data")
    assert done.returncode == 1
    assert "no pair of folders {clean,noisy}_trainset_28spk_wav or {clean,noisy}_trainset_56spk_wav" in done.stderr


def test_what_is_there_of_the_second_microphone_alone_is_said(tmp_path, capsys):
    for name in ("p225_001_mic1", "p225_001_mic2", "p225_002_mic2", "p315_001_mic2"):
        (tmp_path / name[:4]).mkdir(exist_ok=True)
        (tmp_path / name[:4] / f"{name}.flac").touch()
    assert [source.utterance for source in find_sources(tmp_path)] == ["p225-001"]
    assert capsys.readouterr().out == "2 sentences are there of microphone 2 alone, and left out, of p225, p315\n"


def test_frames_and_blank_lines_of_speaker_info_are_nothing(tmp_path):
    (tmp_path / "speaker-info.txt").write_bytes(
        b"\xef\xbb\xbfID AGE GENDER\r\n\r\n225  23  F  English\r\np226 22 M\r\n\r\n"
    )
    assert read_genders(tmp_path / "wav48") == {"p225": "f", "p226": "m"}
