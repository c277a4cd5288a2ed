"""Scores to rows, tables and verdicts; no torch.

rows        one measured row per system, test set, condition and back end: results.json
conditions  wording and order of the conditions
folder      what is read from model folders: rows, journals, configurations, score lists
comparison  rows of several systems that may share a table
protocols   sentences on how noise was added
tables      cells and tables of a comparison, in text and Markdown
verdicts    paired tests of the first system against each other one
versus      every system and back end against given references
pairs       every two systems of a recorded table, by the paired test
draws       spread of error rates over draws of noise
breakdown   rows by properties of the test side: breakdown.json
score_files a system's trials and rounded scores in one small file
proof       recorded rows from stored scores, and again to verify them
ledger      RESULTS.md and the results recorded beside it
"""
