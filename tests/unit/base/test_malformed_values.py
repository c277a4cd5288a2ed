"""Ten thousand odd ids: one file name each."""

from pathlib import PurePosixPath
from urllib.parse import unquote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sv.base.layout import file_stem

ten_thousand = settings(
    max_examples=10_000, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


@ten_thousand
@given(
    key=st.text(
        alphabet=st.sampled_from("ab/.%~ \n\0$`'\"\\|;&*é字-_+@=,") | st.characters(codec="utf-8"),
        min_size=1,
        max_size=12,
    )
)
def test_ids_as_file_names(key):
    stem = file_stem(key)
    assert PurePosixPath(f"{stem}.wav").name == f"{stem}.wav"
    assert not stem.startswith(".") and stem.isascii() and stem.isprintable()
    assert not set(stem) & set("/ \0$`'\"\\|;&*<>()")
    assert unquote(stem) == key  # so no two ids share a file
