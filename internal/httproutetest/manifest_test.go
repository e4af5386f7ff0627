package httproutetest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8syaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

const gatewayDir = "../../examples/gateway"

// manifest holds the objects of the gateway's manifest.
type manifest struct {
	config   core.ConfigMap
	set      apps.StatefulSet
	services map[string]core.Service
	policy   networking.NetworkPolicy
}

// readObjects reads each document of a file strictly into the object for its kind and
// name: an unknown or repeated field is an error.
func readObjects(t *testing.T, file string, object func(kind, name string) any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for documents := k8syaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text))); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		var head metav1.PartialObjectMetadata
		if err := yaml.Unmarshal(document, &head); err != nil {
			t.Fatal(err)
		}
		into := object(head.APIVersion+" "+head.Kind, head.Name)
		if into == nil {
			t.Fatalf("a document has the kind %+v", head.TypeMeta)
		}
		if err := yaml.UnmarshalStrict(document, into); err != nil {
			t.Errorf("%s %s: %v", head.Kind, head.Name, err)
		}
	}
}

// readManifest reads the gateway's manifest.
func readManifest(t *testing.T) (m manifest) {
	t.Helper()
	services := make(map[string]*core.Service)
	readObjects(t, filepath.Join(gatewayDir, "kubernetes.yaml"), func(kind, name string) any {
		switch kind {
		case "v1 ConfigMap":
			return &m.config
		case "apps/v1 StatefulSet":
			return &m.set
		case "v1 Service":
			services[name] = new(core.Service)
			return services[name]
		case "networking.k8s.io/v1 NetworkPolicy":
			return &m.policy
		}
		return nil
	})
	m.services = make(map[string]core.Service)
	for name, s := range services {
		m.services[name] = *s
	}
	return m
}

// TestManifestFits: the names of ports, volumes, labels and files in the manifest fit each
// other, and the private port is open to the policy's namespaces alone.
func TestManifestFits(t *testing.T) {
	m := readManifest(t)
	pod := m.set.Spec.Template
	c := pod.Spec.Containers[0]
	ports, volumes := map[string]int32{}, map[string]bool{}
	for _, p := range c.Ports {
		ports[p.Name] = p.ContainerPort
	}
	for _, v := range pod.Spec.Volumes {
		volumes[v.Name] = true
	}
	for _, v := range m.set.Spec.VolumeClaimTemplates {
		volumes[v.Name] = true
	}
	for _, v := range c.VolumeMounts {
		if !volumes[v.Name] {
			t.Errorf("no volume %q", v.Name)
		}
	}
	for path, probe := range map[string]*core.Probe{"/startupz": c.StartupProbe, "/readyz": c.ReadinessProbe, "/livez": c.LivenessProbe} {
		if get := probe.HTTPGet; get.Path != path || ports[get.Port.StrVal] == 0 {
			t.Errorf("the probe of %s: %+v", path, get)
		}
	}
	if len(m.services) != 2 || m.services[m.set.Spec.ServiceName].Name == "" {
		t.Errorf("services %v, the set's is %q", m.services, m.set.Spec.ServiceName)
	}
	labels := fmt.Sprint(pod.Labels)
	for name, s := range m.services {
		if ports[s.Spec.Ports[0].TargetPort.StrVal] == 0 || fmt.Sprint(s.Spec.Selector) != labels {
			t.Errorf("service %s: %+v", name, s.Spec)
		}
	}
	if fmt.Sprint(m.set.Spec.Selector.MatchLabels) != labels || fmt.Sprint(m.policy.Spec.PodSelector.MatchLabels) != labels {
		t.Error("a selector does not match the pods")
	}
	for _, rule := range m.policy.Spec.Ingress {
		for _, p := range rule.Ports {
			if p.Port.StrVal == "admin" && len(rule.From) == 0 || ports[p.Port.StrVal] == 0 {
				t.Errorf("the policy opens %v to %v", p.Port, rule.From)
			}
		}
	}
	if scraped := pod.Annotations["prometheus.io/port"]; scraped != fmt.Sprint(ports["admin"]) {
		t.Errorf("port %s is scraped", scraped)
	}
}

// TestManifestConfigures: the gateway accepts its configuration, and is given the time
// that it needs to end.
func TestManifestConfigures(t *testing.T) {
	m := readManifest(t)
	dir := t.TempDir()
	files := map[string]string{"keys.json": "{}"}
	for name, text := range m.config.Data {
		files[name] = text
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "run", ".", "-config", filepath.Join(dir, "gateway.json"), "-check")
	cmd.Dir = gatewayDir
	cmd.Env = append(os.Environ(), "GATEWAY_KEYS="+filepath.Join(dir, "keys.json"), "GATEWAY_PRICES="+filepath.Join(dir, "prices.json"))
	for _, e := range m.set.Spec.Template.Spec.Containers[0].Env {
		cmd.Env = append(cmd.Env, e.Name+"=x")
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	found := regexp.MustCompile(`terminationGracePeriodSeconds: more than (\d+)`).FindSubmatch(out)
	if found == nil {
		t.Fatalf("no time to end:\n%s", out)
	}
	least, err := strconv.ParseInt(string(found[1]), 10, 64)
	if grace := *m.set.Spec.Template.Spec.TerminationGracePeriodSeconds; err != nil || grace <= least {
		t.Errorf("terminationGracePeriodSeconds is %d, want more than %d", grace, least)
	}
	if bytes.Contains(out, []byte("StableKey:x")) {
		t.Error("a key is printed")
	}
}
