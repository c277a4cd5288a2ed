"""Sections of a system's configuration that have to go together, and what is said if they do not."""

import pytest

from sv.base.config import ConfigError
from sv.data.sampler import BATCHES
from sv.system.config import parse_system, system_to_dict, with_speakers
from sv.train.steps import LOSS_TYPES

TYPES = {"features": "log_mel", "model": "exu_net", "loss": "pairs", "batches": "pairs"}
EMBEDDING = {"features": "embedding", "model": "embedding_mlp", "loss": "enhancement", "batches": "shuffled"}


def parse(*, features=None, model=None, loss=None, batches=None, train=None, types=TYPES, **changed):
    given = {"features": features, "model": model, "loss": loss, "batches": batches}
    table = {key: {"type": kind, **(given[key] or {})} for key, kind in (types | changed_types(changed)).items()}
    return parse_system({**table, "train": train or {}}, "x.toml")


def changed_types(changed: dict[str, str]) -> dict[str, str]:
    return {key.removesuffix("_type"): value for key, value in changed.items()}


ALLOWED = {
    "pairs": {"pairs"},
    "classification": {"pairs", "speakers", "shuffled"},
    "metric": {"speakers"},
    "ge2e": {"speakers"},
    "rawnet1": {"pairs", "speakers", "shuffled"},
    "norm_softmax": {"pairs", "speakers", "shuffled"},
    "diff_sv": {"pairs", "speakers", "shuffled"},
    "noise_lora": {"pairs", "speakers", "shuffled"},
    "adapt_full": {"pairs", "speakers", "shuffled"},
    "adapt_adapters": {"pairs", "speakers", "shuffled"},
    "adapt_frontend": {"pairs", "speakers", "shuffled"},
    "adapt_wccn": {"pairs", "speakers", "shuffled"},
    "enhancement": {"shuffled"},
    "embedding_diffusion": {"shuffled"},
    "linear": {"pairs", "speakers", "shuffled"},
}


@pytest.mark.parametrize("loss", list(LOSS_TYPES))
@pytest.mark.parametrize("batches", list(BATCHES))
def test_a_loss_is_fed_with_batches_that_it_can_use(loss, batches) -> None:
    types = (EMBEDDING if LOSS_TYPES[loss][1].reads == "embeddings" else TYPES) | {"loss": loss, "batches": batches}
    if batches in ALLOWED[loss]:
        assert parse(types=types).batches_type == batches
        return
    wanted = " or ".join(f'"{kind}"' for kind in BATCHES if kind in ALLOWED[loss])
    with pytest.raises(ConfigError) as error:
        parse(types=types)
    assert str(error.value) == f'x.toml: loss.type = "{loss}" needs batches.type {wanted}, got "{batches}"'


@pytest.mark.parametrize(("loss", "batches"), [("pairs", "pairs"), ("classification", "pairs"), ("metric", "speakers")])
def test_batches_that_are_not_named_suit_the_loss(loss, batches) -> None:
    table = {"features": {"type": "log_mel"}, "model": {"type": "exu_net"}, "loss": {"type": loss}}
    assert parse_system(table, "x.toml").batches_type == batches


@pytest.mark.parametrize(
    ("types", "message"),
    [
        (
            EMBEDDING | {"features": "log_mel", "model": "exu_net"},
            'x.toml: loss.type = "enhancement" needs features.type "embedding", got "log_mel"',
        ),
        (
            EMBEDDING | {"loss": "classification"},
            'x.toml: loss.type = "classification" needs features.type "log_mel" or "fbank" or "decibel_mel" or "slaney_mel" '
            'or "waveform", got "embedding"',
        ),
    ],
)
def test_losses_of_waveforms_and_of_embeddings_are_told_apart(types, message) -> None:
    with pytest.raises(ConfigError) as error:
        parse(types=types)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("kind", "options", "key"),
    [
        ("log_mel", {"sampling_rate": 8000, "high_hz": 4000.0}, "sampling_rate"),
        ("fbank", {"sampling_rate": 8000, "high_hz": 4000.0}, "sampling_rate"),
        ("slaney_mel", {"input_rate": 8000, "sampling_rate": 8000}, "input_rate"),
    ],
)
def test_a_front_end_of_another_rate_than_the_audio_is_refused(kind, options, key) -> None:
    message = f"x.toml: features.{key} is 8000, but all audio is 16000 Hz after stage 0; remove the key"
    with pytest.raises(ConfigError) as error:
        parse(features=options, features_type=kind)
    assert str(error.value) == message


def test_decimation_within_the_front_end_and_the_rate_of_the_audio_are_allowed() -> None:
    system = parse(features={"sampling_rate": 8000}, model={"num_mel_bins": 40}, features_type="slaney_mel")
    assert (system.features.input_rate, system.features.sampling_rate) == (16_000, 8000)
    assert parse(features={"sampling_rate": 16_000}).features.sampling_rate == 16_000


@pytest.mark.parametrize(
    ("loss", "options", "batches", "message"),
    [
        (
            "metric",
            {},
            {"speakers_per_batch": 9, "utterances_per_speaker": 1},
            'loss.criterion = "angular_prototypical" does not go with batches.speakers_per_batch = 9 and '
            "batches.utterances_per_speaker = 1: a metric loss needs 2 utterances per speaker or more, got 1",
        ),
        (
            "metric",
            {"criterion": "triplet"},
            {"speakers_per_batch": 20, "utterances_per_speaker": 3},
            'loss.criterion = "triplet" does not go with batches.speakers_per_batch = 20 and '
            "batches.utterances_per_speaker = 3: triplets need 2 utterances of 2 speakers or more, got 3 of 20",
        ),
        (
            "metric",
            {"criterion": "triplet", "hard_rank": 10},
            {"speakers_per_batch": 11},
            'loss.criterion = "triplet" does not go with batches.speakers_per_batch = 11 and '
            "batches.utterances_per_speaker = 2: hard_rank 10 needs 12 speakers per batch, got 11",
        ),
        (
            "ge2e",
            {},
            {"utterances_per_speaker": 1},
            'loss.type = "ge2e" compares the utterances of each speaker and needs batches.utterances_per_speaker of 2 or '
            "more, got 1",
        ),
        ("ge2e", {"min_samples": 14}, {}, "loss.min_samples is 14, but train.crop_samples only 12"),
    ],
)
def test_groups_that_a_criterion_cannot_compare_are_refused(loss, options, batches, message) -> None:
    with pytest.raises(ConfigError) as error:
        parse(loss=options, batches=batches, train={"crop_samples": 12}, loss_type=loss, batches_type="speakers")
    assert str(error.value) == f"x.toml: {message}"


@pytest.mark.parametrize(
    ("loss", "options", "message"),
    [
        ("pairs", {"speaker_type": "arc"}, r"\[loss\] speaker_type must be one of 'softmax', 'am', 'aam', .*got 'arc'"),
        ("classification", {"criterion": "arc"}, r"\[loss\] criterion must be one of 'softmax', 'am', .*got 'arc'"),
        ("classification", {"criterion": "aam", "norm": 3.0}, "unknown key 'loss.norm'"),
        (
            "classification",
            {"tail": "hard"},
            "'loss.tail' must be one of 'continuous', 'published', 'easy', got 'hard'",
        ),
    ],
)
def test_unknown_criteria_and_options_are_named_with_the_known_ones(loss, options, message) -> None:
    with pytest.raises(ConfigError, match=f"x.toml: {message}"):
        parse(loss=options, loss_type=loss)


def test_options_of_the_chosen_criterion_are_keys_of_the_loss_table() -> None:
    system = parse(loss={"criterion": "norm_softmax", "norm": 3.0}, loss_type="classification")
    assert system.loss.norm == 3.0
    record = system_to_dict(system)
    assert record["loss"]["norm"] == 3.0
    assert parse_system(record, "x.toml") == system


PUBLISHED = {"system": "campplus_3dspeaker", "source": "campplus.pt", "file_sha256": "ab" * 32}
CONVERTED = {"features": {"type": "log_mel"}, "model": {"type": "exu_net"}}


def test_a_converted_checkpoint_says_so_until_it_is_trained() -> None:
    system = parse_system({**CONVERTED, "published": PUBLISHED}, "config.json")
    assert (system.published.system, system.published.source) == ("campplus_3dspeaker", "campplus.pt")
    table = system_to_dict(system)
    assert table["published"] == PUBLISHED and parse_system(table, "config.json") == system
    trained = with_speakers(system, 7, 3)
    assert trained.published is None and "published" not in system_to_dict(trained)
    assert "published" not in system_to_dict(parse_system(CONVERTED, "x.toml"))


def test_an_adaptation_keeps_its_parent_through_training() -> None:
    parent = {"name": "campplus", "weights_sha256": "ab" * 32}
    system = parse_system({**CONVERTED, "parent": parent}, "config.json")
    assert system_to_dict(with_speakers(system, 5, 0))["parent"] == parent
    assert "parent" not in system_to_dict(parse_system(CONVERTED, "config.json"))
    with pytest.raises(ConfigError, match=r"config\.json: unknown key 'parent\.hash'"):
        parse_system({**CONVERTED, "parent": {**parent, "hash": "x"}}, "config.json")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({**PUBLISHED, "noise": "babble"}, "config.json: unknown key 'published.noise'"),
        ({"system": "x"}, r"config.json: \[published\] .*missing .*'source' and 'file_sha256'"),
        ({**PUBLISHED, "source": 3}, "config.json: 'published.source' must be str, got 3"),
        ("a file", "config.json: 'published' must be a table, got 'a file'"),
        (None, "config.json: 'published' must be a table, got None"),
    ],
)
def test_an_origin_is_read_strictly(section: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_system({**CONVERTED, "published": section}, "config.json")
