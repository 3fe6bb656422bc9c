"""What the Python client holds of an annotation: the lease, and the mask as it was last seen."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from service.masks import Mask, apply_change


@dataclass(frozen=True)
class Held:
    """An annotation that is leased to us, as we last saw it; ``mask`` is bool (height, width).

    ``n`` is the step that is seen; ``mask_digest`` names its mask, None while there is none (the mask is
    empty then); ``context_size`` is of the newest prediction.
    """

    annotation_id: int
    image_id: int
    image_name: str
    lease_token: str
    version: int
    n: int
    mask_digest: str | None
    context_size: int
    mask: Mask

    @property
    def lease(self) -> dict[str, str]:
        """The header by which the service knows whose it is."""
        return {"Lease-Token": self.lease_token}

    @property
    def as_seen(self) -> dict[str, str]:
        """The headers of what is decided about just what we saw."""
        return {**self.lease, "If-Match": f'"{self.version}"'}


def seen(annotation: dict[str, Any], lease_token: str) -> Held:
    """The annotation as the service tells it."""
    image, prediction = annotation["image"], annotation["prediction"]
    shown = annotation["edited"] or prediction
    shape = (int(image["height"]), int(image["width"]))
    nothing = np.zeros(shape, dtype=np.bool_)
    return Held(
        annotation_id=int(annotation["id"]),
        image_id=int(image["id"]),
        image_name=str(image["name"]),
        lease_token=lease_token,
        version=int(annotation["version"]),
        n=int(annotation["step"]),
        mask_digest=str(shown["mask_digest"]) if shown else None,
        context_size=int(prediction["context_size"]) if prediction else 0,
        mask=apply_change(None, shown["mask"], shape=shape) if shown else nothing,
    )


def prefer(wait: float) -> dict[str, str]:
    """The header that asks the service to answer once there is a mask, within so many seconds."""
    return {"Prefer": f"wait={wait:g}"}
