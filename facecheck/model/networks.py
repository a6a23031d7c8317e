"""Networks that no library defines as facecheck needs them. Import only where one is built: this loads torchvision."""

import torch
from torch import Tensor, nn
from torchvision.models import ConvNeXt, SwinTransformer, VisionTransformer


class AnySizeViT(VisionTransformer):  # type: ignore[misc]
    """torchvision's Vision Transformer for inputs of any size, with the same tensors.

    The position embeddings are resized to the grid of patches (Dosovitskiy et al. 2021, section 3.2); at the size given
    as `image_size` the network is torchvision's, bit for bit.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W), both sides at least one patch -> (N, num_classes)."""
        patches = self.conv_proj(x)
        positions = self._positions(patches.shape[2], patches.shape[3])
        tokens = torch.cat(
            [self.class_token.expand(patches.shape[0], -1, -1), patches.flatten(2).transpose(1, 2)], dim=1
        )
        encoded = self.encoder.ln(self.encoder.layers(self.encoder.dropout(tokens + positions)))
        logits: Tensor = self.heads(encoded[:, 0])
        return logits

    def _positions(self, height: int, width: int) -> Tensor:
        """(1, 1 + height * width, C): the class token's position, then those of the patches, row by row."""
        own: Tensor = self.encoder.pos_embedding
        side = self.image_size // self.patch_size
        if (height, width) == (side, side):
            return own
        grid = own[:, 1:].transpose(1, 2).reshape(1, -1, side, side)
        resized = nn.functional.interpolate(grid, (height, width), mode="bicubic", antialias=True)
        return torch.cat([own[:, :1], resized.flatten(2).transpose(1, 2)], dim=1)


class ConvNextSwin(nn.Module):
    """Late fusion: the pooled features of a ConvNeXt and of a Swin transformer side by side, and one linear layer.

    Takes torchvision networks of any width and removes their own classifiers; a backbone file names its tensors
    `convnext.*` and `swin.*`.
    """

    def __init__(self, convnext: ConvNeXt, swin: SwinTransformer) -> None:
        super().__init__()
        width = convnext.classifier[-1].in_features + swin.head.in_features
        convnext.classifier[-1] = nn.Identity()
        swin.head = nn.Identity()
        self.convnext, self.swin = convnext, swin
        self.fc = nn.Linear(width, 1)

    def forward(self, faces: Tensor) -> Tensor:
        """(N, 3, S, S) -> (N, 1) logits."""
        logits: Tensor = self.fc(torch.cat([self.convnext(faces), self.swin(faces)], dim=1))
        return logits
