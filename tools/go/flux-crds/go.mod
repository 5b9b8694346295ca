// Files of source-controller, which imports nothing here: in tools/go/flux, `go mod tidy` would drop it.
module iaclab.local/tools/flux-crds

go 1.27.0

require github.com/fluxcd/source-controller v1.9.6
