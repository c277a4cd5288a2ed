"""The RawNets: speaker embeddings from raw waveforms."""
