# One image for the API, the workers and the migrations of docker-compose.yml; by itself it is a whole
# installation in one folder: docker run --publish 127.0.0.1:8000:8000 --volume accrue:/data accrue

FROM node:22-slim AS page
WORKDIR /source
COPY web/package.json web/package-lock.json ./
RUN npm ci
COPY web .
RUN npm run build

FROM python:3.11-slim AS build
WORKDIR /source
COPY . .
COPY --from=page /source/dist web/dist
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel . \
    && mkdir /dependencies \
    && python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
        > /dependencies/all \
    && grep '^torch==' /dependencies/all > /dependencies/torch

FROM python:3.11-slim
# Where torch comes from; for a GPU take https://pypi.org/simple, whose torch brings CUDA along.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# Before our own code, whose changes should not download torch again; and torch first, because nothing
# else may come from where it does.
RUN --mount=type=bind,from=build,source=/dependencies,target=/dependencies \
    pip install --no-cache-dir --index-url "$TORCH_INDEX" --requirement /dependencies/torch \
    && pip install --no-cache-dir --requirement /dependencies/all
RUN --mount=type=bind,from=build,source=/wheel,target=/wheel \
    pip install --no-cache-dir --no-deps /wheel/*.whl

# tmp is for uploads under way; a new volume begins as a copy of this folder, with its owner.
RUN useradd --uid 10001 --no-create-home --home-dir /tmp accrue \
    && install --directory --owner=accrue --group=accrue /data /data/tmp
USER 10001:10001
WORKDIR /data
VOLUME /data
ENV PYTHONUNBUFFERED=1 \
    ACCRUE_DATA_DIR=/data \
    ACCRUE_HOST=0.0.0.0
EXPOSE 8000
CMD ["accrue", "serve"]
