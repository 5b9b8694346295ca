// Package program keeps what Go programs of Pulumi import in go.sum: lecture 2 builds one with these pins.
package program

import (
	_ "github.com/pulumi/pulumi/sdk/v3/go/auto"
	_ "github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)
