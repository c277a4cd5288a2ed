from pathlib import Path

import numpy as np
import pytest
import soundfile

from sv.bin import embed
from sv.data.manifests import write_manifests
from sv.embed.embedder import Embedder, utterance_embedding
from sv.features.segments import frames_per_segment
from sv.kaldi import open_ark_scp, read_scp, read_vectors, write_data_dir, write_table
from sv.system.folder import load_model


def embedded(out: Path, folder: Path, *inputs: object) -> dict[str, np.ndarray]:
    embed.main(["--model", str(folder / "model"), *map(str, inputs), str(out / "out.ark")])
    return read_vectors(out / "out.scp")


def test_stored_features_and_audio_give_the_same_embeddings(folder, staged, assert_same, tmp_path) -> None:
    assert_same(embedded(tmp_path, folder, folder / "data" / "test" / "wav.scp"), staged[1])
    assert_same(embedded(tmp_path, folder, staged[0] / "feats" / "test" / "feats.scp"), staged[1])


def test_features_of_whole_utterances_made_elsewhere_are_cut_like_audio(folder, staged, tmp_path) -> None:
    system, frontend, model = load_model(folder / "model")
    frames, mels = frames_per_segment(frontend, system.extract), system.features.num_mel_bins
    rng = np.random.default_rng(0)
    whole = {
        f"utt{count}": rng.standard_normal((count, mels)).astype(np.float32) for count in (frames // 2, 3 * frames - 2)
    }
    with open_ark_scp(tmp_path / "feats.ark", tmp_path / "feats.scp") as write:
        for utt in sorted(whole):
            write(utt, whole[utt])
    found = embedded(tmp_path, folder, tmp_path / "feats.scp")
    embed_one = Embedder(model, frames, system.extract.batch_size)
    parts = {
        frames // 2: lambda matrix: [np.tile(matrix, (3, 1))[:frames]],
        3 * frames - 2: lambda matrix: [matrix[start : start + frames] for start in (0, frames, 2 * frames - 2)],
    }
    for utt, matrix in whole.items():
        ((_, segments),) = embed_one([(utt, np.concatenate(parts[len(matrix)](matrix)))])
        np.testing.assert_allclose(found[utt], utterance_embedding(segments, system.extract.unit_segments), atol=1e-6)


def test_segments_beside_a_wav_scp_are_what_is_embedded(folder, staged, assert_same, tmp_path) -> None:
    files = read_scp(folder / "data" / "test" / "wav.scp")
    utts = sorted(files)[:2]
    parts = [soundfile.read(files[utt], dtype="int16")[0] for utt in utts]
    soundfile.write(tmp_path / "both.wav", np.concatenate(parts), 16_000)
    ends = np.cumsum([0, *map(len, parts)]) / 16_000
    write_table(tmp_path / "wav.scp", {"both": f"cat {tmp_path}/both.wav |"})
    write_table(tmp_path / "segments", {utt: f"both {ends[i]} {ends[i + 1]}" for i, utt in enumerate(utts)})
    assert_same(
        embedded(tmp_path, folder, "--allow-pipes", tmp_path / "wav.scp"), {utt: staged[1][utt] for utt in utts}
    )


def test_the_same_command_writes_the_same_bytes(folder, tmp_path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        embedded(tmp_path / name, folder, folder / "data" / "test" / "wav.scp")
    assert (tmp_path / "a" / "out.ark").read_bytes() == (tmp_path / "b" / "out.ark").read_bytes()


def test_files_by_name_whatever_their_coding(folder, staged, assert_same, tmp_path) -> None:
    samples, rate = soundfile.read(folder / "spk1-2.wav", dtype="int16")
    soundfile.write(tmp_path / "same.flac", samples, rate)
    soundfile.write(tmp_path / "stereo.wav", np.stack([samples, samples], axis=1), rate)
    found = embedded(tmp_path, folder, tmp_path / "stereo.wav", tmp_path / "same.flac", folder / "spk0-0.wav")
    expected = staged[1]
    assert_same(found, {"same": expected["spk1-2"], "spk0-0": expected["spk0-0"], "stereo": expected["spk1-2"]})


def test_another_sampling_rate_is_resampled(folder, tmp_path) -> None:
    time = np.arange(16_000) / 16_000
    tone = 0.3 * np.sin(2 * np.pi * 440 * time) + 0.2 * np.sin(2 * np.pi * 1000 * time)
    soundfile.write(tmp_path / "wide.wav", tone, 16_000, subtype="FLOAT")
    soundfile.write(tmp_path / "cd.wav", 0.3 * np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100)
                    + 0.2 * np.sin(2 * np.pi * 1000 * np.arange(44_100) / 44_100), 44_100, subtype="FLOAT")  # fmt: skip
    found = embedded(tmp_path, folder, tmp_path / "wide.wav", tmp_path / "cd.wav")
    cosine = found["wide"] @ found["cd"] / np.linalg.norm(found["wide"]) / np.linalg.norm(found["cd"])
    assert cosine == pytest.approx(1, abs=0.02)


def test_pipes_are_not_run_but_rendered_from_the_cuts(folder, staged, assert_same, tmp_path) -> None:
    source, noisy = folder / "data" / "test", tmp_path / "noisy"
    write_data_dir(
        noisy,
        wav_scp=read_scp(source / "wav.scp"),
        utt2spk=read_scp(source / "utt2spk"),
        utt2dur=read_scp(source / "utt2dur"),
    )
    write_manifests(noisy)
    ran = tmp_path / "ran"
    write_table(noisy / "wav.scp", dict.fromkeys(staged[1], f"touch {ran} |"))
    assert_same(embedded(tmp_path, folder, noisy / "wav.scp"), staged[1])
    assert not ran.exists()


def test_pipes_without_cuts_run_only_with_the_option(folder, staged, assert_same, fails, tmp_path) -> None:
    files = read_scp(folder / "data" / "test" / "wav.scp")
    ran, scp = tmp_path / "ran", tmp_path / "wav.scp"
    write_table(scp, {utt: f"touch {ran}; cat {file} |" for utt, file in files.items()})
    said = fails(embed.main, "--model", folder / "model", scp, tmp_path / "out.ark")
    assert said.endswith(" |: a pipe would run in a shell; --allow-pipes allows it")
    assert not ran.exists()
    assert_same(embedded(tmp_path, folder, "--allow-pipes", scp), staged[1])
    assert ran.exists()
    write_table(scp, {utt: "false |" if utt == min(files) else file for utt, file in files.items()})
    fails(embed.main, "--model", folder / "model", "--allow-pipes", scp, tmp_path / "out.ark")
    found = embedded(tmp_path, folder, "--allow-pipes", "--skip-bad", scp)
    assert found.keys() == files.keys() - {min(files)}


@pytest.fixture
def bad_files(tmp_path) -> list[Path]:
    samples = np.zeros(4000)
    soundfile.write(tmp_path / "silent.wav", samples, 16_000)
    samples[7] = np.nan
    soundfile.write(tmp_path / "nan.wav", samples, 16_000, subtype="FLOAT")
    (tmp_path / "text.wav").write_text("not audio")
    return [tmp_path / f"{name}.wav" for name in ("silent", "nan", "text", "missing")]


def test_bad_recordings_are_all_named_and_counted_and_nothing_is_written(folder, bad_files, fails, tmp_path) -> None:
    said = fails(embed.main, "--model", folder / "model", *bad_files, folder / "spk0-0.wav", tmp_path / "out.ark")
    assert f"cannot use {bad_files[0]}: silent" in said
    assert f"cannot use {bad_files[1]}: NaN or infinite samples" in said
    assert f"cannot use {bad_files[2]}: unreadable" in said
    assert f"cannot use {bad_files[3]}: No such file or directory" in said
    assert "error: 4 of 5 recordings cannot be used (--skip-bad leaves them out)" in said
    assert not list(tmp_path.glob("out*"))


def test_skip_bad_leaves_them_out_and_still_names_them(
    folder, bad_files, staged, assert_same, tmp_path, capsys
) -> None:
    found = embedded(tmp_path, folder, "--skip-bad", *bad_files, folder / "spk0-0.wav")
    assert_same(found, {"spk0-0": staged[1]["spk0-0"]})
    assert capsys.readouterr().err.count("cannot use ") == 4


def test_nothing_but_bad_recordings_is_a_failure_even_with_skip_bad(folder, bad_files, fails, tmp_path) -> None:
    said = fails(embed.main, "--model", folder / "model", "--skip-bad", *bad_files, tmp_path / "out.ark")
    assert "4 of 4 recordings cannot be used" in said


def test_two_inputs_of_one_name_are_refused(folder, fails, tmp_path) -> None:
    table = folder / "data" / "test" / "wav.scp"
    said = fails(embed.main, "--model", folder / "model", table, folder / "spk1-2.wav", tmp_path / "out.ark")
    assert f"{table}: key 'spk1-2' appears twice; rename it in one of the tables" in said


def test_an_output_that_is_no_ark_is_wrong_usage(folder, fails) -> None:
    wav = folder / "spk1-2.wav"
    said = fails(embed.main, "--model", folder / "model", folder / "spk0-0.wav", wav, code=2)
    assert f"the last argument is the output and must end in .ark, got {wav}" in said


def test_an_input_is_not_overwritten(folder, fails) -> None:
    table = folder / "data" / "test" / "wav.scp"
    said = fails(embed.main, "--model", folder / "model", table, table.with_name("wav.ark"), code=2)
    assert f"{table} is an input and would be overwritten" in said


def test_stored_features_of_another_kind_are_refused(folder, staged, fails, tmp_path) -> None:
    vectors = staged[0] / "test" / "xvector.1.scp"
    said = fails(embed.main, "--model", folder / "model", vectors, tmp_path / "out.ark")
    assert "spk0-0: stored features are (12,), the system reads (frames, 16)" in said


def test_a_folder_without_model_is_refused(folder, fails, tmp_path) -> None:
    said = fails(embed.main, "--model", tmp_path, folder / "spk0-0.wav", tmp_path / "out.ark")
    assert "is not a model folder" in said
