package deploy_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// object is a part of a manifest.
type object = map[string]any

// at returns what is below keys in an object, or nil.
func at(o any, keys ...string) any {
	for _, k := range keys {
		m, ok := o.(object)
		if !ok {
			return nil
		}
		o = m[k]
	}
	return o
}

// objects returns the objects in the manifests of the base.
func objects(t *testing.T) (all []object) {
	t.Helper()
	const base = "kubernetes/base/"
	var k struct {
		Resources []string `yaml:"resources"`
	}
	if err := yaml.Unmarshal([]byte(read(t, base+"kustomization.yaml")), &k); err != nil {
		t.Fatal(err)
	}
	for _, name := range k.Resources {
		in := yaml.NewDecoder(strings.NewReader(read(t, base+name)))
		for {
			var o object
			err := in.Decode(&o)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			all = append(all, o)
		}
	}
	return all
}

// pods returns the templates of pods by the name of what makes them.
func pods(t *testing.T) map[string]object {
	t.Helper()
	all := make(map[string]object)
	for _, o := range objects(t) {
		if template, ok := at(o, "spec", "template").(object); ok {
			all[fmt.Sprint(at(o, "metadata", "name"))] = template
			if labels := at(template, "metadata", "labels"); !selects(at(o, "spec", "selector", "matchLabels"), labels) {
				t.Errorf("%v does not select its pods", at(o, "metadata", "name"))
			}
		}
	}
	if len(all) != 2 {
		t.Fatalf("%d kinds of pods", len(all))
	}
	return all
}

// selects reports whether a selector fits labels.
func selects(selector, labels any) bool {
	want, _ := selector.(object)
	for k, v := range want {
		if at(labels, k) != v {
			return false
		}
	}
	return len(want) > 0
}

// container returns the one container of a pod.
func container(t *testing.T, pod object) object {
	t.Helper()
	all, _ := at(pod, "spec", "containers").([]any)
	if len(all) != 1 {
		t.Fatalf("%d containers", len(all))
	}
	c, _ := all[0].(object)
	return c
}

// ports returns the names and numbers of a container's ports.
func ports(c object) (names []string) {
	all, _ := c["ports"].([]any)
	for _, p := range all {
		names = append(names, fmt.Sprint(at(p, "name")), fmt.Sprint(at(p, "containerPort")))
	}
	return names
}

// Services, budgets and policies name pods and ports that are there.
func TestManifestsFitTogether(t *testing.T) {
	t.Parallel()
	pods := pods(t)
	gateway := pods["sluice-gateway"]
	known := ports(container(t, gateway))
	kinds := make(map[string]int)
	for _, o := range objects(t) {
		kind, name := fmt.Sprint(o["kind"]), fmt.Sprint(at(o, "metadata", "name"))
		kinds[kind]++
		var selector any
		switch kind {
		case "Service":
			selector = at(o, "spec", "selector")
			for _, p := range at(o, "spec", "ports").([]any) {
				if !slices.Contains(known, fmt.Sprint(at(p, "targetPort"))) {
					t.Errorf("service %s: no port %v", name, at(p, "targetPort"))
				}
			}
		case "PodDisruptionBudget":
			selector = at(o, "spec", "selector", "matchLabels")
		case "NetworkPolicy":
			selector = at(o, "spec", "podSelector", "matchLabels")
			rules, _ := at(o, "spec", "ingress").([]any)
			for _, r := range rules {
				for _, p := range at(r, "ports").([]any) {
					if !slices.Contains(known, fmt.Sprint(at(p, "port"))) {
						t.Errorf("policy %s: no port %v", name, at(p, "port"))
					}
				}
			}
		default:
			continue
		}
		found := false
		for _, pod := range pods {
			found = found || selects(selector, at(pod, "metadata", "labels"))
		}
		if !found {
			t.Errorf("%s %s selects no pod", kind, name)
		}
	}
	for kind, n := range map[string]int{
		"StatefulSet": 1, "Deployment": 1, "Service": 2, "PodDisruptionBudget": 2, "NetworkPolicy": 2, "ServiceAccount": 1,
	} {
		if kinds[kind] != n {
			t.Errorf("%d of kind %s, not %d", kinds[kind], kind, n)
		}
	}
}

// Pods have no rights that they do not need, and time to drain.
func TestPodsAreRestricted(t *testing.T) {
	t.Parallel()
	for name, pod := range pods(t) {
		c := container(t, pod)
		for path, want := range map[string]any{
			"securityContext.runAsNonRoot": true, "securityContext.seccompProfile.type": "RuntimeDefault",
			"automountServiceAccountToken": false, "enableServiceLinks": false,
		} {
			if got := at(pod["spec"], strings.Split(path, ".")...); got != want {
				t.Errorf("%s: %s is %v", name, path, got)
			}
		}
		for path, want := range map[string]any{
			"securityContext.allowPrivilegeEscalation": false, "securityContext.readOnlyRootFilesystem": true,
		} {
			if got := at(c, strings.Split(path, ".")...); got != want {
				t.Errorf("%s: %s is %v", name, path, got)
			}
		}
		if fmt.Sprint(at(c, "securityContext", "capabilities", "drop")) != "[ALL]" ||
			at(c, "resources", "limits", "memory") == nil {
			t.Errorf("%s: capabilities or memory are not limited", name)
		}
		if grace, _ := at(pod, "spec", "terminationGracePeriodSeconds").(int); grace < 45 {
			t.Errorf("%s: %d s to end", name, grace)
		}
	}
	gateway := container(t, pods(t)["sluice-gateway"])
	for probe, path := range map[string]string{"livenessProbe": "/livez", "readinessProbe": "/readyz"} {
		if at(gateway, probe, "httpGet", "path") != path || at(gateway, probe, "httpGet", "port") != "admin" {
			t.Errorf("%s: %v", probe, gateway[probe])
		}
	}
	if at(gateway, "lifecycle", "preStop") == nil {
		t.Error("no preStop")
	}
}

// The settings in the ConfigMaps are right for their commands.
func TestSettingsOfManifests(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	dir := t.TempDir()
	for name, text := range map[string]string{"key": "a key of more than sixteen bytes", "token": "a-token-of-this-test"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for pod, file := range map[string]string{
		"sluice-gateway": "gateway-settings.yaml", "sluice-worker": "worker-settings.yaml",
	} {
		args, _ := container(t, pods(t)[pod])["args"].([]any)
		text := strings.ReplaceAll(read(t, "kubernetes/base/"+file), "/run/secrets/sluice", dir)
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(bin, "config", "check", path, fmt.Sprint(args[0])).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", file, err, out)
		}
	}
}

// kustomize builds the base: every file that it names is there.
func TestKustomizeBuilds(t *testing.T) {
	t.Parallel()
	name, args := "kubectl", []string{"kustomize"}
	if _, err := exec.LookPath("kustomize"); err == nil {
		name, args = "kustomize", []string{"build"}
	}
	if _, err := exec.LookPath(name); err != nil {
		t.Skip("NOT TESTED: there is neither kustomize nor kubectl here")
	}
	out, err := exec.Command(name, append(args, "../../deploy/kubernetes/base")...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if n := strings.Count(string(out), "\nkind: "); n != 11 {
		t.Errorf("%d objects, not 11", n)
	}
}
