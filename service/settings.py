"""Every setting of Accrue, typed; read by the composition roots only and passed on as arguments."""

from pathlib import Path
from urllib.parse import quote

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """With nothing set this is a complete installation in one folder, ``data_dir``."""

    model_config = SettingsConfigDict(env_prefix="ACCRUE_", env_file=".env", extra="ignore")

    data_dir: Path = Path("accrue-data")
    database_url: str | None = None
    redis_url: str | None = None
    storage_url: str | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    public_url: str | None = Field(default=None, pattern=r"^https?://[^/?#\s]+/?$")
    device: str = "cpu"
    model: str = "memory-v1"
    weights_dir: Path | None = None
    lease_seconds: float = Field(default=120, gt=0, le=86_400)
    predict_ahead: int = Field(default=2, ge=0, le=100)
    max_attempts: int = Field(default=3, ge=1)
    # Opens /metrics and nothing else, for the operator's Prometheus.
    metrics_token: str | None = Field(default=None, min_length=16)
    max_upload_bytes: int = Field(default=512 * 1024 * 1024, ge=1, le=2**31 - 1)
    max_image_pixels: int = Field(default=64_000_000, ge=1)

    @property
    def resolved_database_url(self) -> str:
        return self.database_url or f"sqlite:///{quote(str(self.data_dir.absolute()))}/accrue.sqlite3"

    @property
    def resolved_storage_url(self) -> str:
        return self.storage_url or f"file://{self.data_dir.absolute()}/blobs"

    @property
    def url_file(self) -> Path:
        """Where `accrue serve` notes its address while it runs."""
        return self.data_dir / "url"

    @property
    def resolved_redis_url(self) -> str:
        if self.redis_url is None:
            raise ValueError(
                "ACCRUE_REDIS_URL is not set: point it at Redis or Valkey, or run `accrue serve`, "
                "which starts a private one."
            )
        return self.redis_url
