"""The back end by which each system's authors scored it."""

PAPER_BACKEND = {
    "se_resnet": "neg_mean_l2",  # the baseline of ExU-Net's code
    "unet": "neg_mean_l2",
    "exu_net": "neg_mean_l2",
    "rawnet1": "b_vector",
    "rawnet1_cnn": "cosine",
    "rawnet1_pytorch": "cosine",
    "rawnet2": "cosine",
    "rawnet2_modified": "neg_mean_l2",
    "rawnet3": "neg_mean_l2",
    "resnet_se34l": "neg_mean_l2",  # voxceleb_trainer's networks
    "resnet_se34v2": "neg_mean_l2",
    "vggvox": "neg_mean_l2",
    "ecapa_tdnn": "cosine-asnorm",
    "campplus": "cosine",
    "diff_sv": "mean_cos",
    "ge2e_lstm": "cosine",
    "embedding_diffusion": "neg_mean_l2",
    "embedding_linear": "cosine",
    "embedding_mlp": "cosine",
}


def paper_backend(model_type: str) -> str:
    """Name, in results, of the back end by which the paper of a model type was evaluated; cosine for one that has none."""
    return PAPER_BACKEND.get(model_type, "cosine")
