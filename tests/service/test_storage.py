"""One contract for every storage."""

import threading
import time
from hashlib import sha256
from pathlib import Path

import pytest
from obstore.store import S3Store

from service.db import open_engine
from service.settings import Settings
from service.storage import LocalStorage, MemoryStorage, Storage, open_storage


@pytest.fixture(params=["memory", "local", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    match request.param:
        case "memory":
            return MemoryStorage()
        case "local":
            return LocalStorage(tmp_path / "blobs")
        case _:
            return open_storage(f"s3://{request.getfixturevalue('bucket')}/a folder, 100%25")


def test_what_was_put_is_what_is_got(storage: Storage) -> None:
    digest = storage.put(b"some bytes")
    assert digest == sha256(b"some bytes").hexdigest()
    assert storage.exists(digest)
    assert storage.get(digest) == b"some bytes"


def test_an_empty_blob_is_a_blob(storage: Storage) -> None:
    assert storage.get(storage.put(b"")) == b""


def test_putting_the_same_bytes_again_changes_nothing(storage: Storage) -> None:
    assert storage.put(b"twice") == storage.put(b"twice")


@pytest.mark.parametrize(("lies_there", "anew"), [(b"", False), (b"wrong bytes", True)])
def test_a_blob_cut_short_is_put_right_and_any_other_where_that_is_asked_for(
    tmp_path: Path, lies_there: bytes, anew: bool
) -> None:
    storage, right = LocalStorage(tmp_path), b"right bytes"
    digest = storage.put(right)
    (tmp_path / digest[:2] / digest).write_bytes(lies_there)
    storage.put(right, anew=anew)
    assert storage.get(digest) == right


def test_a_digest_that_was_never_put_is_not_found(storage: Storage) -> None:
    assert not storage.exists("0" * 64)
    with pytest.raises(FileNotFoundError):
        storage.get("0" * 64)


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "/etc/passwd", "A" * 64, "a/" * 32])
def test_a_digest_is_never_a_path(storage: Storage, digest: str) -> None:
    assert not storage.exists(digest)
    with pytest.raises(FileNotFoundError):
        storage.get(digest)


def test_many_writers_of_the_same_bytes_leave_one_whole_blob(storage: Storage) -> None:
    data = b"x" * 1_000_000
    writers = [threading.Thread(target=storage.put, args=(data,)) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert storage.get(sha256(data).hexdigest()) == data


def test_what_is_set_aside_is_found_until_it_is_dropped(storage: Storage) -> None:
    digest, other = storage.put(b"scan"), storage.put(b"mask")
    storage.set_aside(digest)
    storage.set_aside(digest)
    assert storage.exists(digest) and storage.get(digest) == b"scan"
    storage.keep(digest)
    storage.drop(digest)
    storage.drop(digest)
    storage.bring_back(digest)
    assert not storage.exists(digest)
    with pytest.raises(FileNotFoundError):
        storage.get(digest)
    assert storage.get(other) == b"mask"


def test_what_is_brought_back_or_put_again_is_not_dropped(storage: Storage) -> None:
    back, again = storage.put(b"back"), storage.put(b"again")
    for digest in (back, again):
        storage.set_aside(digest)
    storage.bring_back(back)
    assert storage.put(b"again") == again
    for digest in (back, again):
        storage.drop(digest)
    assert (storage.get(back), storage.get(again)) == (b"back", b"again")


def test_a_passing_file_is_read_in_parts_replaced_and_deleted(storage: Storage) -> None:
    storage.write_passing("exports/7/0-ab", b"0123456789")
    assert storage.read_passing("exports/7/0-ab") == b"0123456789"
    assert storage.read_passing("exports/7/0-ab", 3, 4) == b"3456"
    assert storage.read_passing("exports/7/0-ab", 8, 100) == b"89"
    storage.write_passing("exports/7/0-ab", b"new")
    assert storage.read_passing("exports/7/0-ab", 1) == b"ew"
    storage.write_passing("exports/70/0-ab", b"other")
    storage.delete_passing("exports/7")
    storage.delete_passing("exports/7")
    with pytest.raises(FileNotFoundError):
        storage.read_passing("exports/7/0-ab")
    assert storage.read_passing("exports/70/0-ab") == b"other"


def test_a_passing_file_that_stays_says_so(tmp_path: Path) -> None:
    (tmp_path / "passing" / "exports").mkdir(parents=True)
    (tmp_path / "passing" / "exports" / "7").touch()
    with pytest.raises(NotADirectoryError):
        LocalStorage(tmp_path).delete_passing("exports/7")


@pytest.mark.parametrize("name", ["", "..", "/etc/passwd", "exports/../../etc", "exports//7", "exports/7/"])
def test_a_passing_file_leads_nowhere_else(storage: Storage, name: str) -> None:
    for use in (storage.read_passing, storage.delete_passing, lambda n: storage.write_passing(n, b"")):
        with pytest.raises(ValueError, match="is no name"):
            use(name)


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    storage = LocalStorage(tmp_path)
    with pytest.raises(OSError, match="No space left"):
        storage.put(b"data")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert not storage.exists(sha256(b"data").hexdigest())


def test_a_storage_is_opened_by_its_url(tmp_path: Path) -> None:
    folder = tmp_path / "a folder, 100%"
    digest = open_storage(f"file://{folder}").put(b"data")
    assert open_storage(f"file://{folder}").get(digest) == b"data"
    assert isinstance(open_storage("memory://"), MemoryStorage)


def test_a_storage_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="use file:///folder or s3://bucket"):
        open_storage("ftp://server/folder")


def test_a_bucket_and_a_folder_can_be_copied_to_each_other(bucket: str, tmp_path: Path) -> None:
    away, here = open_storage(f"s3://{bucket}"), LocalStorage(tmp_path)
    digest = away.put(b"data")
    away.write_passing("exports/7/0-ab", b"part")
    store = S3Store(bucket, client_options={"allow_http": True})
    for found in store.list():
        for each in found:
            path = tmp_path / each["path"]
            path.parent.mkdir(parents=True)
            path.write_bytes(store.get(each["path"]).bytes())
    assert here.get(digest) == b"data" and here.read_passing("exports/7/0-ab") == b"part"


def test_two_folders_of_a_bucket_are_two_storages(bucket: str) -> None:
    digest = open_storage(f"s3://{bucket}/one").put(b"data")
    assert open_storage(f"s3://{bucket}/one/").exists(digest)
    assert not open_storage(f"s3://{bucket}/other").exists(digest)


def test_a_bucket_that_is_not_there_is_refused(bucket: str) -> None:
    with pytest.raises(ValueError, match="'no-such-bucket' cannot be used; is it there"):
        open_storage("s3://no-such-bucket")


def test_a_server_that_is_away_is_refused_within_seconds(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    began = time.monotonic()
    with pytest.raises(ValueError, match="AWS_ENDPOINT_URL"):
        open_storage(f"s3://{bucket}")
    assert time.monotonic() - began < 100


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    for name in ("C#", "what?", "100 %41"):
        settings = Settings(data_dir=tmp_path / name)
        digest = open_storage(settings.resolved_storage_url).put(b"data")
        open_engine(settings.resolved_database_url).connect().close()
        made = sorted(path.name for path in (tmp_path / name).rglob("*") if path.is_file())
        assert made == sorted([digest, "accrue.sqlite3"])
