// Package tests imports what the lessons' Go tests may: `go mod tidy` keeps it in go.mod, which a learner's folder gets.
package tests

import (
	_ "github.com/gruntwork-io/terratest/modules/aws"
	_ "github.com/gruntwork-io/terratest/modules/k8s"
	_ "github.com/gruntwork-io/terratest/modules/random"
	_ "github.com/gruntwork-io/terratest/modules/retry"
	_ "github.com/gruntwork-io/terratest/modules/terraform"
	_ "github.com/gruntwork-io/terratest/modules/test-structure"
	_ "github.com/stretchr/testify/assert"
	_ "github.com/stretchr/testify/require"
	_ "k8s.io/api/core/v1"
	_ "k8s.io/apimachinery/pkg/apis/meta/v1"
)
