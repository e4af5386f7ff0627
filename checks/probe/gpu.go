package probe

import (
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/internal/probing"
	"github.com/serin-go/serin/internal/exposition"
)

// GPUOptions configures [GPU]. The zero value asks nvidia-smi on this machine for at least
// one GPU.
type GPUOptions struct {
	// URL is the metrics page of a DCGM exporter, "http://10.0.0.7:9400/metrics", of which 16
	// MiB are read. Default: Query is used.
	URL string
	// Query returns what nvidia-smi prints with the arguments of [GPUQuery], of which 1 MiB
	// is read. Default: nvidia-smi is run on this machine.
	Query func(ctx context.Context) ([]byte, error)
	// Count is the least number of GPUs. Default 1.
	Count int
	// MaxMemory and MaxUtilisation limit the shares of the memory and of the time in use of
	// each GPU, from 0 to 1. Default: no limits. A single request uses all of a GPU.
	MaxMemory, MaxUtilisation float64
	// MaxTemperature limits the temperature of each GPU in °C. Default: no limit.
	MaxTemperature float64
	// AllowXID are XID errors that pass, such as 13, 31 and 43, which applications cause.
	AllowXID []int
	// Header is added to the request to URL, such as Authorization.
	Header http.Header
	// MaxTime is the time limit. Default 10 s.
	MaxTime time.Duration
	// Client sends the request to URL. Default: a client that keeps no connections.
	Client *http.Client
}

// GPUQuery are the arguments of nvidia-smi whose output [GPUOptions].Query returns. Memory is
// in MiB, utilisation in percent, temperature in °C.
const GPUQuery = "--query-gpu=index,memory.used,memory.total,utilization.gpu,temperature.gpu --format=csv,noheader,nounits"

// GPU returns a check that GPUs are there, within limits, and without XID errors. No GPU at
// all is Unknown; fewer than Count is a Fail. A value with a limit that a GPU does not report
// is Unknown. XID errors are known only from the DCGM exporter: it reports the last one since
// its own start, and in some versions nothing before the first. The default metrics of the
// exporter suffice. Evidence: gpus, and for each GPU its memory, utilisation, temperature and
// XID.
func GPU(o GPUOptions) checks.Check {
	bad := &invalid{options: "GPUOptions"}
	u := new(url.URL)
	if o.URL != "" {
		u = bad.url("URL", o.URL, "https", "http")
	}
	if o.URL != "" && o.Query != nil {
		bad.add("Query", "a function", "nil, since URL is set")
	}
	if o.Count < 0 {
		bad.add("Count", o.Count, "a positive number, or 0 for 1")
	}
	for _, limit := range []struct {
		field       string
		value, most float64
		want        string
	}{
		{"MaxMemory", o.MaxMemory, 1, "a share from 0 to 1"}, {"MaxUtilisation", o.MaxUtilisation, 1, "a share from 0 to 1"},
		{"MaxTemperature", o.MaxTemperature, 200, "a temperature in °C, or 0 for no limit"},
	} {
		if !(limit.value >= 0 && limit.value <= limit.most) {
			bad.add(limit.field, limit.value, limit.want)
		}
	}
	bad.positive("MaxTime", o.MaxTime)
	o.Count = cmp.Or(o.Count, 1)
	o.AllowXID, o.Header = slices.Clone(o.AllowXID), o.Header.Clone()
	requirements := []any{shown(u), o.Count, o.MaxMemory, o.MaxUtilisation, o.MaxTemperature, o.AllowXID, o.MaxTime}
	if bad.err() != nil {
		requirements = nil
	}
	c := client(o.Client)
	return probing.New("gpu", o.MaxTime, requirements, bad.err(), func(ctx context.Context) checks.Result {
		if o.URL == "" {
			return o.query(ctx)
		}
		body, contentType, end := page(ctx, c, u, o.Header)
		if end != nil {
			return *end
		}
		gpus, names, err := dcgm(body, contentType)
		if err != nil {
			return checks.Result{Summary: shown(u) + ": not a metrics page", Err: err}
		}
		f := &findings{evidence: make(map[string]string)}
		if len(gpus) == 0 {
			f.similar(dcgmUsed, names)
		}
		return o.judge(shown(u), gpus, f)
	})
}

// query asks nvidia-smi.
func (o *GPUOptions) query(ctx context.Context) checks.Result {
	const what = "nvidia-smi"
	ask := o.Query
	if ask == nil {
		ask = smi
	}
	out, err := ask(ctx)
	if err == nil && len(out) > maxBody {
		err = errLong
	}
	if ctx.Err() != nil {
		return failed(ctx, what, ctx.Err())
	}
	if err != nil {
		return checks.Result{Summary: what + ": not looked at", Err: err}
	}
	gpus, err := parseSMI(out)
	if err != nil {
		return checks.Result{Summary: what + ": the output cannot be read", Err: err}
	}
	return o.judge(what, gpus, &findings{evidence: make(map[string]string)})
}

// smi runs nvidia-smi.
func smi(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	cmd := exec.CommandContext(ctx, "nvidia-smi", strings.Fields(GPUQuery)...)
	out := &output{long: func() { cancel(errLong) }}
	cmd.Stdout = out
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if context.Cause(ctx) == errLong {
		err = errLong
	}
	return out.text, err
}

// output holds up to 1 MiB, and calls long when there is more.
type output struct {
	text []byte
	long func()
}

func (o *output) Write(p []byte) (int, error) {
	if len(o.text)+len(p) > maxBody {
		o.long()
		return 0, errLong
	}
	o.text = append(o.text, p...)
	return len(p), nil
}

// gpu is what one GPU reports. What it does not report is NaN.
type gpu struct {
	name, broken      string
	used, free, total float64   // memory in MiB; free or total may be missing
	busy, temperature float64   // in percent and °C
	xids              []float64 // the last XID of each series
}

// memory is the share in use.
func (g *gpu) memory() float64 {
	total := g.total
	if math.IsNaN(total) {
		total = g.used + g.free
	}
	if !(total > 0) {
		return math.NaN()
	}
	return g.used / total
}

func (o *GPUOptions) judge(what string, gpus []*gpu, f *findings) checks.Result {
	f.evidence["gpus"] = strconv.Itoa(len(gpus))
	if len(gpus) == 0 {
		f.unknown(errors.New("no GPU was found"))
		return f.result(what, "")
	}
	if len(gpus) < o.Count {
		f.fail("%d GPUs, want at least %d", len(gpus), o.Count)
	}
	for _, g := range gpus {
		var report []string
		if g.broken != "" {
			f.fail("%s: %s", g.name, g.broken)
		}
		for _, v := range []struct {
			name         string
			value, limit float64
			unit         string
		}{
			{"memory", 100 * g.memory(), 100 * o.MaxMemory, "%"},
			{"utilisation", g.busy, 100 * o.MaxUtilisation, "%"},
			{"temperature", g.temperature, o.MaxTemperature, "°C"},
		} {
			have := v.name + " " + strconv.FormatFloat(v.value, 'g', 4, 64) + " " + v.unit
			if !math.IsNaN(v.value) {
				report = append(report, have)
			}
			switch {
			case v.limit == 0:
			case math.IsNaN(v.value):
				f.unknown(&missingError{v.name + " of " + g.name})
			case v.value > v.limit+1e-9:
				f.fail("%s has %s, want at most %s %s", g.name, have, number(v.limit), v.unit)
			}
		}
		if len(report) == 0 && math.IsNaN(g.used) && g.broken == "" {
			f.unknown(fmt.Errorf("%s reports nothing", g.name))
		}
		for _, xid := range g.xids {
			report = append(report, "XID "+number(xid))
			if xid != 0 && !slices.ContainsFunc(o.AllowXID, func(x int) bool { return float64(x) == xid }) {
				f.fail("%s has XID error %s", g.name, number(xid))
			}
		}
		f.evidence[g.name] = strings.Join(report, ", ")
	}
	return f.result(what, fmt.Sprintf("%d GPUs within limits", len(gpus)))
}

// parseSMI parses the output of nvidia-smi. A value in brackets is one that a GPU does not
// support, or an error.
func parseSMI(out []byte) ([]*gpu, error) {
	r := csv.NewReader(bytes.NewReader(out))
	r.TrimLeadingSpace, r.FieldsPerRecord, r.ReuseRecord = true, 5, true
	var gpus []*gpu
	for {
		fields, err := r.Read()
		if err == io.EOF {
			return gpus, nil
		}
		if err != nil {
			if strings.HasPrefix(string(out), "No devices were found") {
				return nil, nil
			}
			return nil, err
		}
		g := &gpu{name: "GPU " + fields[0], free: math.NaN()}
		if slices.ContainsFunc(gpus, func(o *gpu) bool { return o.name == g.name }) {
			return nil, fmt.Errorf("%.40s occurs twice", g.name)
		}
		if _, err := strconv.ParseUint(fields[0], 10, 16); err != nil {
			return nil, fmt.Errorf("the index is %.40q, want a number", fields[0])
		}
		for i, v := range []*float64{&g.used, &g.total, &g.busy, &g.temperature} {
			text := strings.TrimSpace(fields[i+1])
			if strings.HasPrefix(text, "[") || text == "N/A" {
				*v = math.NaN()
				if text = strings.Trim(text, "[]"); text != "N/A" && text != "Not Supported" { // such as "GPU is lost"
					g.broken = fmt.Sprintf("%.40s", text)
				}
				continue
			}
			if *v, err = strconv.ParseFloat(text, 64); err != nil || !(*v >= 0) || math.IsInf(*v, 1) {
				return nil, fmt.Errorf("a value of %s is %.40q, want a number", g.name, text)
			}
		}
		gpus = append(gpus, g)
	}
}

const (
	dcgmUsed  = "DCGM_FI_DEV_FB_USED"
	dcgmXID   = "DCGM_FI_DEV_XID_ERRORS"
	dcgmBlank = 0x7ffffff0 // and above: values that DCGM does not have (dcgm_fields.h)
)

// dcgm reads the page of a DCGM exporter, and returns the names on it. A GPU that is shared
// between pods has several series with the same values; the partitions of a GPU (MIG) are
// GPUs of their own.
func dcgm(body []byte, contentType string) ([]*gpu, map[string]bool, error) {
	names, found := make(map[string]bool), make(map[string]*gpu)
	for s, err := range exposition.Parse(body, contentType) {
		if err != nil {
			return nil, nil, err
		}
		names[s.Name] = true
		field := dcgmField(s.Name)
		if field == nil && s.Name != dcgmXID {
			continue
		}
		name := "GPU"
		for _, label := range []string{"gpu", "GPU_I_ID", "Hostname"} {
			if v, _ := s.Label(label); v != "" {
				name += fmt.Sprintf(" %.100s", v)
			}
		}
		g := found[name]
		if g == nil {
			nan := math.NaN()
			g = &gpu{name: name, used: nan, free: nan, total: nan, busy: nan, temperature: nan}
			found[name] = g
		}
		if !(s.Value >= 0) || s.Value >= dcgmBlank {
			continue // not reported
		}
		if field == nil {
			if !slices.Contains(g.xids, s.Value) {
				g.xids = append(g.xids, s.Value)
			}
			continue
		}
		if v := field(g); math.IsNaN(*v) || s.Value > *v {
			*v = s.Value
		}
	}
	gpus := make([]*gpu, 0, len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		gpus = append(gpus, found[name])
	}
	return gpus, names, nil
}

// dcgmField returns which value a metric has, or nil if it is not looked at.
func dcgmField(name string) func(*gpu) *float64 {
	switch name {
	case dcgmUsed:
		return func(g *gpu) *float64 { return &g.used }
	case "DCGM_FI_DEV_FB_FREE":
		return func(g *gpu) *float64 { return &g.free }
	case "DCGM_FI_DEV_GPU_UTIL":
		return func(g *gpu) *float64 { return &g.busy }
	case "DCGM_FI_DEV_GPU_TEMP":
		return func(g *gpu) *float64 { return &g.temperature }
	}
	return nil
}
