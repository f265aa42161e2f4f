"""The 35 networks by name: each with the shape of a frame of its input. Small inputs, thin layers, as their users write
them."""

from collections.abc import Callable

import torch
from torch import nn

from benchmarks.reach import images, sequences, vision

# name: (how to make it, the shape of each input without the batch)
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "resnet18": (vision.resnet18, (3, 32, 32)),
    "mobilenet_v2": (vision.mobilenet_v2, (3, 32, 32)),
    "tcn": (sequences.tcn, (2, 32)),
    "mlp_autoencoder": (sequences.mlp_autoencoder, (32,)),
    "resnet1d": (sequences.resnet1d, (1, 128)),
    "wide_resnet": (images.wide_resnet, (3, 16, 16)),
    "densenet": (vision.densenet, (3, 32, 32)),
    "jet_tagging": (sequences.jet_tagging, (16,)),
    "mobilenet_v3_small": (vision.mobilenet_v3_small, (3, 32, 32)),
    "efficientnet_b0": (vision.efficientnet_b0, (3, 32, 32)),
    "squeezenet": (vision.squeezenet, (3, 32, 32)),
    "shufflenet_v2": (vision.shufflenet_v2, (3, 32, 32)),
    "unet_transposed": (lambda: images.UNet(bilinear=False), (1, 16, 16)),
    "unet_bilinear": (lambda: images.UNet(bilinear=True), (1, 16, 16)),
    "tiny_yolo": (images.TinyYolo, (3, 32, 32)),
    "tcn_chomp": (sequences.ChompTcn, (2, 32)),
    "keyword_transformer": (sequences.KeywordTransformer, (16, 10)),
    "attention_by_hand": (sequences.AttentionByHand, (16, 10)),
    "lstm": (lambda: sequences.Recurrent(nn.LSTM), (12, 10)),
    "gru": (lambda: sequences.Recurrent(nn.GRU), (12, 10)),
    "conv_autoencoder": (images.autoencoder, (1, 16, 16)),
    "pointnet": (sequences.PointNet, (3, 32)),
    "conv3d": (images.conv3d, (1, 8, 8, 8)),
    "lenet_tanh": (lambda: images.lenet(nn.Tanh), (1, 16, 16)),
    "lenet_sigmoid": (lambda: images.lenet(nn.Sigmoid), (1, 16, 16)),
    "mlp_mixer": (lambda: images.MlpMixer(nn.GELU, norm=True), (3, 16, 16)),
    "mlp_mixer_relu": (lambda: images.MlpMixer(nn.ReLU, norm=False), (3, 16, 16)),
    "convnext": (vision.convnext, (3, 16, 16)),
    "detector": (images.Detector, (1, 16, 16)),
    "pytorch_mnist": (images.Mnist, (1, 16, 16)),
    "vgg": (images.Vgg, (3, 32, 32)),
    "alexnet": (images.alexnet, (3, 32, 32)),
    "ds_cnn": (images.ds_cnn, (1, 49, 10)),
    "inception": (vision.inception, (3, 8, 8)),
    "dueling_dqn": (sequences.DuelingDqn, (8,)),
}


def network(name: str) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """A network in eval mode, its batch norms' statistics those of eight random batches, and an example [1, ...]."""
    make, shape = NETWORKS[name]
    torch.manual_seed(sum(map(ord, name)))
    model = make().train()
    with torch.no_grad():
        for _ in range(8):
            model(torch.rand(16, *shape))
    return model.eval(), (torch.rand(1, *shape),)
