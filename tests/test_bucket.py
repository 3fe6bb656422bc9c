"""A whole installation whose images and masks lie in a bucket."""

from pathlib import Path

import numpy as np

from commands.backup import backup, verify
from commands.restore import restore
from models.prompts import Click
from service.client import Accrue
from service.settings import Settings
from service.storage import open_storage
from tests.conftest import started
from tests.factories import png, silent


def test_a_dataset_is_annotated_exported_and_moved_from_a_bucket(bucket: str, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "first", storage_url=f"s3://{bucket}/cells", port=0)
    with started(settings) as service, Accrue(service.base_url, service.token, patience=30) as client:
        project = client.create_project("in a bucket")
        client.upload_images(project, [(f"{i}.png", png()) for i in range(2)])
        label = client.add_label(project, "disc")
        held = client.next(label)
        assert held is not None
        held = client.interact(held, [Click(32, 24)])
        client.submit(held)
        second = client.next(label)
        assert second is not None and second.context_size == 1
        np.testing.assert_array_equal(second.mask, client.mask(second.annotation_id))
        made = client.export(project, "coco", tmp_path / "export.zip")
        assert (tmp_path / "export.zip").stat().st_size == made["size"] > 0
        assert held.mask_digest is not None and open_storage(f"s3://{bucket}/cells").exists(held.mask_digest)
    assert not (tmp_path / "first" / "blobs").exists()
    backup(settings, tmp_path / "backup.tar", silent)
    after = Settings(data_dir=tmp_path / "second", port=0)
    restore(after, tmp_path / "backup.tar", silent)
    assert verify(settings, silent) == verify(after, silent) == []
