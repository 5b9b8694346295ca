package terratest

// The course's tests use testify too: it stands in go.mod for them.
import (
	_ "github.com/stretchr/testify/assert"
	_ "github.com/stretchr/testify/require"
)
