"""Images at the edge of what there is, all the way: upload, first mask, a click, accepted, context."""

import io
from uuid import uuid4

import numpy as np
import pytest
import tifffile

from models.prompts import Click
from service.client import Accrue
from tests.conftest import ServiceUnderTest
from tests.factories import encoded, pixels, png


def tiff(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, array)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("image", "shape"),
    [
        (encoded(np.dstack([pixels(2000, 3000)] * 3), "JPEG", quality=60), (2000, 3000)),
        (png(pixels(1, 300)), (1, 300)),
        (png(np.full((40, 30), 7, np.uint8)), (40, 30)),
        (png(pixels(37, 81, "uint16")), (37, 81)),
        (tiff(np.full((48, 64), np.nan, np.float32)), (48, 64)),
    ],
    ids=["3000 x 2000 in colour", "one pixel high", "constant", "16 bit", "all NaN"],
)
def test_any_image_is_predicted_accepted_and_made_context(
    service: ServiceUnderTest, image: bytes, shape: tuple[int, int]
) -> None:
    with Accrue(service.base_url, service.token) as client:
        project = client.create_project(f"odd {uuid4()}")
        told = client.upload_images(project, [("odd", image), ("plain.png", png())])
        assert [each["status"] for each in told] == ["stored", "stored"]
        label = client.add_label(project, "disc")
        held = client.next(label)
        assert held is not None and held.image_name == "odd"
        held = client.interact(held, [Click(shape[1] / 2, shape[0] / 2)])
        assert held.mask.shape == client.mask(held.annotation_id).shape == shape
        client.submit(held)
        following = client.next(label)
        assert following is not None and following.context_size == 1
        assert client.interact(following, [Click(32, 24)]).mask.shape == (48, 64)
