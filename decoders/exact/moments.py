"""What a GroupNorm must know of a map: mean and variance of each group, over all rows and columns.

For the rows r of a group, each with n values, mean m_r and squared deviations s_r:

    μ = mean(m_r)        σ² = (Σ s_r / n + Σ (m_r − μ)²) / rows

m_r and s_r are taken in float32 (or the map's own float64), s_r about the row's own mean; what is
summed over rows is float64. So nothing cancels, and the height of the stripes does not enter.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, silu


class Moments:
    """Mean and variance of each of `groups` groups of channels, from rows as they come."""

    def __init__(self, groups: int) -> None:
        self.groups = groups
        self._means: list[Tensor] = []
        self._variances: list[Tensor] = []

    def add(self, rows: Tensor) -> None:
        """Rows [1,C,t,W]."""
        groups = rows[0].unflatten(0, (self.groups, -1))
        # One at a time on a CPU: what is subtracted from then fits a cache.
        parts = groups.split(1) if groups.device.type == "cpu" else [groups]
        found = [_by_row(part) for part in parts]
        self._means.append(torch.cat([mean for mean, _ in found]))
        self._variances.append(torch.cat([variance for _, variance in found]))

    def result(self) -> tuple[Tensor, Tensor]:
        """(μ, σ²), float64 [groups]; σ² is divided by the count, as normalisation does."""
        means, variances = torch.cat(self._means, 1), torch.cat(self._variances, 1)
        mean = means.mean(1)
        return mean, variances.mean(1) + (means - mean[:, None]).square().mean(1)


class Normalise:
    """A GroupNorm with known moments, then SiLU: what precedes a convolution."""

    def __init__(self, norm: nn.GroupNorm, moments: Moments) -> None:
        each, wide = norm.num_channels // norm.num_groups, at_least_float32(norm.weight.dtype)
        mean, variance = moments.result()
        self._mean = mean.to(wide).repeat_interleave(each)
        self._variance = variance.to(wide).repeat_interleave(each)
        self._affine = norm.weight.to(wide), norm.bias.to(wide)
        self._eps = norm.eps

    def __call__(self, rows: Tensor) -> Tensor:
        """Rows [1,C,t,W] → the same, normalised in float32 and rounded once."""
        # A GroupNorm whose moments are known is a BatchNorm out of training.
        normal = batch_norm(rows, self._mean, self._variance, *self._affine, eps=self._eps)
        return silu(normal, inplace=True)


def at_least_float32(dtype: torch.dtype) -> torch.dtype:
    """The precision of a GroupNorm on values of a dtype."""
    return torch.promote_types(dtype, torch.float32)


def _by_row(groups: Tensor) -> tuple[Tensor, Tensor]:
    """[g,c,t,W] → mean and variance of each row of each group, float64 [g,t]."""
    values = groups.to(at_least_float32(groups.dtype))
    mean = values.mean(3).double().mean(1)
    centre = mean.to(values.dtype)[:, None, :, None]
    return mean, (values - centre).square_().mean(3).double().mean(1)
