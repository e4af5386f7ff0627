package serin_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/serin-go/serin"

// ladder says which packages of this module each package may import, besides
// those below internal/. It is the drawing in ARCHITECTURE.md: an
// edge that is not here must not be in the code.
var ladder = map[string][]string{
	"":                                   {},
	"versioning":                         {},
	"versioning/changelog":               {"versioning"},
	"versioning/gitlog":                  {"versioning/changelog"},
	"versioning/model":                   {"versioning", "versioning/changelog"},
	"versioning/registry":                {"versioning"},
	"versioning/registry/registrytest":   {"versioning", "versioning/registry"},
	"checks":                             {},
	"checks/checkstest":                  {"checks", "checks/external"},
	"checks/analysis":                    {"checks"},
	"checks/analysis/answer":             {"checks/analysis"},
	"checks/anomaly":                     {"checks"},
	"checks/burn":                        {"checks"},
	"checks/external":                    {"checks"},
	"checks/health":                      {"checks"},
	"checks/checklist":                   {"checks"},
	"checks/checklist/packs":             {"checks", "checks/checklist"},
	"checks/people":                      {"checks", "checks/checklist"},
	"checks/drift":                       {"checks", "checks/internal/probing"},
	"checks/internal/probing":            {"checks"},
	"checks/release":                     {"checks", "checks/internal/probing", "versioning", "versioning/changelog", "versioning/model", "versioning/registry"},
	"checks/probe":                       {"checks", "checks/internal/probing", "checks/analysis", "checks/analysis/answer"},
	"checks/satisfaction":                {"checks", "checks/internal/probing"},
	"checks/external/prometheus":         {"checks", "checks/external"},
	"strategies":                         {"checks", "checks/analysis"},
	"strategies/strategytest":            {"strategies", "checks", "checks/analysis"},
	"rollout":                            {"strategies", "checks", "checks/analysis", "versioning"},
	"rollout/access":                     {"rollout", "checks"},
	"rollout/alert":                      {"rollout", "strategies", "checks", "checks/analysis", "checks/anomaly", "checks/burn", "checks/checklist"},
	"rollout/alert/notify":               {"rollout", "rollout/alert", "checks"},
	"rollout/audit":                      {"rollout", "strategies"},
	"rollout/audit/audittest":            {"rollout", "rollout/audit"},
	"rollout/boltstore":                  {"checks", "rollout"},
	"rollout/console":                    {"rollout", "rollout/access", "rollout/alert", "rollout/audit", "rollout/console/api", "rollout/console/client", "rollout/console/internal/guard", "rollout/console/internal/situation", "rollout/ledger", "rollout/planfile", "strategies", "checks", "checks/analysis", "checks/checklist", "checks/health"},
	"rollout/console/api":                {"rollout", "rollout/access", "rollout/alert", "rollout/audit", "rollout/console/client", "rollout/console/internal/guard", "rollout/console/internal/situation", "rollout/ledger", "rollout/planfile", "strategies", "versioning", "checks", "checks/analysis", "checks/checklist", "checks/health"},
	"rollout/console/client":             {"checks"},
	"rollout/console/internal/guard":     {"rollout"},
	"rollout/console/internal/situation": {"rollout", "strategies", "checks/analysis"},
	"rollout/drill":                      {"rollout", "rollout/access", "rollout/alert", "checks", "checks/analysis", "strategies", "rollout/traffic/autoscale"},
	"rollout/envfile":                    {"checks"},
	"rollout/haproxy":                    {"checks", "rollout", "strategies"},
	"rollout/httproute":                  {"checks", "rollout", "strategies"},
	"rollout/ledger":                     {"rollout", "rollout/audit", "checks", "checks/checklist", "strategies"},
	"rollout/memstore":                   {"rollout"},
	"rollout/nginx":                      {"checks", "rollout", "strategies"},
	"rollout/report":                     {"rollout", "strategies", "checks", "checks/analysis"},
	"rollout/planfile":                   {"rollout", "strategies", "checks", "checks/analysis", "versioning"},
	"rollout/privacy":                    {"checks"},
	"rollout/privacy/duties":             {"checks", "rollout/privacy"},
	"rollout/privacy/tuning":             {"checks", "rollout/privacy"},
	"rollout/registrystore":              {"rollout", "strategies", "checks", "versioning", "versioning/registry"},
	"rollout/rollouttest":                {"rollout", "rollout/memstore", "strategies", "checks", "checks/analysis", "versioning"},
	"rollout/rolloutotel":                {"rollout", "strategies", "checks/analysis"},
	"rollout/sealedstore":                {"rollout", "rollout/privacy", "checks"},
	"rollout/storetest":                  {"rollout"},
	"rollout/storetest/proctest":         {"rollout", "strategies", "checks/analysis", "versioning"},
	"rollout/traffic":                    {"checks", "strategies", "checks/analysis", "checks/analysis/answer", "rollout/traffic/internal/relay"},
	"rollout/traffic/internal/relay":     {},
	"rollout/traffic/autoscale":          {"checks", "strategies", "rollout/traffic/replicas"},
	"rollout/traffic/apikeys":            {"checks", "checks/analysis"},
	"rollout/traffic/cache":              {"checks", "rollout/traffic", "checks/analysis", "checks/analysis/answer"},
	"rollout/traffic/cost":               {"rollout/traffic", "checks", "checks/analysis"},
	"rollout/traffic/replicas":           {"checks"},
	"rollout/traffic/sticky":             {"checks", "rollout/traffic"},
	"rollout/traffic/internal/metrics":   {"rollout/traffic", "checks/analysis", "strategies"},
	"rollout/traffic/trafficprom":        {"checks", "rollout/traffic", "rollout/traffic/internal/metrics"},
	"rollout/traffic/traffictest":        {"rollout/traffic"},
	"loadtest":                           {"checks", "checks/analysis", "checks/analysis/answer", "loadtest/pace", "loadtest/workload"},
	"loadtest/pace":                      {"checks"},
	"loadtest/workload":                  {"checks", "checks/analysis/answer", "loadtest/pace"},
	"loadtest/compat":                    {"checks", "checks/analysis", "checks/analysis/answer", "loadtest"},
	"loadtest/plantest":                  {"loadtest/pace", "loadtest/workload"},
	"loadtest/modeltest":                 {"checks"},
	"loadtest/cluster":                   {"checks", "checks/analysis", "loadtest", "loadtest/pace"},
	"loadtest/cluster/clustertest":       {"loadtest", "loadtest/cluster", "loadtest/modeltest", "loadtest/pace", "loadtest/workload"},
	"loadtest/loadprom":                  {"loadtest"},
	"loadtest/loadotel":                  {"checks", "checks/analysis", "loadtest"},
}

// What vegeta and the API of OpenTelemetry bring with them.
var (
	vegeta = []string{"github.com/tsenart/vegeta/v12",
		"github.com/influxdata/tdigest", "github.com/josharian/intern", "github.com/mailru/easyjson", "github.com/rs/dnscache",
		"golang.org/x/net", "golang.org/x/text", "golang.org/x/sync"}
	otel = []string{"go.opentelemetry.io/otel", "go.opentelemetry.io/otel/metric", "go.opentelemetry.io/otel/trace", "go.opentelemetry.io/auto/sdk",
		"github.com/cespare/xxhash/v2", "github.com/go-logr/logr", "github.com/go-logr/stdr"}
	xxhash = []string{"github.com/cespare/xxhash/v2"}
)

// foreign says which other modules each package may link, whoever of its
// imports brings them in. Only the standard library and these.
var foreign = map[string][]string{
	"checks/release":              {"github.com/yuin/goldmark"},
	"rollout/audit":               {"golang.org/x/mod"},
	"rollout/console":             {"golang.org/x/mod", "go.yaml.in/yaml/v3"},
	"rollout/console/api":         {"golang.org/x/mod", "go.yaml.in/yaml/v3"},
	"rollout/ledger":              {"golang.org/x/mod"},
	"rollout/boltstore":           {"go.etcd.io/bbolt", "golang.org/x/sys"},
	"rollout/drill":               xxhash,
	"rollout/planfile":            {"go.yaml.in/yaml/v3"},
	"rollout/rolloutotel":         otel,
	"rollout/storetest":           {"github.com/google/go-cmp", "github.com/anishathalye/porcupine"},
	"rollout/traffic":             xxhash,
	"rollout/traffic/cache":       append(slices.Clone(xxhash), "github.com/maypok86/otter/v2"),
	"rollout/traffic/cost":        xxhash,
	"rollout/traffic/replicas":    xxhash,
	"rollout/traffic/autoscale":   xxhash,
	"rollout/traffic/sticky":      append(slices.Clone(xxhash), "github.com/maypok86/otter/v2"),
	"rollout/traffic/trafficprom": xxhash,

	"loadtest":          vegeta,
	"loadtest/cluster":  vegeta,
	"loadtest/compat":   vegeta,
	"loadtest/loadprom": vegeta,
	"loadtest/loadotel": slices.Concat(vegeta, otel),
}

// standardOnly are the packages that link the standard library and nothing else.
var standardOnly = []string{"", "versioning", "versioning/changelog", "versioning/gitlog", "versioning/model", "versioning/registry", "checks", "checks/analysis", "checks/analysis/answer", "checks/anomaly", "checks/burn", "checks/external", "checks/external/prometheus", "checks/health", "checks/probe", "checks/checklist", "checks/checklist/packs", "checks/people", "checks/drift", "checks/satisfaction", "strategies", "rollout", "rollout/access", "rollout/alert", "rollout/alert/notify", "rollout/console/client", "rollout/memstore", "rollout/privacy", "rollout/privacy/duties", "rollout/privacy/tuning", "rollout/report", "rollout/sealedstore", "loadtest/pace", "loadtest/workload", "loadtest/modeltest"}

func list(t *testing.T, args ...string) []string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list %s: %v", strings.Join(args, " "), err)
	}
	lines := strings.Fields(string(out))
	slices.Sort(lines)
	return slices.Compact(lines)
}

func within(pkg string) string { return strings.TrimPrefix(strings.TrimPrefix(pkg, module), "/") }

func TestImportLadder(t *testing.T) {
	for _, line := range list(t, "-f", "{{.ImportPath}}={{join .Imports \",\"}}", "./...") {
		pkg, imports, _ := strings.Cut(line, "=")
		from := within(pkg)
		allowed, drawn := ladder[from]
		internal := strings.HasPrefix(from, "internal/")
		if !drawn && !internal && from != "internal" && from != "examples" && !strings.HasPrefix(from, "examples/") {
			t.Errorf("package %s is not on the ladder; draw it here and in ARCHITECTURE.md", from)
		}
		for imported := range strings.SplitSeq(imports, ",") {
			to := within(imported)
			switch {
			case to == imported, strings.HasPrefix(to, "internal/"), strings.HasPrefix(from, "examples/"):
			case internal:
				t.Errorf("%s imports %s; internal packages import no others but internal ones", from, to)
			case !slices.Contains(allowed, to):
				t.Errorf("%s imports %s, which the ladder does not allow", from, to)
			}
			if imported == "testing" && !strings.HasSuffix(from, "test") {
				t.Errorf("%s imports testing outside a test; every importer would link it", from)
			}
		}
	}
}

func TestForeignModules(t *testing.T) {
	for _, pkg := range standardOnly {
		foreign[pkg] = nil
	}
	for pkg, allowed := range foreign {
		for _, mod := range list(t, "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "./"+pkg) {
			if mod != module && !slices.Contains(allowed, mod) {
				t.Errorf("%s links %s, which is not on its list", pkg, mod)
			}
		}
	}
}
