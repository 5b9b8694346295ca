// Argo Workflows' CRDs, which ship in its module: files are copied from it, nothing is built.
module iaclab.local/tools/workflows

go 1.27.0

require github.com/argoproj/argo-workflows/v4 v4.0.5
