"""Tables and a page that compare systems (stage 8).

sv report --data data --out exp/exu_net/report/index.html exp/exu_net exp/se_resnet
"""

import argparse
from pathlib import Path

from sv.base.files import write_text
from sv.bin.common import fail_in_one_line
from sv.results.comparison import Comparison, compare, other_sets
from sv.results.draws import draws_note, draws_table
from sv.results.folder import ScoreLists, load_results
from sv.results.rows import COMPARED
from sv.results.tables import LEGEND, aligned, footnotes, text_table
from sv.scoring.backends import PAPER_BACKEND


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line, write the page, print the table."""
    parser = argparse.ArgumentParser(
        prog="sv report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the data directories, for their trials")
    parser.add_argument(
        "--out", type=Path, required=True, help="HTML file to write; recordings beside it, in <name>-audio"
    )
    parser.add_argument("--note", default="", help="shown with the results, for instance what the corpus is not")
    parser.add_argument(
        "--despite",
        action="append",
        default=[],
        choices=COMPARED,
        help="compare systems that differ in this all the same",
    )
    parser.add_argument("systems", type=Path, nargs="+", metavar="EXP_DIR", help="model folders with results.json")
    args = parser.parse_args(argv)
    from sv.report.audio import remove_others  # the package says what it needs, if that is not installed
    from sv.report.page import page

    results = [load_results(folder) for folder in args.systems]
    rows = [result.rows for result in results]
    types = {result.name: result.config.get("model", {}).get("type") for result in results}
    papers = {name: PAPER_BACKEND[kind] for name, kind in types.items() if kind in PAPER_BACKEND}
    audio = args.out.with_name(f"{args.out.stem}-audio")
    text = page(results, ScoreLists(args.data), args.note, args.despite, papers, audio)
    write_text(args.out, text)
    remove_others(audio, text)
    comparisons = compare(rows, args.despite)
    main_table, others = comparisons[0], other_sets(comparisons)
    tables = [text for each in (main_table, *others) for text in _tables(each, titled=bool(others))]
    notes = [LEGEND, *draws_note(main_table), *footnotes(rows)]
    print("\n".join(filter(None, [args.note, *tables, *notes, f"report: {args.out}"])))


def _tables(comparison: Comparison, titled: bool) -> list[str]:
    """Error rates on one test set, below its name where there are several, and their spread over draws."""
    spread = draws_table(comparison)
    title = f"{comparison.test_set}:" if titled else ""
    return [title, text_table(comparison), aligned(spread) if spread else ""]


if __name__ == "__main__":
    main()
