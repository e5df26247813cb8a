#!/bin/sh
# Make the virtual environment that every make target uses: setup_venv.sh VENV PYTHON EXTRAS
# TORCH_INDEX says where torch comes from. Unset: the CPU index where no NVIDIA GPU is found. Empty: pip's own index.
set -eu
venv=$1 python=$2 extras=$3
torch=$(grep '^torch==' constraints.txt)

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "loratui needs Python 3.11 or later; '$python' is $("$python" --version 2>&1)." >&2
    echo "  fix: make PYTHON=/path/to/python3.11" >&2
    exit 1
}
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }

# Ask that index alone, and not for long: behind some firewalls every one of its addresses is tried in vain.
is_reachable() {
    PIP_EXTRA_INDEX_URL=$1 PIP_FIND_LINKS=$PWD/scripts PIP_RETRIES=0 \
        timeout 15 "$venv/bin/python" -m pip index versions --index-url "$1" torch >/dev/null 2>&1
}

has_nvidia() { command -v nvidia-smi >/dev/null 2>&1 || [ -e /proc/driver/nvidia/version ]; }

# PyPI's torch for Linux brings gigabytes of CUDA along; its builds for other systems don't.
if [ "$(uname -s)" = Linux ] && ! has_nvidia; then
    index=${TORCH_INDEX-https://download.pytorch.org/whl/cpu}
else
    index=${TORCH_INDEX-}
fi

if [ -z "$index" ]; then
    echo "$torch: from pip's own index (TORCH_INDEX=URL takes another)"
elif is_reachable "$index"; then
    echo "$torch: from $index (TORCH_INDEX=URL takes another, TORCH_INDEX= pip's own)"
    pip install --quiet --no-deps --index-url "$index" "$torch"
else
    echo "$torch: $index can't be reached, so from pip's own index, which may bring CUDA packages" >&2
fi
echo "everything else: from pip's own index, as constraints.txt pins it"
pip install --quiet -c constraints.txt -e ".[$extras]"
"$venv/bin/python" -c 'import torch; print("installed: torch", torch.__version__)'

# The tests install training environments from these, through an index of their own on loopback.
case $extras in *dev*)
    uv=$(sed -n 's/^VERSION = "\(.*\)"/\1/p' tui/loratui/remote/uv_binary.py)
    echo "wheels for the tests of training environments: into $venv/wheels"
    {
        pip download --quiet --no-deps --only-binary :all: --dest "$venv/wheels" "uv==$uv" &&
            pip download --quiet --no-deps --only-binary :all: --require-hashes --dest "$venv/wheels" \
                -r tui/loratui/remote/locks/train.txt
    } || {
        echo "they can't be fetched; the tests that need them are skipped and say so" >&2
        # Unless nobody would read that.
        [ -z "${CI:-}" ] || exit 1
    }
    ;;
esac
