package planfile

import (
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// version is the version of the format, the value of apiVersion.
const version = "serin/v1"

// Fields of the file that are no fields of a plan.
const (
	versionField = "apiVersion"
	schemaField  = "$schema" // for editors, as in all JSON files
)

// field is a field of a Go type as it is in files.
type field struct {
	name  string // in files
	field string // in Go
	index int
}

// notInFiles are fields that are functions.
var notInFiles = map[reflect.Type][]string{reflect.TypeFor[analysis.Metric](): {"Of"}}

// required are the fields whose zero values mean something, so that leaving them out would
// be a guess, and those without which the rest makes no sense.
var required = map[reflect.Type][]string{
	reflect.TypeFor[rollout.Plan]():       {"target", "baseline", "candidate"},
	reflect.TypeFor[versioning.Release](): {"version"},
	reflect.TypeFor[rollout.Standing]():   {"check"},
	reflect.TypeFor[rollout.Freeze]():     {"from", "to"},
	reflect.TypeFor[strategies.Stage]():   {"name", "split"},
	reflect.TypeFor[strategies.Split]():   {"arms"},
	reflect.TypeFor[strategies.Arm]():     {"name", "weight"},
	reflect.TypeFor[strategies.Run]():     {"arm", "slots"},
	reflect.TypeFor[strategies.Mirror]():  {"arm", "share"},
	reflect.TypeFor[strategies.RampStep](): {
		"weight", "for"},
	reflect.TypeFor[analysis.Breaker](): {"metric", "above"},
}

var fieldsByType sync.Map // of []field by reflect.Type

// fieldsOf returns the fields of a struct type, in order. Their names in files are the names
// in JSON without the unit, which files give with the value, or else the names in Go.
func fieldsOf(t reflect.Type) []field {
	if known, ok := fieldsByType.Load(t); ok {
		return known.([]field)
	}
	var all []field
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() || slices.Contains(notInFiles[t], f.Name) {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			name = snake(f.Name)
		}
		all = append(all, field{strings.TrimSuffix(name, "_ns"), f.Name, i})
	}
	fieldsByType.Store(t, all)
	return all
}

// snake returns a Go name in lower case with underscores.
func snake(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if unicode.IsUpper(r) && i > 0 && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// names returns the names in files of the fields of a struct type.
func names(t reflect.Type) (all []string) {
	for _, f := range fieldsOf(t) {
		all = append(all, f.name)
	}
	return all
}

// strategyKinds are the strategies that files name, and their types.
var strategyKinds = []struct {
	name string
	typ  reflect.Type
}{
	{"canary", reflect.TypeFor[strategies.Canary]()},
	{"shadow", reflect.TypeFor[strategies.Shadow]()},
	{"bluegreen", reflect.TypeFor[strategies.BlueGreen]()},
	{"ab", reflect.TypeFor[strategies.AB]()},
	{"rolling", reflect.TypeFor[strategies.Rolling]()},
}

// sequence names the strategy whose value is a list of strategies.
const sequence = "sequence"

func strategyNames() []string {
	var all []string
	for _, k := range strategyKinds {
		all = append(all, k.name)
	}
	return append(all, sequence)
}

// readyMetrics are the ready-made metrics by their names in files.
var readyMetrics = []struct {
	name string
	of   func() analysis.Metric
}{
	{"errors", analysis.ErrorRate}, {"timeouts", analysis.Timeouts}, {"truncated", analysis.Truncations},
	{"refusals", analysis.Refusals}, {"empty_output", analysis.EmptyOutputs}, {"invalid_output", analysis.InvalidOutputs},
	{"rejections", analysis.Rejections}, {"unanswered", analysis.Unanswered}, {"unfinished", analysis.Unfinished},
	{"cut_by_length", analysis.LengthCuts}, {"stalls", analysis.Stalls}, {"ttft", analysis.TTFT}, {"itl", analysis.ITL},
	{"tpot", analysis.TPOT}, {"latency", analysis.Latency}, {"tokens_per_second", analysis.TokensPerSecond},
	{"cost", analysis.Cost}, {"input_length", analysis.InputLength}, {"output_length", analysis.OutputLength},
	{"satisfaction", analysis.Satisfaction}, {"stars", analysis.Stars}, {"thumbs_up", analysis.ThumbsUp},
}

// readyMetric returns the ready-made metric with a name in files.
func readyMetric(name string) (analysis.Metric, bool) {
	for _, r := range readyMetrics {
		if r.name == name {
			return r.of(), true
		}
	}
	return analysis.Metric{Name: name}, false
}

// metricFields returns the fields of a metric but its name and its margins. What is measured
// of a ready-made metric is fixed.
func metricFields(own bool) []field {
	return slices.DeleteFunc(slices.Clone(fieldsOf(metricType)), func(f field) bool {
		switch f.field {
		case "Name", "Margin", "Tolerance":
			return true
		case "Kind", "Unit", "Better":
			return !own
		}
		return false
	})
}

// metricName returns the name in files of the metric that a plan calls name.
func metricName(name string) string {
	for _, r := range readyMetrics {
		if r.of().Name == name {
			return r.name
		}
	}
	return name
}

func metricNames() []string {
	all := make([]string, len(readyMetrics))
	for i, r := range readyMetrics {
		all[i] = r.name
	}
	return all
}

// namesMetric are the fields that name a metric of the plan.
var namesMetric = map[reflect.Type]string{
	reflect.TypeFor[rollout.Plan]():     "Goal",
	reflect.TypeFor[analysis.Breaker](): "Metric",
}

// Types whose form in files is their own.
var (
	durationType = reflect.TypeFor[time.Duration]()
	timeType     = reflect.TypeFor[time.Time]()
	weightType   = reflect.TypeFor[strategies.Weight]()
	weightsType  = reflect.TypeFor[[]strategies.Weight]()
	versionType  = reflect.TypeFor[versioning.Version]()
	strategyType = reflect.TypeFor[strategies.Strategy]()
	metricType   = reflect.TypeFor[analysis.Metric]()
	marginType   = reflect.TypeFor[analysis.Margin]()
	runType      = reflect.TypeFor[strategies.Run]()
	planType     = reflect.TypeFor[rollout.Plan]()
)
