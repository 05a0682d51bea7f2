# syntax=docker/dockerfile:1

# Both stages stand on Debian 12, so that the program finds the C library it was linked against.
FROM rust:1.95-bookworm AS build
# Debian's version within a release changes only for security.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The target folder is a cache and gone after the step, so the program is copied out of it within the step.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --locked --release --bin mainstay \
    && cp target/release/mainstay /usr/local/bin/mainstay

FROM gcr.io/distroless/cc-debian12:nonroot
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Mainstay" \
      org.opencontainers.image.description="A self-hosted resilience layer for AI traffic, on Pingora" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /usr/local/bin/mainstay /usr/local/bin/mainstay
# The number, not the name: orchestrators that refuse root can then tell.
USER 65532:65532
EXPOSE 8080 8081
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
    CMD ["/usr/local/bin/mainstay", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/mainstay"]
CMD ["run", "-c", "/etc/mainstay/config.yaml"]
