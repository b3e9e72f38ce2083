#!/usr/bin/env bash
# Installs what ecsnet needs and the machine does not have: Debian packages (with apt, as root or by sudo) and a
# virtual environment with pinned Python packages. Running it again with everything in place takes no time.
#   scripts/install.sh run    what `ecsnet up` needs
#   scripts/install.sh test   that, and what the tests need
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-run}

# command or file that shows that the package is there = Debian package
needs=(unshare=util-linux nsenter=util-linux ip=iproute2 nft=nftables curl=curl)
[ "$(id -u)" = 0 ] || needs+=(newuidmap=uidmap)
if [ "$what" = test ]; then
  needs+=(podman=podman crun=crun dig=dnsutils conntrack=conntrack newuidmap=uidmap setpriv=util-linux
          /bin/busybox=busybox-static tcpdump=tcpdump npm=npm node=nodejs wrk=wrk iperf3=iperf3)
fi
PATH=$PATH:/usr/sbin:/sbin

missing=()
for need in "${needs[@]}"; do
  probe=${need%%=*} package=${need#*=}
  case $probe in
    /*) [ -e "$probe" ] || missing+=("$package") ;;
    *) command -v "$probe" >/dev/null || missing+=("$package") ;;
  esac
done
python=python3
for candidate in python3 python3.13 python3.12 python3.11; do
  if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    python=$candidate
    break
  fi
done
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || missing+=(python3)
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)

if [ ${#missing[@]} -gt 0 ]; then
  mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
  apt="apt-get install -y --no-install-recommends ${missing[*]}"
  if ! command -v apt-get >/dev/null; then
    echo "ecsnet needs these Debian packages (or what your distribution calls them): ${missing[*]}" >&2
    exit 1
  elif [ "$(id -u)" = 0 ]; then
    echo "installing ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $apt -qq >/dev/null
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    echo "installing ${missing[*]} (sudo)"
    sudo apt-get update -qq
    sudo DEBIAN_FRONTEND=noninteractive $apt -qq >/dev/null
  else
    echo "ecsnet needs Debian packages that are not installed. Run:" >&2
    echo "  sudo $apt" >&2
    exit 1
  fi
fi

stamp=.venv/.installed-$(cat requirements.lock pyproject.toml | sha256sum | cut -c1-16)
if [ ! -e "$stamp" ]; then
  echo "installing Python packages into .venv (once)"
  "$python" -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
  rm -f .venv/.installed-*
  touch "$stamp"
fi
