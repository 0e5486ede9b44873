package checks_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// decode decodes documents as an API server does that is asked to be strict. Unknown fields, fields
// that are there twice and values of another type are errors.
func decode(text []byte) (all []runtime.Object, err error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	strict := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		o, _, err := strict.Decode(document, nil, nil)
		if err != nil {
			return nil, err
		}
		all = append(all, o)
	}
}

// build returns what kustomize makes of a folder, decoded strictly.
func build(t *testing.T, folder string) []runtime.Object {
	t.Helper()
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(
		filesys.MakeFsOnDisk(), filepath.Join("deploy/kubernetes", folder))
	if err != nil {
		t.Fatal(err)
	}
	text, err := made.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	all, err := decode(text)
	if err != nil {
		t.Fatalf("%s: %v\n%s", folder, err, text)
	}
	return all
}

// variants are the folders that an operator applies, with the kinds of their objects.
var variants = map[string]map[string]int{
	"base": {
		"*v1.Deployment": 2, "*v1.Service": 2, "*v1.PodDisruptionBudget": 2,
		"*v1.NetworkPolicy": 2, "*v1.ServiceAccount": 1, "*v1.ConfigMap": 2,
	},
	"static": {
		"*v1.StatefulSet": 1, "*v1.Deployment": 1, "*v1.Service": 2, "*v1.PodDisruptionBudget": 2,
		"*v1.NetworkPolicy": 2, "*v1.ServiceAccount": 1, "*v1.ConfigMap": 2,
	},
	"redis": {"*v1.Deployment": 1, "*v1.Service": 1, "*v1.NetworkPolicy": 1},
}

// forEachVariant runs a test for each folder that an operator applies.
func forEachVariant(t *testing.T, test func(t *testing.T, all []runtime.Object)) {
	t.Parallel()
	for name := range variants {
		t.Run(name, func(t *testing.T) { test(t, build(t, name)) })
	}
}

// pods returns the templates of pods by the name of what makes them.
func pods(t *testing.T, all []runtime.Object) map[string]corev1.PodTemplateSpec {
	t.Helper()
	found := make(map[string]corev1.PodTemplateSpec)
	for _, o := range all {
		var name string
		var selector *metav1.LabelSelector
		var template corev1.PodTemplateSpec
		switch o := o.(type) {
		case *appsv1.Deployment:
			name, selector, template = o.Name, o.Spec.Selector, o.Spec.Template
		case *appsv1.StatefulSet:
			name, selector, template = o.Name, o.Spec.Selector, o.Spec.Template
		default:
			continue
		}
		if !selects(t, selector, template) {
			t.Errorf("%s does not select its pods", name)
		}
		if len(template.Spec.Containers) != 1 {
			t.Fatalf("%s: %d containers", name, len(template.Spec.Containers))
		}
		found[name] = template
	}
	return found
}

// selects reports whether a selector fits pods. An empty one does not.
func selects(t *testing.T, selector *metav1.LabelSelector, pod corev1.PodTemplateSpec) bool {
	t.Helper()
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return !s.Empty() && s.Matches(labels.Set(pod.Labels))
}

// Every document has only fields that Kubernetes knows, before and after kustomize.
func TestManifestsAreStrict(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("deploy/kubernetes/*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	documents := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(file) == "kustomization.yaml" || !bytes.Contains(text, []byte("apiVersion:")) {
			continue
		}
		all, err := decode(text)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		documents += len(all)
	}
	if documents < 9 {
		t.Errorf("%d documents: that cannot be all", documents)
	}
	for name, want := range variants {
		kinds := make(map[string]int)
		for _, o := range build(t, name) {
			kinds[typeName(o)]++
		}
		if !maps.Equal(kinds, want) {
			t.Errorf("%s: %v, not %v", name, kinds, want)
		}
	}
}

// A manifest with a mistake is refused.
func TestMistakesInManifestsAreFound(t *testing.T) {
	t.Parallel()
	right := read(t, "kubernetes/base/gateway.yaml")
	for mistake, with := range map[string]string{
		"  replicas: ":              "  replicaz: ",
		"periodSeconds: 10":         "periodSecond: 10",
		"runAsNonRoot: true":        "runAsNonRoot: yes please",
		"containerPort: 7272":       "containerPort: ws",
		"apiVersion: apps/v1\n":     "apiVersion: apps/v1beta9\n",
		"kind: PodDisruptionBudget": "kind: PodDisruptionBudge",
		"  maxUnavailable: 1\n":     "  maxUnavailable: 1\n  maxUnavailable: 1\n",
		"          lifecycle:\n":    "      lifecycle:\n",
	} {
		wrong := strings.Replace(right, mistake, with, 1)
		if _, err := decode([]byte(wrong)); err == nil || wrong == right {
			t.Errorf("accepted: %q", with)
		}
	}
	settings := filesys.MakeFsInMemory()
	wrong := []byte("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresorces: []\n")
	if err := settings.WriteFile("kustomization.yaml", wrong); err != nil {
		t.Fatal(err)
	}
	if _, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(settings, "."); err == nil {
		t.Error("accepted: resorces of a kustomization")
	}
}

// Services, budgets, policies and pods name what is there.
func TestManifestsFitTogether(t *testing.T) {
	forEachVariant(t, func(t *testing.T, all []runtime.Object) {
		pods := pods(t, all)
		there := make(map[string]bool)
		for _, o := range all {
			if o, ok := o.(metav1.Object); ok {
				there[typeName(o)+" "+o.GetName()] = true
			}
		}
		// selected checks that a selector finds pods, and that these have ports with the names.
		selected := func(name string, selector *metav1.LabelSelector, ports ...string) {
			found := false
			for _, pod := range pods {
				if !selects(t, selector, pod) {
					continue
				}
				found = true
				for _, port := range ports {
					named := func(p corev1.ContainerPort) bool { return p.Name == port }
					if !slices.ContainsFunc(pod.Spec.Containers[0].Ports, named) {
						t.Errorf("%s: no port %s", name, port)
					}
				}
			}
			if !found {
				t.Errorf("%s selects no pod", name)
			}
		}
		for _, o := range all {
			switch o := o.(type) {
			case *corev1.Service:
				for _, p := range o.Spec.Ports {
					selected(o.Name, &metav1.LabelSelector{MatchLabels: o.Spec.Selector}, p.TargetPort.String())
				}
			case *policyv1.PodDisruptionBudget:
				selected(o.Name, o.Spec.Selector)
			case *networkingv1.NetworkPolicy:
				selected(o.Name, &o.Spec.PodSelector)
				for _, rule := range o.Spec.Ingress {
					for _, p := range rule.Ports {
						selected(o.Name, &o.Spec.PodSelector, p.Port.String())
					}
				}
			case *appsv1.StatefulSet:
				if !there["*v1.Service "+o.Spec.ServiceName] {
					t.Errorf("%s: no service %s", o.Name, o.Spec.ServiceName)
				}
			}
		}
		for name, pod := range pods {
			if account := pod.Spec.ServiceAccountName; account != "" && !there["*v1.ServiceAccount "+account] {
				t.Errorf("%s: no account %s", name, account)
			}
			for _, v := range pod.Spec.Volumes {
				if v.ConfigMap != nil && !there["*v1.ConfigMap "+v.ConfigMap.Name] {
					t.Errorf("%s: no settings %s", name, v.ConfigMap.Name)
				}
			}
		}
	})
}

// Pods have no rights that they do not need, and time to drain.
func TestPodsAreRestricted(t *testing.T) {
	forEachVariant(t, func(t *testing.T, all []runtime.Object) {
		pods := pods(t, all)
		for name, pod := range pods {
			c := pod.Spec.Containers[0]
			for what, ok := range map[string]bool{
				"no root":         is(pod.Spec.SecurityContext.RunAsNonRoot, true),
				"seccomp":         pod.Spec.SecurityContext.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault,
				"no token":        is(pod.Spec.AutomountServiceAccountToken, false),
				"no links":        is(pod.Spec.EnableServiceLinks, false),
				"no escalation":   is(c.SecurityContext.AllowPrivilegeEscalation, false),
				"a fixed root":    is(c.SecurityContext.ReadOnlyRootFilesystem, true),
				"no capabilities": slices.Equal(c.SecurityContext.Capabilities.Drop, []corev1.Capability{"ALL"}),
				"limited memory":  !c.Resources.Limits.Memory().IsZero(),
			} {
				if !ok {
					t.Errorf("%s: not %s", name, what)
				}
			}
		}
		if _, ok := pods["sluice-redis"]; ok {
			return // it has no clients
		}
		for name, pod := range pods {
			if grace := pod.Spec.TerminationGracePeriodSeconds; grace == nil || *grace < 45 {
				t.Errorf("%s: no time to drain", name)
			}
		}
		gateway := pods["sluice-gateway"].Spec.Containers[0]
		for path, probe := range map[string]*corev1.Probe{
			"/livez": gateway.LivenessProbe, "/readyz": gateway.ReadinessProbe,
		} {
			if get := probe.HTTPGet; get == nil || get.Path != path || get.Port.String() != "admin" {
				t.Errorf("%s: %v", path, probe)
			}
		}
		if gateway.Lifecycle == nil || gateway.Lifecycle.PreStop == nil {
			t.Error("no preStop")
		}
	})
}

// The settings in the ConfigMaps are right for the commands of the pods that mount them.
func TestSettingsOfManifests(t *testing.T) {
	bin := proctest.Build(t)
	forEachVariant(t, func(t *testing.T, all []runtime.Object) {
		settings := make(map[string]string)
		for _, o := range all {
			if o, ok := o.(*corev1.ConfigMap); ok {
				settings[o.Name] = o.Data["sluice.yaml"]
			}
		}
		dir := t.TempDir()
		for name, text := range map[string]string{
			"key": "a key of more than sixteen bytes", "token": "a-token-of-this-test",
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for name, pod := range pods(t, all) {
			for _, v := range pod.Spec.Volumes {
				if v.ConfigMap == nil {
					continue
				}
				text := strings.ReplaceAll(settings[v.ConfigMap.Name], "/run/secrets/sluice", dir)
				// What is in the environment is checked as if it were in the file.
				for _, e := range pod.Spec.Containers[0].Env {
					if setting, ok := strings.CutPrefix(e.Name, "SLUICE_"); ok {
						value := strings.ReplaceAll(e.Value, "$(POD_IP)", "10.0.0.5")
						text += fmt.Sprintf("%s: %q\n", strings.ToLower(setting), value)
					}
				}
				path := filepath.Join(dir, name)
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				check := exec.Command(bin, "config", "check", path, pod.Spec.Containers[0].Args[0])
				if out, err := check.CombinedOutput(); err != nil || text == "" {
					t.Errorf("%s: %v\n%s", name, err, out)
				}
			}
		}
	})
}
