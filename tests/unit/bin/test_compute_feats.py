import re

import numpy as np
import soundfile

from sv.bin import compute_feats
from sv.features.segments import SegmentConfig, compute_features
from sv.kaldi import read_matrix, read_scp
from sv.system.config import load_system
from sv.system.folder import build_frontend


def test_features_are_those_of_the_segments(folder, staged) -> None:
    frontend = build_frontend(load_system(folder / "tiny.toml"))
    stored = read_scp(staged[0] / "feats" / "test" / "feats.1.scp")
    assert list(stored) == list(staged[1])
    for utt, location in stored.items():
        samples = soundfile.read(folder / f"{utt}.wav", dtype="float32")[0]
        np.testing.assert_array_equal(
            read_matrix(location), compute_features(frontend, samples, SegmentConfig(segment_samples=4000))
        )


def test_compression_keeps_features_to_a_thousandth_of_their_range(folder, staged, tmp_path) -> None:
    arguments = ["--config", str(folder / "tiny.toml"), "--out", str(tmp_path), "--compress", "true"]
    compute_feats.main([*arguments, str(folder / "data" / "test")])
    exact = read_scp(staged[0] / "feats" / "test" / "feats.scp")
    for key, location in read_scp(tmp_path / "test" / "feats.1.scp").items():
        matrix = read_matrix(exact[key])
        np.testing.assert_allclose(read_matrix(location), matrix, atol=1e-3 * np.ptp(matrix))
    sizes = [path.stat().st_size for path in (tmp_path / "test" / "feats.1.ark", staged[0] / "feats/test/feats.1.ark")]
    assert sizes[0] < 0.6 * sizes[1]


def test_a_recording_that_is_gone_is_named(folder, fails, tmp_path) -> None:
    data_dir = tmp_path / "gone"
    data_dir.mkdir()
    (data_dir / "utt2spk").write_text("spk-1 spk\n")
    (data_dir / "utt2dur").write_text("spk-1 1.0\n")
    (data_dir / "wav.scp").write_text(f"spk-1 {tmp_path}/nowhere.wav\n")
    said = fails(compute_feats.main, "--config", folder / "tiny.toml", "--out", tmp_path / "feats", data_dir)
    assert f"error: {data_dir}: spk-1: " in said
    assert "nowhere.wav" in said
    assert not list((tmp_path / "feats").rglob("*.scp"))


def test_a_probe_writes_nothing_and_foretells_what_is_written(folder, staged, tmp_path, capsys) -> None:
    arguments = ["--config", str(folder / "tiny.toml"), "--num-jobs", "2", "--probe", "--out", str(tmp_path / "feats")]
    sets = [str(folder / "data" / "test")] * 6  # as many as it has utterances: all are tried, once each
    compute_feats.main([*arguments, *sets])
    files, num_bytes, seconds, how = capsys.readouterr().out.split(maxsplit=3)
    values = sum(read_matrix(location).size for location in read_scp(staged[0] / "feats/test/feats.scp").values())
    assert (int(files), int(num_bytes)) == (6 * 3, 6 * 4 * values)
    assert int(seconds) >= 1
    assert re.fullmatch(r"by a probe: 2 of 14 s of audio took \d+\.\d\d s in one of 2 jobs\n", how)
    assert not (tmp_path / "feats").exists()
    compute_feats.main([*arguments, "--compress", "true", *sets])
    assert int(capsys.readouterr().out.split()[1]) == 6 * 2 * values
