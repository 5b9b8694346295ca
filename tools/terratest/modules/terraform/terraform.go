// Package terraform runs Terraform for a test.
package terraform

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-exec/tfexec"

	"github.com/gruntwork-io/terratest/modules/logger"
)

// Options say which configuration is run, and with what.
type Options struct {
	TerraformBinary string // default: terraform
	TerraformDir    string
	Vars            map[string]interface{}
	EnvVars         map[string]string
	NoColor         bool // terraform-exec never asks for colours

	MaxRetries         int
	TimeBetweenRetries time.Duration
}

// Failures of a network or of a provider's start, which often pass.
var passing = []string{"TLS handshake timeout", "connection reset by peer", "timeout while waiting for plugin to start"}

// WithDefaultRetryableErrors returns the options with three retries, five seconds apart, of failures that often pass.
func WithDefaultRetryableErrors(t testing.TB, original *Options) *Options {
	made := *original
	made.MaxRetries, made.TimeBetweenRetries = 3, 5*time.Second
	return &made
}

// InitAndApply runs terraform init and apply.
func InitAndApply(t testing.TB, options *Options) string {
	said, err := run(t, options, func(ctx context.Context, tf *tfexec.Terraform) error {
		if err := tf.Init(ctx); err != nil {
			return err
		}
		var args []tfexec.ApplyOption
		for _, text := range assignments(options.Vars) {
			args = append(args, tfexec.Var(text))
		}
		return tf.Apply(ctx, args...)
	})
	must(t, err)
	return said
}

// InitAndPlanE runs terraform init and plan, and returns the failure.
func InitAndPlanE(t testing.TB, options *Options) (string, error) {
	return run(t, options, func(ctx context.Context, tf *tfexec.Terraform) error {
		if err := tf.Init(ctx); err != nil {
			return err
		}
		_, err := plan(ctx, tf, options)
		return err
	})
}

// PlanExitCode returns 0 where a plan finds nothing to do, and 2 where it does.
func PlanExitCode(t testing.TB, options *Options) int {
	code := 0
	_, err := run(t, options, func(ctx context.Context, tf *tfexec.Terraform) error {
		changes, err := plan(ctx, tf, options)
		if changes {
			code = 2
		}
		return err
	})
	must(t, err)
	return code
}

// Destroy runs terraform destroy.
func Destroy(t testing.TB, options *Options) string {
	said, err := run(t, options, func(ctx context.Context, tf *tfexec.Terraform) error {
		var args []tfexec.DestroyOption
		for _, text := range assignments(options.Vars) {
			args = append(args, tfexec.Var(text))
		}
		return tf.Destroy(ctx, args...)
	})
	must(t, err)
	return said
}

// Output returns an output that is a text.
func Output(t testing.TB, options *Options, key string) string {
	var value string
	output(t, options, key, &value)
	return value
}

// OutputList returns an output that is a list.
func OutputList(t testing.TB, options *Options, key string) []string {
	var values []interface{}
	output(t, options, key, &values)
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = fmt.Sprint(value)
	}
	return texts
}

func output(t testing.TB, options *Options, key string, into interface{}) {
	_, err := run(t, options, func(ctx context.Context, tf *tfexec.Terraform) error {
		outputs, err := tf.Output(ctx)
		if err != nil {
			return err
		}
		found, there := outputs[key]
		if !there {
			return fmt.Errorf("output %q not found", key)
		}
		return json.Unmarshal(found.Value, into)
	})
	must(t, err)
}

func plan(ctx context.Context, tf *tfexec.Terraform, options *Options) (bool, error) {
	var args []tfexec.PlanOption
	for _, text := range assignments(options.Vars) {
		args = append(args, tfexec.Var(text))
	}
	return tf.Plan(ctx, args...)
}

// run calls Terraform, again where the failure is one that may pass; it returns what Terraform printed.
func run(t testing.TB, options *Options, action func(context.Context, *tfexec.Terraform) error) (string, error) {
	for tries := 0; ; tries++ {
		said := &lines{t: t}
		tf, err := runner(options, said)
		if err == nil {
			err = action(context.Background(), tf)
		}
		if err == nil || tries >= options.MaxRetries || !passes(err) {
			return said.text.String(), err
		}
		logger.Logf(t, "Terraform failed, and it may pass: trying again in %s.", options.TimeBetweenRetries)
		time.Sleep(options.TimeBetweenRetries)
	}
}

func runner(options *Options, said *lines) (*tfexec.Terraform, error) {
	name := options.TerraformBinary
	if name == "" {
		name = "terraform"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return nil, err
	}
	tf, err := tfexec.NewTerraform(options.TerraformDir, path)
	if err != nil {
		return nil, err
	}
	env := map[string]string{}
	for _, entry := range os.Environ() {
		key, value, _ := strings.Cut(entry, "=")
		env[key] = value
	}
	for key, value := range options.EnvVars {
		env[key] = value
	}
	tf.SetStdout(said)
	tf.SetStderr(said)
	return tf, tf.SetEnv(tfexec.CleanEnv(env)) // it sets TF_CLI_ARGS and its like itself
}

func passes(err error) bool {
	for _, words := range passing {
		if strings.Contains(err.Error(), words) {
			return true
		}
	}
	return false
}

func must(t testing.TB, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

// lines prints what Terraform prints, and keeps it.
type lines struct {
	t    testing.TB
	text strings.Builder
}

func (l *lines) Write(text []byte) (int, error) {
	logger.Logf(l.t, "%s", text)
	return l.text.Write(text)
}

// assignments are the options' variables as -var takes them.
func assignments(vars map[string]interface{}) []string {
	var made []string
	for name, value := range vars {
		text, isText := value.(string)
		if !isText {
			encoded, err := json.Marshal(value) // JSON's lists, maps and numbers are HCL's
			if err != nil {
				encoded = []byte(fmt.Sprint(value))
			}
			text = string(encoded)
		}
		made = append(made, name+"="+text)
	}
	sort.Strings(made)
	return made
}
