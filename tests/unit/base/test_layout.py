"""Names on disk: conditions of any noise name, and folders of stored features."""

import math
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sv.base.layout import (
    FEATURE_KEYS,
    ModelFolder,
    condition_name,
    feature_set,
    file_stem,
    first_draw,
    own_draw,
    parse_condition,
    set_of,
)
from sv.features.segments import SegmentConfig, segment_options


def test_a_condition_is_named_as_the_recipes_name_it() -> None:
    assert condition_name("voxceleb1_test", "babble", 5) == "voxceleb1_test-babble-snr5"
    assert condition_name("voxceleb1_test", "babble", -2.50) == "voxceleb1_test-babble-snr-2.5"
    assert parse_condition("voxceleb1_test-babble-snr-2.5") == ("voxceleb1_test", "babble-snr-2.5", "babble", -2.5)
    assert parse_condition("voxceleb1_test") == ("voxceleb1_test", "clean", None, None)


@pytest.mark.parametrize(
    "noise", ["street_noise", "babble+music", "noise2", "Street", "street-noise", "a b", "Straße", "a/b", "x-snr5"]
)
def test_any_noise_name_is_a_condition_of_its_own(noise) -> None:
    name = condition_name("voxceleb1_test", noise, 5)
    found = parse_condition(name)
    assert (found.test_set, found.noise, found.snr_db) == ("voxceleb1_test", noise, 5.0)
    assert set_of(found.test_set, found.name) == name
    assert "/" not in name and " " not in name


@given(
    st.from_regex(r"[A-Za-z0-9_-]+", fullmatch=True),
    st.text(st.characters(codec="utf-8"), min_size=1),
    st.integers(-200_000_000, 200_000_000).map(lambda micro: micro / 1e6),
    st.integers(1, 99),
)
def test_names_of_conditions_are_parsed_as_they_were_made(test_set, noise, snr_db, draw) -> None:
    found = parse_condition(condition_name(test_set, noise, snr_db, draw=draw))
    assert (found.test_set, found.noise, found.draw) == (test_set, noise, draw)
    assert found.snr_db == pytest.approx(snr_db, abs=1e-6)
    assert set_of(test_set, found.first_name) == condition_name(test_set, noise, snr_db)


@pytest.mark.parametrize("snr_db", [math.nan, math.inf, -math.inf])
def test_an_snr_that_is_not_finite_is_refused(snr_db) -> None:
    with pytest.raises(ValueError, match="a signal-to-noise ratio must be a finite number of dB, got"):
        condition_name("test", "noise", snr_db)


def test_a_noise_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="a noise type needs a name"):
        condition_name("test", "", 5)


def test_a_clean_set_may_have_dashes_in_its_name() -> None:
    assert parse_condition("my-test") == ("my-test", "clean", None, None)
    assert parse_condition(condition_name("my-test", "noise", 5)).test_set == "my-test"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("segment_samples", 1),
        ("scheme", "even"),
        ("num_segments", 3),
        ("step_samples", 7),
        ("peak_normalise", True),
        ("raise_to_dbfs", -30.0),
    ],
)
def test_every_option_that_changes_stored_features_gives_them_another_folder(key, value) -> None:
    tables = {"features": {"type": "log_mel"}}
    assert feature_set(tables) != feature_set(tables | {"extract": {key: value}})
    assert key in segment_options(SegmentConfig())


def test_stored_features_are_shared_by_systems_that_read_the_same() -> None:
    tables = {"features": {"type": "log_mel", "n_fft": 512}, "extract": {"batch_size": 8}}
    assert feature_set(tables) == feature_set({"features": tables["features"], "model": {"type": "unet"}})
    assert feature_set(tables) != feature_set({"features": {"type": "log_mel"}})
    assert feature_set(tables).startswith("log_mel-")
    assert set(segment_options(SegmentConfig())) == set(FEATURE_KEYS)


@pytest.mark.parametrize("kind", [None, "waveform", "embedding"])
def test_systems_that_read_waveforms_or_embeddings_store_no_features(kind) -> None:
    assert feature_set({"features": {"type": kind}}) is None


def test_a_model_folder_knows_its_files(tmp_path) -> None:
    folder = ModelFolder(tmp_path / "exu_net")
    assert folder.name == "exu_net"
    assert folder.best == tmp_path / "exu_net/checkpoints/best.pt"
    assert folder.vectors("test") == tmp_path / "exu_net/embeddings/test/xvector.scp"
    assert folder.scores("test", "plda") == tmp_path / "exu_net/scores/test/plda.scores"


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_an_id_makes_a_file_name_of_its_own_within_the_folder(key) -> None:
    stem = file_stem(key)
    assert "/" not in stem and "\0" not in stem and not stem.startswith(".")
    assert unquote(stem) == key


def test_plain_ids_are_their_files_names() -> None:
    assert file_stem("id10001-1zcIwhmdeo4-00001") == "id10001-1zcIwhmdeo4-00001"
    assert file_stem("../a") == "%2E.%2Fa"


def test_conditions_without_noise_and_from_afar_are_named_and_parsed() -> None:
    for kind, group in (
        ("reverb-small", "reverb"),
        ("codec-opus", "codec"),
        ("codec-telephone", "codec"),
        ("clip", "clip"),
    ):
        name = condition_name("my-test", kind=kind)
        assert name == f"my-test-{kind}"
        assert parse_condition(name) == ("my-test", kind, None, None) and parse_condition(name).kind == group
    name = condition_name("my-test", "a-b", -2.5, "far")
    assert parse_condition(name) == ("my-test", "far-a%2Db-snr-2.5", "a-b", -2.5)
    assert parse_condition(name).kind == "far a-b" and parse_condition("x-far-snr-5").kind == "far"
    assert parse_condition("t-codec-snr5") == ("t", "codec-snr5", "codec", 5.0)
    assert [parse_condition(name).kind for name in ("test", "t-babble-snr0", "t-reverb-huge")] == [
        "clean",
        "babble",
        "clean",
    ]
    for wrong in (lambda: condition_name("t", kind="reverb-huge"), lambda: condition_name("t", kind="far")):
        with pytest.raises(ValueError, match=r"unknown kind of condition|needs a name"):
            wrong()


@pytest.mark.parametrize(
    ("kind", "noise", "group"),
    [("noise", "draw2", "draw2"), ("far", "a-b", "far a-b"), ("reverb-small", None, "reverb"), ("clip", None, "clip")],
)
def test_a_further_draw_is_named_parsed_and_grouped_with_the_first(kind, noise, group) -> None:
    snr_db = noise and 5.0
    first = condition_name("my-test", noise, snr_db, kind)
    assert condition_name("my-test", noise, snr_db, kind, draw=1) == first and parse_condition(first).draw == 1
    for draw in (2, 10):
        name = condition_name("my-test", noise, snr_db, kind, draw)
        found = parse_condition(name)
        assert name == f"{first}-draw{draw}" == set_of("my-test", found.name)
        assert (found.test_set, found.noise, found.snr_db) == ("my-test", noise, snr_db)
        assert (found.draw, found.kind, set_of("my-test", found.first_name)) == (draw, group, first)


@pytest.mark.parametrize("name", ["t-codec-gsm-draw1", "t-draw2", "t-clip-draw1", "t-clip-draw02", "t-a-snr5-draw0"])
def test_a_draw_that_nobody_can_have_made_is_a_clean_set(name) -> None:
    assert parse_condition(name) == (name, "clean", None, None) and parse_condition(name).draw == 1


@pytest.mark.parametrize(
    ("name", "condition", "first"),
    [("my-test-clean-draw3", "clean", "my-test"), ("my-test-codec-gsm-draw3", "codec-gsm", "my-test-codec-gsm")],
)
def test_what_is_not_random_has_further_draws_of_the_model_alone(name, condition, first) -> None:
    found = parse_condition(name)
    assert found == ("my-test", f"{condition}-draw3", None, None) and set_of("my-test", found.name) == name
    assert (found.draw, found.first_name, found.kind) == (3, condition, condition.partition("-")[0])
    assert (own_draw(name), first_draw(name), own_draw(first), first_draw(first)) == (3, first, 1, first)


@pytest.mark.parametrize("name", ["t-babble-snr5-draw2", "t-clip-draw2", "t-far-x-snr0-draw2", "t-reverb-small-draw2"])
def test_a_set_that_is_random_itself_has_no_draws_of_the_model(name) -> None:
    assert (parse_condition(name).draw, own_draw(name), first_draw(name)) == (2, 1, name)


@pytest.mark.parametrize(("kind", "draw"), [("codec-gsm", 2), ("clip", 0), ("clip", -1)])
def test_a_draw_that_there_cannot_be_is_refused(kind, draw) -> None:
    with pytest.raises(ValueError, match=f"{kind}: there is no draw {draw}"):
        condition_name("t", kind=kind, draw=draw)
