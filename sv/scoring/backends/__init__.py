"""Back ends by name, in the order in which results list them; see `sv.scoring.backends.interface`."""

from sv.scoring.backends.b_vector import BVectorBackEnd
from sv.scoring.backends.centred_cosine import CentredCosineBackEnd
from sv.scoring.backends.cosine import CosineBackEnd
from sv.scoring.backends.interface import BackEnd, HeldOut, Training
from sv.scoring.backends.papers import PAPER_BACKEND, paper_backend
from sv.scoring.backends.plda import PldaBackEnd, PldaConfig
from sv.scoring.backends.segments import MeanCosBackEnd, NegMeanL2BackEnd

BACKENDS: dict[str, type[BackEnd]] = {
    back_end.name: back_end
    for back_end in (
        CosineBackEnd,
        CentredCosineBackEnd,
        PldaBackEnd,
        BVectorBackEnd,
        NegMeanL2BackEnd,
        MeanCosBackEnd,
    )
}

__all__ = [
    "BACKENDS",
    "PAPER_BACKEND",
    "BVectorBackEnd",
    "BackEnd",
    "CentredCosineBackEnd",
    "CosineBackEnd",
    "HeldOut",
    "MeanCosBackEnd",
    "NegMeanL2BackEnd",
    "PldaBackEnd",
    "PldaConfig",
    "Training",
    "paper_backend",
]
