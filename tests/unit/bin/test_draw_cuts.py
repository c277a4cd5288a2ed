import gzip
import json

import numpy as np

from sv.bin import draw_cuts
from sv.data.manifests import import_lhotse, render


def test_the_cuts_are_the_batches_of_the_epoch(folder, tmp_path, fails):
    config = tmp_path / "tiny.toml"
    config.write_text(
        (folder / "tiny.toml").read_text()
        + '[augment]\nnoises = ["babble"]\nnum_babble = [1, 2]\nspeeds = [1.0, 1.1]\n'
        + '[loss]\ntype = "classification"\n[batches]\ntype = "speakers"\nspeakers_per_batch = 2\n[train]\ncrop_samples = 3000\n'
    )
    data = folder / "data/test"
    arguments = ["--config", config, "--train-dir", data, "--noise-dir", f"babble={data}"]
    draw_cuts.main([str(a) for a in [*arguments, "--epoch", "3", tmp_path / "cuts.jsonl.gz"]])
    with gzip.open(tmp_path / "cuts.jsonl.gz") as lines:
        cuts = [import_lhotse().cut.set.deserialize_cut(json.loads(line)) for line in lines]
    assert len(cuts) == 12  # three batches of two speakers with two utterances
    assert any(cut.id.startswith("sp1.1-") for cut in cuts)
    assert all(np.isfinite(render(cut)).all() and abs(cut.num_samples - 3000) <= 1 for cut in cuts)
    said = fails(draw_cuts.main, *arguments[:4], tmp_path / "other.jsonl.gz")
    assert "no recordings of 'babble'" in said
    assert not (tmp_path / "other.jsonl.gz").exists()
