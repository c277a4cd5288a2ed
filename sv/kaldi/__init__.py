"""Kaldi's file formats."""

from sv.kaldi.ark import iter_matrices, open_ark_scp, read_matrix, read_vectors
from sv.kaldi.data_dir import share_of, split_keys, validate_data_dir, write_data_dir
from sv.kaldi.models import read_matrix_file, read_plda, read_vector_file, write_array_file, write_plda
from sv.kaldi.scp import DataDirError, read_scp, read_spk2utt, read_table, read_utt2dur, read_utt2spk, write_table
from sv.kaldi.trials import Trials, read_scores, read_trials, scores_of_trials, write_scores, write_trials

__all__ = [
    "DataDirError",
    "Trials",
    "iter_matrices",
    "open_ark_scp",
    "read_matrix",
    "read_matrix_file",
    "read_plda",
    "read_scores",
    "read_scp",
    "read_spk2utt",
    "read_table",
    "read_trials",
    "read_utt2dur",
    "read_utt2spk",
    "read_vector_file",
    "read_vectors",
    "scores_of_trials",
    "share_of",
    "split_keys",
    "validate_data_dir",
    "write_array_file",
    "write_data_dir",
    "write_plda",
    "write_scores",
    "write_table",
    "write_trials",
]
