package probe_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checkstest"
	"github.com/serin-go/serin/checks/probe"
)

// smi is a source that returns an output of nvidia-smi.
func smi(out string, err error) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) { return []byte(out), err }
}

func TestGPUQuery(t *testing.T) {
	const two = "0, 40000, 80000, 30, 60\n1, 72000, 80000, 100, 70\n"
	failing := errors.New("driver not loaded")
	for _, test := range []struct {
		name    string
		options probe.GPUOptions
		status  checks.Status
	}{
		{"two GPUs", probe.GPUOptions{Query: smi(two, nil), Count: 2, MaxMemory: 0.9, MaxUtilisation: 1, MaxTemperature: 70}, checks.Pass},
		{"memory", probe.GPUOptions{Query: smi(two, nil), MaxMemory: 0.89}, checks.Fail},
		{"utilisation", probe.GPUOptions{Query: smi(two, nil), MaxUtilisation: 0.99}, checks.Fail},
		{"temperature", probe.GPUOptions{Query: smi(two, nil), MaxTemperature: 69}, checks.Fail},
		{"one GPU is gone", probe.GPUOptions{Query: smi(two, nil), Count: 3}, checks.Fail},
		{"no GPU", probe.GPUOptions{Query: smi("", nil)}, checks.Unknown},
		{"no GPU, as text", probe.GPUOptions{Query: smi("No devices were found\n", nil)}, checks.Unknown},
		{"an error", probe.GPUOptions{Query: smi(two, failing)}, checks.Unknown},
		{"not supported", probe.GPUOptions{Query: smi("0, [N/A], [N/A], [Not Supported], 50\n", nil), MaxTemperature: 60}, checks.Pass},
		{"a limit of what is not supported", probe.GPUOptions{Query: smi("0, [N/A], [N/A], 10, 50\n", nil), MaxMemory: 0.9}, checks.Unknown},
		{"a GPU that is lost", probe.GPUOptions{Query: smi("0, [GPU is lost], [GPU is lost], [GPU is lost], [GPU is lost]\n", nil)}, checks.Fail},
		{"no memory at all", probe.GPUOptions{Query: smi("0, 0, 0, 10, 50\n", nil), MaxMemory: 0.9}, checks.Unknown},
		{"another format", probe.GPUOptions{Query: smi("0, 40000 MiB, 80000 MiB, 30 %, 60\n", nil)}, checks.Unknown},
		{"another index", probe.GPUOptions{Query: smi("index, 1, 2, 3, 4\n", nil)}, checks.Unknown},
		{"other columns", probe.GPUOptions{Query: smi("0, 40000, 80000, 30\n", nil)}, checks.Unknown},
		{"negative", probe.GPUOptions{Query: smi("0, -1, 80000, 30, 60\n", nil)}, checks.Unknown},
		{"NaN", probe.GPUOptions{Query: smi("0, NaN, 80000, 30, 60\n", nil)}, checks.Unknown},
		{"too long", probe.GPUOptions{Query: smi(strings.Repeat(two, 1<<16), nil)}, checks.Unknown},
	} {
		r := probe.GPU(test.options).Check(t.Context())
		if r.Status != test.status || r.Status == checks.Unknown && r.Err == nil {
			t.Errorf("%s: %v, want %v: %s %v", test.name, r.Status, test.status, r.Summary, r.Err)
		}
	}
	r := probe.GPU(probe.GPUOptions{Query: smi(two, nil)}).Check(t.Context())
	if r.Evidence["gpus"] != "2" || r.Evidence["GPU 1"] != "memory 90 %, utilisation 100 %, temperature 70 °C" {
		t.Errorf("evidence: %q", r.Evidence)
	}
	if r := probe.GPU(probe.GPUOptions{Query: smi("", failing)}).Check(t.Context()); !errors.Is(r.Err, failing) {
		t.Errorf("%v, want the error of the query", r.Err)
	}
	checkstest.Exercise(t, func(*testing.T) checks.Check { return probe.GPU(probe.GPUOptions{Query: smi(two, nil)}) })
}

// Without a Query, nvidia-smi is run: here a script in its place.
func TestGPUCommand(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	want(t, probe.GPU(probe.GPUOptions{}), checks.Unknown) // no such program
	script := func(text string) {
		t.Helper()
		file := filepath.Join(dir, "nvidia-smi.new")
		if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file, filepath.Join(dir, "nvidia-smi")); err != nil {
			t.Fatal(err)
		}
	}
	script(`[ "$*" = "` + probe.GPUQuery + `" ] && echo "0, 40000, 80000, 30, 60"`)
	want(t, probe.GPU(probe.GPUOptions{}), checks.Pass)
	script("echo 'No devices were found'; exit 6")
	want(t, probe.GPU(probe.GPUOptions{}), checks.Unknown)
	script("while :; do echo '0, 40000, 80000, 30, 60'; done")
	want(t, probe.GPU(probe.GPUOptions{}), checks.Unknown)
}

const dcgmPage = `# HELP DCGM_FI_DEV_GPU_TEMP GPU temperature (in C).
# TYPE DCGM_FI_DEV_GPU_TEMP gauge
DCGM_FI_DEV_GPU_TEMP{gpu="0",UUID="GPU-a",device="nvidia0",Hostname="n1"} 60
DCGM_FI_DEV_GPU_TEMP{gpu="1",UUID="GPU-b",device="nvidia1",Hostname="n1"} 70
# TYPE DCGM_FI_DEV_GPU_UTIL gauge
DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-a",Hostname="n1",pod="x"} 30
DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-a",Hostname="n1",pod="y"} 30
DCGM_FI_DEV_GPU_UTIL{gpu="1",UUID="GPU-b",Hostname="n1"} 100
# TYPE DCGM_FI_DEV_FB_USED gauge
DCGM_FI_DEV_FB_USED{gpu="0",UUID="GPU-a",Hostname="n1"} 40000
DCGM_FI_DEV_FB_USED{gpu="1",UUID="GPU-b",Hostname="n1"} 72000
# TYPE DCGM_FI_DEV_FB_FREE gauge
DCGM_FI_DEV_FB_FREE{gpu="0",UUID="GPU-a",Hostname="n1"} 40000
DCGM_FI_DEV_FB_FREE{gpu="1",UUID="GPU-b",Hostname="n1"} 8000
`

func TestGPUExporter(t *testing.T) {
	const xid = "# TYPE DCGM_FI_DEV_XID_ERRORS gauge\nDCGM_FI_DEV_XID_ERRORS{gpu=\"0\",Hostname=\"n1\"} 0\nDCGM_FI_DEV_XID_ERRORS{gpu=\"1\",Hostname=\"n1\"} "
	url := metricsPages(t, map[string]string{
		"/metrics": dcgmPage, "/well": dcgmPage + xid + "0\n", "/13": dcgmPage + xid + "13\n", "/79": dcgmPage + xid + "79\n",
		"/none": "up 1\nDCGM_FI_DRIVER_VERSION 1\n", "/cut": dcgmPage + "DCGM_FI_DEV_GPU_TEMP",
		"/blank": "DCGM_FI_DEV_FB_USED{gpu=\"0\"} 70000\nDCGM_FI_DEV_FB_FREE{gpu=\"0\"} 2147483632\n",
		"/mig":   "DCGM_FI_DEV_FB_USED{gpu=\"0\",GPU_I_ID=\"1\"} 1\nDCGM_FI_DEV_FB_USED{gpu=\"0\",GPU_I_ID=\"2\"} 1\n",
	})
	for _, test := range []struct {
		name, path string
		options    probe.GPUOptions
		status     checks.Status
	}{
		{"without XID errors", "/metrics", probe.GPUOptions{Count: 2, MaxMemory: 0.9, MaxUtilisation: 1, MaxTemperature: 70}, checks.Pass},
		{"with XID 0", "/well", probe.GPUOptions{}, checks.Pass},
		{"memory", "/metrics", probe.GPUOptions{MaxMemory: 0.89}, checks.Fail},
		{"temperature", "/metrics", probe.GPUOptions{MaxTemperature: 69}, checks.Fail},
		{"an XID error", "/79", probe.GPUOptions{AllowXID: []int{13, 31}}, checks.Fail},
		{"an XID error that is allowed", "/13", probe.GPUOptions{AllowXID: []int{13, 31}}, checks.Pass},
		{"an XID error that is not allowed", "/13", probe.GPUOptions{}, checks.Fail},
		{"partitions of a GPU", "/mig", probe.GPUOptions{Count: 2}, checks.Pass},
		{"a value that is blank", "/blank", probe.GPUOptions{MaxMemory: 0.9}, checks.Unknown},
		{"a value that is missing", "/mig", probe.GPUOptions{MaxTemperature: 60}, checks.Unknown},
		{"no GPU", "/none", probe.GPUOptions{}, checks.Unknown},
		{"a page that is cut", "/cut", probe.GPUOptions{}, checks.Unknown},
		{"no page", "/other", probe.GPUOptions{}, checks.Unknown},
	} {
		test.options.URL = url + test.path
		r := probe.GPU(test.options).Check(t.Context())
		if r.Status != test.status || r.Status == checks.Unknown && r.Err == nil {
			t.Errorf("%s: %v, want %v: %s %v", test.name, r.Status, test.status, r.Summary, r.Err)
		}
	}
	r := probe.GPU(probe.GPUOptions{URL: url + "/79"}).Check(t.Context())
	if r.Evidence["GPU 1 n1"] != "memory 90 %, utilisation 100 %, temperature 70 °C, XID 79" {
		t.Errorf("evidence: %q", r.Evidence)
	}
}

func TestGPUInvalid(t *testing.T) {
	got := fields(t, probe.GPU(probe.GPUOptions{URL: "host", Query: smi("", nil), Count: -1, MaxMemory: 90, MaxUtilisation: -1, MaxTemperature: -1, MaxTime: -1}))
	for i := range got {
		got[i] = strings.TrimPrefix(got[i], "GPUOptions.")
	}
	if want := []string{"URL", "Query", "Count", "MaxMemory", "MaxUtilisation", "MaxTemperature", "MaxTime"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
