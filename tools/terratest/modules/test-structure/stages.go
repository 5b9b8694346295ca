// Package test_structure cuts a test into stages, and keeps between them what the next one needs.
package test_structure

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gruntwork-io/terratest/modules/logger"
	"github.com/gruntwork-io/terratest/modules/terraform"
)

const skip = "SKIP_"

// RunTestStage runs a stage, unless SKIP_<its name> is set.
func RunTestStage(t testing.TB, name string, stage func()) {
	if os.Getenv(skip+name) != "" {
		logger.Logf(t, "The '%s%s' environment variable is set, so skipping stage '%s'.", skip, name, name)
		return
	}
	logger.Logf(t, "The '%s%s' environment variable is not set, so executing stage '%s'.", skip, name, name)
	stage()
}

// SaveTerraformOptions keeps the options for a later stage.
func SaveTerraformOptions(t testing.TB, folder string, options *terraform.Options) {
	text, err := json.MarshalIndent(options, "", "  ")
	must(t, err)
	must(t, os.MkdirAll(filepath.Dir(kept(folder)), 0o700))
	must(t, os.WriteFile(kept(folder), text, 0o600))
}

// LoadTerraformOptions returns the options that were kept.
func LoadTerraformOptions(t testing.TB, folder string) *terraform.Options {
	var options terraform.Options
	text, err := os.ReadFile(kept(folder))
	must(t, err)
	must(t, json.Unmarshal(text, &options))
	return &options
}

// CopyTerraformFolderToTemp copies rootFolder into a folder of this test alone, without states and what init has fetched,
// and returns where the folder terraformModuleFolder lies in the copy. Where a stage is left out it copies nothing: the
// next run has to find what this one made.
func CopyTerraformFolderToTemp(t testing.TB, rootFolder string, terraformModuleFolder string) string {
	for _, entry := range os.Environ() {
		if strings.HasPrefix(entry, skip) {
			return filepath.Join(rootFolder, terraformModuleFolder)
		}
	}
	target, err := os.MkdirTemp("", filepath.Base(t.Name())+"-")
	must(t, err)
	must(t, filepath.WalkDir(rootFolder, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == ".terraform" || entry.Name() == ".test-data") {
			return filepath.SkipDir
		}
		inside, err := filepath.Rel(rootFolder, path)
		if err != nil || strings.Contains(entry.Name(), ".tfstate") {
			return err
		}
		if entry.IsDir() {
			return os.MkdirAll(filepath.Join(target, inside), 0o755)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(target, inside), text, 0o644)
	}))
	return filepath.Join(target, terraformModuleFolder)
}

func kept(folder string) string { return filepath.Join(folder, ".test-data", "TerraformOptions.json") }

func must(t testing.TB, err error) {
	if err != nil {
		t.Fatal(err)
	}
}
