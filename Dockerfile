# syntax=docker/dockerfile:1
# One image with every program of Conveyor; compose.yaml says which one a container runs.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
# Both caches outlive the layer, so a rebuild compiles only what changed; the programs are copied
# out because the cache is gone when the step ends.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    set -eu; \
    programs="sandbox order-api inventory-worker payment-worker notification-worker support-console"; \
    cargo build --release --locked --package migrations $(printf -- '--package %s ' $programs); \
    mkdir /programs; \
    for program in migrate $programs; do cp "target/release/$program" /programs/; done

FROM debian:bookworm-slim
# curl for the health checks, certificates for whoever calls the outside world.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin conveyor
COPY --from=build /programs/ /usr/local/bin/
USER 10001:10001
WORKDIR /tmp
# Each program takes SIGTERM as the order to finish what it has begun.
STOPSIGNAL SIGTERM
CMD ["order-api"]
