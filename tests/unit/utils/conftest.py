import sys
from pathlib import Path

sys.path.append(
    str(Path(__file__).resolve().parents[3] / "utils")
)  # as for a program there: its neighbours can be imported
