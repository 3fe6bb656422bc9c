"""What the encoder and the decoder of the default network are built of."""

from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    """Two 3x3 convolutions with a shortcut: (B, C_in, h, w) -> (B, C_out, h / stride, w / stride)."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__()
        self.enter = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.enter_norm = nn.GroupNorm(4, outputs)
        self.leave = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.leave_norm = nn.GroupNorm(4, outputs)
        plain = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if plain else nn.Conv2d(inputs, outputs, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.finish(self.enter(x), self.shortcut(x))

    def finish(self, entered: Tensor, passed: Tensor) -> Tensor:
        """The block from what its first convolution and its shortcut make of the input."""
        y = F.leaky_relu(self.enter_norm(entered), 0.01)
        y = self.leave_norm(self.leave(y))
        return F.leaky_relu(y + passed, 0.01)


class JoiningBlock(Block):
    """A ``Block`` whose input comes in two parts; of the first, both convolutions can be made ahead."""

    shortcut: nn.Conv2d

    def ahead(self, first: Tensor) -> tuple[Tensor, Tensor]:
        """first (B, C_1, h, w) -> its part of either convolution, (B, C_out, h, w)."""
        n = first.shape[1]
        entered = F.conv2d(first, self.enter.weight[:, :n], padding=1)
        return entered, F.conv2d(first, self.shortcut.weight[:, :n], self.shortcut.bias)

    def join(self, entered: Tensor, passed: Tensor, second: Tensor) -> Tensor:
        """What ``ahead`` made, and second (B, C_2, h, w) -> (B, C_out, h, w): ``forward`` of both parts."""
        n = second.shape[1]
        entered = entered + F.conv2d(second, self.enter.weight[:, -n:], padding=1)
        return self.finish(entered, passed + F.conv2d(second, self.shortcut.weight[:, -n:]))
