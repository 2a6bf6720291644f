#!/usr/bin/env bash
# The UI tests drive a real browser. On Debian as root it is installed; elsewhere the tests say what is missing.
set -euo pipefail
if command -v chromium >/dev/null && fc-list 2>/dev/null | grep -qi 'noto.*cjk'; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    chromium fonts-noto-cjk fontconfig >/dev/null
else
  echo "chromium 과 fonts-noto-cjk 를 설치하세요 · install chromium and fonts-noto-cjk for the browser tests" >&2
fi
