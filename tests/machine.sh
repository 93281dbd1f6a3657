#!/bin/sh
# What the journeys need of the machine, and pip cannot install: PostgreSQL, Chromium and its driver.
# Asks apt for what is missing; where there is no apt, or no leave to use it, says what to install.
set -eu

missing=""
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
command -v chromedriver >/dev/null 2>&1 || missing="$missing chromium-driver"
command -v initdb >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 \
  || missing="$missing postgresql"
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
  echo "the journeys need, by the names that Debian has for them:$missing" >&2
  exit 1
fi
run=""
[ "$(id -u)" = 0 ] || run="sudo"
install() { DEBIAN_FRONTEND=noninteractive $run apt-get install --yes --no-install-recommends $missing; }
install || { $run apt-get update; install; }
