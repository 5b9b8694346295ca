# Read by postBuild and start: where the image keeps the tools, and which settings JupyterLab reads.
# The tools lie beside the Python packages: a hub may mount a volume over the home.
prefix="$(python -c 'import sys; print(sys.prefix)')"
export IACLAB_CACHE="${IACLAB_CACHE:-$prefix/share/iaclab}"
export PATH="$IACLAB_CACHE/bin:$PATH"
repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export JUPYTER_CONFIG_PATH="$repository/jupyter${JUPYTER_CONFIG_PATH:+:$JUPYTER_CONFIG_PATH}"
