"""Front ends by name: (config class, module class).

Every module maps waveforms (batch, samples) in [-1, 1) to features (batch, mels, frames); "waveform" to (batch, 1, samples).
"""

from sv.features.decibel_mel import DecibelMel, DecibelMelConfig
from sv.features.embedding import EmbeddingConfig, EmbeddingInput
from sv.features.fbank import Fbank, FbankConfig
from sv.features.log_mel import LogMel, LogMelConfig
from sv.features.slaney_mel import SlaneyMel, SlaneyMelConfig
from sv.features.waveform import Waveform, WaveformConfig

FEATURES = {
    "embedding": (EmbeddingConfig, EmbeddingInput),
    "log_mel": (LogMelConfig, LogMel),
    "fbank": (FbankConfig, Fbank),
    "decibel_mel": (DecibelMelConfig, DecibelMel),
    "slaney_mel": (SlaneyMelConfig, SlaneyMel),
    "waveform": (WaveformConfig, Waveform),
}
