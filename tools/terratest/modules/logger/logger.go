// Package logger prints what tests do, each line with the test's name: tests that run side by side mix their lines.
package logger

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// Logf prints a text; its lines stay together.
func Logf(t testing.TB, format string, args ...interface{}) {
	var text strings.Builder
	for _, line := range strings.Split(strings.TrimRight(fmt.Sprintf(format, args...), "\n"), "\n") {
		fmt.Fprintf(&text, "%s %s logger.go: %s\n", t.Name(), time.Now().Format(time.RFC3339), line)
	}
	_, _ = os.Stdout.WriteString(text.String())
}
