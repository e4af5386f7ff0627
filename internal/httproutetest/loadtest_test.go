package httproutetest

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
)

const loadtestDir = "../../examples/loadtest"

// TestLoadtestManifest: the jobs' names, labels, ports and files fit each other, nothing
// runs as root, and the command accepts their arguments.
func TestLoadtestManifest(t *testing.T) {
	jobs := make(map[string]*batch.Job)
	var service core.Service
	var policy networking.NetworkPolicy
	readObjects(t, filepath.Join(loadtestDir, "kubernetes.yaml"), func(kind, name string) any {
		switch kind {
		case "batch/v1 Job":
			jobs[name] = new(batch.Job)
			return jobs[name]
		case "v1 Service":
			return &service
		case "networking.k8s.io/v1 NetworkPolicy":
			return &policy
		}
		return nil
	})
	command := filepath.Join(t.TempDir(), "loadtest")
	build := exec.Command("go", "build", "-o", command, "./examples/loadtest")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	args := make(map[string]map[string]string) // flags by job
	for name, job := range jobs {
		pod := job.Spec.Template.Spec
		c := pod.Containers[0]
		args[name] = make(map[string]string)
		for _, arg := range c.Args[1:] {
			flag, value, found := strings.Cut(strings.TrimPrefix(arg, "-"), "=")
			if !found || !strings.HasPrefix(arg, "-") {
				t.Errorf("%s: argument %q, want -flag=value", name, arg)
			}
			args[name][flag] = value
		}
		help, err := exec.Command(command, c.Args[0], "-help").CombinedOutput()
		if err != nil {
			t.Errorf("%s -help: %v\n%s", c.Args[0], err, help)
		}
		for flag := range args[name] {
			if !regexp.MustCompile(`(?m)^  -` + flag + `\b`).Match(help) {
				t.Errorf("%s has no flag -%s", c.Args[0], flag)
			}
		}
		volume := pod.Volumes[0]
		mount := c.VolumeMounts[0]
		if volume.Name != mount.Name || volume.Secret.SecretName != name || !mount.ReadOnly {
			t.Errorf("%s mounts %+v of %+v", name, mount, volume)
		}
		for flag, file := range map[string]string{"cert": "tls.crt", "key": "tls.key", "ca": "ca.crt"} {
			if args[name][flag] != mount.MountPath+"/"+file {
				t.Errorf("%s: -%s is %q", name, flag, args[name][flag])
			}
		}
		s, in := pod.SecurityContext, c.SecurityContext
		if !*s.RunAsNonRoot || *s.RunAsUser == 0 || s.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault || *in.AllowPrivilegeEscalation ||
			!*in.ReadOnlyRootFilesystem || !slices.Equal(in.Capabilities.Drop, []core.Capability{"ALL"}) || *pod.AutomountServiceAccountToken {
			t.Errorf("%s: %+v, %+v", name, s, in)
		}
		if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() || !c.Resources.Limits.Cpu().IsZero() {
			t.Errorf("%s: resources %+v", name, c.Resources)
		}
	}
	coordinator, worker := jobs["loadtest-coordinator"], jobs["loadtest-worker"]
	if coordinator == nil || worker == nil {
		t.Fatalf("jobs %v", jobs)
	}
	port := coordinator.Spec.Template.Spec.Containers[0].Ports[0]
	if args["loadtest-coordinator"]["listen-workers"] != fmt.Sprintf(":%d", port.ContainerPort) || service.Spec.Ports[0].TargetPort.StrVal != port.Name || policy.Spec.Ingress[0].Ports[0].Port.StrVal != port.Name {
		t.Errorf("port %+v, service %+v, policy %+v", port, service.Spec.Ports, policy.Spec.Ingress)
	}
	if join := args["loadtest-worker"]["join"]; join != fmt.Sprintf("https://%s:%d", service.Name, service.Spec.Ports[0].Port) {
		t.Errorf("workers join %s", join)
	}
	if names := args["loadtest-coordinator"]["worker-names"]; names != worker.Name {
		t.Errorf("workers named %s", names)
	}
	of := worker.Spec
	if *of.CompletionMode != batch.IndexedCompletion || *of.Completions != *of.Parallelism || args["loadtest-coordinator"]["workers-min"] != fmt.Sprint(*of.Completions) {
		t.Errorf("%v, %d completions, %d at a time", *of.CompletionMode, *of.Completions, *of.Parallelism)
	}
	labels := fmt.Sprint(coordinator.Spec.Template.Labels)
	if fmt.Sprint(service.Spec.Selector) != labels || fmt.Sprint(policy.Spec.PodSelector.MatchLabels) != labels ||
		fmt.Sprint(policy.Spec.Ingress[0].From[0].PodSelector.MatchLabels) != fmt.Sprint(of.Template.Labels) {
		t.Error("a selector does not match the pods")
	}
	grace, err := time.ParseDuration(args["loadtest-worker"]["grace"])
	if left := time.Duration(*of.Template.Spec.TerminationGracePeriodSeconds) * time.Second; err != nil || left < grace+10*time.Second {
		t.Errorf("%v to end, of which -grace is %v, %v", left, grace, err)
	}
	deadline, err := time.ParseDuration(args["loadtest-coordinator"]["duration"])
	if least := time.Duration(*of.ActiveDeadlineSeconds) * time.Second; err != nil || least < 2*deadline {
		t.Errorf("a deadline of %v for a run of %v", least, deadline)
	}
	dry := exec.Command(command, append(slices.Clone(coordinator.Spec.Template.Spec.Containers[0].Args), "-dry-run")...)
	if out, err := dry.CombinedOutput(); err != nil || !strings.Contains(string(out), "Threshold: ttft p95 <= 400ms") {
		t.Errorf("-dry-run: %v\n%s", err, out)
	}
}
