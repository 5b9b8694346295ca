// Package k8s asks and changes a cluster for a test, with kubectl.
package k8s

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gruntwork-io/terratest/modules/logger"
)

// KubectlOptions say which cluster and which namespace; what is empty is kubectl's own default.
type KubectlOptions struct {
	ContextName string
	ConfigPath  string
	Namespace   string
}

// NewKubectlOptions returns options.
func NewKubectlOptions(contextName string, configPath string, namespace string) *KubectlOptions {
	return &KubectlOptions{ContextName: contextName, ConfigPath: configPath, Namespace: namespace}
}

// KubectlApplyFromString applies a text.
func KubectlApplyFromString(t testing.TB, options *KubectlOptions, text string) {
	if _, err := kubectl(options, text, "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
}

// GetNodesByFilterE returns the nodes that the filters leave.
func GetNodesByFilterE(t testing.TB, options *KubectlOptions, filters metav1.ListOptions) ([]corev1.Node, error) {
	var list corev1.NodeList
	err := get(options, &list, "nodes", "-l", filters.LabelSelector)
	return list.Items, err
}

// IsNodeReady says whether a node's condition Ready is true.
func IsNodeReady(node corev1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// ListPods returns the pods of the namespace that the filters leave.
func ListPods(t testing.TB, options *KubectlOptions, filters metav1.ListOptions) []corev1.Pod {
	var list corev1.PodList
	if err := get(options, &list, "pods", "-l", filters.LabelSelector); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// WaitUntilDeploymentAvailable asks until a Deployment has rolled out, and fails the test where it does not.
func WaitUntilDeploymentAvailable(t testing.TB, options *KubectlOptions, name string, retries int, sleep time.Duration) {
	why := ""
	for tries := 0; tries <= retries; tries++ {
		logger.Logf(t, "Wait for deployment %s to be provisioned.", name)
		var deployment appsv1.Deployment
		err := get(options, &deployment, "deployment", name)
		if err == nil && rolledOut(deployment) {
			return
		}
		why = fmt.Sprintf("%d of its replicas are ready (%v)", deployment.Status.ReadyReplicas, err)
		time.Sleep(sleep)
	}
	t.Fatalf("deployment %s is not available after %d retries: %s", name, retries, why)
}

func rolledOut(deployment appsv1.Deployment) bool {
	for _, condition := range deployment.Status.Conditions {
		if condition.Type == appsv1.DeploymentProgressing {
			return condition.Status == corev1.ConditionTrue && condition.Reason == "NewReplicaSetAvailable"
		}
	}
	return false
}

func get(options *KubectlOptions, into interface{}, args ...string) error {
	out, err := kubectl(options, "", append(append([]string{"get"}, args...), "-o", "json")...)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(out), into)
}

func kubectl(options *KubectlOptions, input string, args ...string) (string, error) {
	where := []string{"--context", options.ContextName, "--kubeconfig", options.ConfigPath, "--namespace", options.Namespace}
	command := exec.Command("kubectl", append(where, args...)...) // an empty one is kubectl's default
	var out, failure bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(input), &out, &failure
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("kubectl %s: %w; %s", strings.Join(args, " "), err, strings.TrimSpace(failure.String()))
	}
	return out.String(), nil
}
