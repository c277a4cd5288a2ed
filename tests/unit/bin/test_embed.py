import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from sv.bin import embed
from sv.data.manifests import write_manifests
from sv.embed.embedder import Embedder, utterance_embedding
from sv.features.segments import frames_per_segment
from sv.kaldi import open_ark_scp, read_scp, read_vectors, write_data_dir, write_table
from sv.kaldi.specifiers import open_records
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


@pytest.mark.parametrize("name", ["spk1-2.wav", "out", "out.scp", "out.npy", "out.ARK"])
def test_an_output_of_another_suffix_is_wrong_usage(folder, fails, name) -> None:
    out = folder / name
    said = fails(embed.main, "--model", folder / "model", folder / "spk0-0.wav", out, code=2)
    assert f"the last argument is the output and must end in .ark or .npz or .csv, got {out}" in said


def test_an_input_is_not_overwritten(folder, fails, tmp_path) -> None:
    (tmp_path / "wav.scp").write_text(table := (folder / "data" / "test" / "wav.scp").read_text())
    (tmp_path / "list.csv").write_text(f"{folder}/spk0-0.wav\n")
    (tmp_path / "feats.ark").write_bytes(b"utt \0")
    (tmp_path / "feats.scp").write_text(f"utt {tmp_path}/feats.ark:4\n")
    (tmp_path / "folder.npz").mkdir()
    before = {path: path.read_bytes() for path in tmp_path.glob("*.*") if path.is_file()}
    for given, out, overwritten in (
        (tmp_path, "wav.ark", "wav.scp"),
        (tmp_path / "*v.scp", "../" + tmp_path.name + "/wav.ark", "wav.scp"),
        (tmp_path / "list.csv", "list.csv", "list.csv"),
        (tmp_path / "feats.scp", "feats.ark", "feats.scp"),
        (shutil.copy(tmp_path / "feats.scp", folder / "f.scp"), "feats.ark", "feats.ark"),
    ):
        said = fails(embed.main, "--model", folder / "model", given, tmp_path / out)
        assert f"error: {tmp_path / overwritten} is an input and would be overwritten; choose another output" in said
    said = fails(embed.main, "--model", folder / "model", folder / "spk0-0.wav", tmp_path / "folder.npz")
    assert f"error: {tmp_path}/folder.npz is a folder; choose another output" in said
    assert before == {path: path.read_bytes() for path in tmp_path.glob("*.*") if path.is_file()}
    assert table == (tmp_path / "wav.scp").read_text()


def test_stored_features_of_another_kind_are_refused(folder, staged, fails, tmp_path) -> None:
    vectors = staged[0] / "test" / "xvector.1.scp"
    said = fails(embed.main, "--model", folder / "model", vectors, tmp_path / "out.ark")
    assert f"cannot use spk0-0 of {vectors}: stored features are (12,), the system reads (frames, 16)" in said


def test_a_folder_without_model_is_refused(folder, fails, tmp_path) -> None:
    said = fails(embed.main, "--model", tmp_path, folder / "spk0-0.wav", tmp_path / "out.ark")
    assert "is not a model folder" in said


@pytest.fixture
def long(folder, tmp_path) -> Path:
    """The wav.scp of a folder with segments, of which s-1 and s-6 alone can be used."""
    samples = 0.1 * np.random.default_rng(0).normal(size=16_000)
    soundfile.write(tmp_path / "fine.wav", samples, 16_000)
    samples[8000:] = 0
    soundfile.write(tmp_path / "half.wav", samples, 16_000)
    soundfile.write(tmp_path / "eight.wav", samples, 8_000)
    (tmp_path / "text.wav").write_text("not audio")
    names = ("fine", "half", "eight", "text", "missing")
    write_table(tmp_path / "wav.scp", {name: f"{tmp_path}/{name}.wav" for name in names})
    (tmp_path / "segments").write_text(
        "s-1 fine 0 0.5\ns-2 fine 0.5 1.5\ns-3 half 0.5 1\ns-4 eight 0 0.5\ns-5 text 0 0.5\ns-6 half 0 0.5\ns-7 missing 0 1\n"
    )
    return tmp_path / "wav.scp"


def test_segments_that_cannot_be_used_are_named_or_left_out(folder, long, fails, tmp_path, capsys) -> None:
    said = fails(embed.main, "--model", folder / "model", long, tmp_path / "out.ark")
    for line in (
        f"s-2 of {tmp_path}: {tmp_path}/fine.wav: wanted samples 8000 to 24000, the file ends at 16000",
        f"s-3 of {tmp_path}: silent",
        f"s-4 of {tmp_path}: {tmp_path}/eight.wav: 8000 Hz, 1 channels; expected 16000 Hz mono",
        f"s-5 of {tmp_path}: {tmp_path}/text.wav: ",
        f"s-7 of {tmp_path}: [Errno 2] No such file or directory: '{tmp_path}/missing.wav'",
        "error: 5 of 7 recordings cannot be used (--skip-bad leaves them out)",
    ):
        assert line in said
    assert not list(tmp_path.glob("out*"))
    assert list(embedded(tmp_path, folder, "--skip-bad", long)) == ["s-1", "s-6"]
    assert capsys.readouterr().err.count("cannot use s-") == 5


def test_stored_features_that_are_damaged_are_named_or_left_out(folder, staged, fails, tmp_path, assert_same, capsys):
    stored = read_scp(staged[0] / "feats" / "test" / "feats.scp")
    ark, _, offset = stored["spk0-1"].rpartition(":")
    shutil.copy(ark, tmp_path / "cut.ark")
    with (tmp_path / "cut.ark").open("r+b") as file:
        file.truncate(int(offset) + 100)
    bad = {
        "spk0-1": f"{tmp_path}/cut.ark:{offset}",
        "spk1-2": f"{tmp_path}/none.ark:5",
        "spk1-3": f"{ark}:1",
        "spk2-4": f"{stored['spk2-4']}[0:100000]",
        "spk2-5": f"{stored['spk2-5']}[0:5,0:3]",
    }
    write_table(tmp_path / "feats.scp", stored | bad)
    said = fails(embed.main, "--model", folder / "model", tmp_path / "feats.scp", tmp_path / "out.ark")
    for key in bad:
        assert f"cannot use {key} of {tmp_path}/feats.scp: " in said
    assert "error: 5 of 6 recordings cannot be used (--skip-bad leaves them out)" in said
    assert not list(tmp_path.glob("out*"))
    found = embedded(tmp_path, folder, "--skip-bad", tmp_path / "feats.scp")
    assert_same(found, {"spk0-0": staged[1]["spk0-0"]})
    assert capsys.readouterr().err.count("cannot use spk") == 5


@pytest.fixture
def overflow(folder, tmp_path) -> Path:
    """An archive of features: one utterance that the model takes, one that overflows in it."""
    rng = np.random.default_rng(0)
    num_frames = 26
    with open_records(f"ark,scp:{tmp_path}/f.ark,{tmp_path}/f.scp") as write:
        write("good", rng.normal(size=(num_frames, 16)).astype(np.float32))
        write("overflow", np.full((num_frames, 16), np.inf, dtype=np.float32))
    return tmp_path / "f.scp"


def test_embeddings_that_are_not_finite_are_named_or_left_out(folder, overflow, fails, tmp_path, capsys) -> None:
    said = fails(embed.main, "--model", folder / "model", overflow, tmp_path / "out.ark")
    assert ": its embedding is not finite\nerror: 1 of 2 recordings cannot be used (--skip-bad leaves them out)" in said
    assert not list(tmp_path.glob("out*"))
    assert list(embedded(tmp_path, folder, "--skip-bad", overflow)) == ["good"]
    assert capsys.readouterr().err.count("its embedding is not finite") == 1


def test_weights_that_are_not_finite_are_the_models_fault(folder, fails, tmp_path) -> None:
    broken = shutil.copytree(folder / "model", tmp_path / "broken")
    state = torch.load(broken / "checkpoints/best.pt", weights_only=True)
    name = max(state["model"], key=lambda name: state["model"][name].numel())
    state["model"][name].view(-1)[0] = np.nan
    torch.save(state, broken / "checkpoints/best.pt")
    said = fails(embed.main, "--model", broken, "--skip-bad", folder / "spk0-0.wav", tmp_path / "out.ark")
    assert (
        f"best.pt: 1 of {len([w for w in state['model'].values() if w.is_floating_point()])} weights hold NaN" in said
    )
    assert name in said and "spk0-0" not in said
