package main

import (
	"flag"
	"fmt"
	"net/http"
	"strings"

	"github.com/serin-go/serin/loadtest"
)

// serverFlags adds the flags for the metrics of the servers under test.
func (o *options) serverFlags(fs *flag.FlagSet) {
	fs.Func("server-metrics", "read the metrics page of a server during the run, as `KIND=URL`; may be repeated. KIND is vllm, sglang, tgi, llama.cpp, triton, or dcgm for GPUs", func(text string) error {
		kind, address, found := strings.Cut(text, "=")
		page := loadtest.MetricsPage{Kind: kind, URL: address}
		if err := (loadtest.ServerMetrics{Pages: []loadtest.MetricsPage{page}}).Validate(); !found || err != nil {
			return fmt.Errorf("want KIND=URL, such as vllm=http://10.0.0.7:8000/metrics, with a KIND of vllm, sglang, tgi, llama.cpp, triton or dcgm")
		}
		o.server.Pages = append(o.server.Pages, page)
		return nil
	})
	fs.Float64Var(&o.server.HourlyPrice, "hourly-price", 0, "the `price` of an hour of all servers, for the cost of good tokens; with -server-metrics")
}

// watched returns a runner that also reads the metrics of the servers.
func (o *options) watched(run loadtest.Runner) (loadtest.Runner, error) {
	if len(o.server.Pages) == 0 {
		return run, nil
	}
	if t, err := o.transport(len(o.server.Pages)); err != nil {
		return nil, err
	} else if t != nil {
		o.server.Client = &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return o.server.Watch(run), o.server.Validate()
}
