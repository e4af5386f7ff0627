package health_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/health"
)

// A service shows whether it can serve, and drains its streams when it stops.
func Example() {
	reached := make(chan struct{})
	var once sync.Once
	database := checks.Func(func(context.Context) checks.Result { // such as probe.SQL
		defer once.Do(func() { close(reached) })
		return checks.Result{Status: checks.Pass}
	})
	monitor, err := health.New(health.Config{Components: []health.Component{{Name: "database", Check: database, Shared: true}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go monitor.Run(ctx)

	mux := http.NewServeMux()
	mux.Handle("/livez", monitor.Live())
	mux.Handle("/readyz", monitor.Ready())
	mux.Handle("/startupz", monitor.Startup())
	mux.Handle("/", monitor.Track(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })))
	server := httptest.NewServer(mux)
	defer server.Close()

	<-reached
	for report := range monitor.Watch(ctx) { // until the result has been counted
		if report.Ready.Opens() {
			break
		}
	}
	ask := func(path string) {
		resp, err := http.Get(server.URL + path)
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
		fmt.Println(path, resp.StatusCode)
	}
	ask("/readyz")
	ask("/")
	// On SIGTERM: fail readiness, wait until the load balancer has noticed, let streams finish.
	cut := monitor.Drain(ctx, health.Drain{Notice: time.Millisecond, Streams: time.Minute})
	fmt.Println(cut, "requests cut")
	ask("/readyz")
	ask("/livez")
	ask("/")
	// Output:
	// /readyz 200
	// / 200
	// 0 requests cut
	// /readyz 503
	// /livez 200
	// / 503
}
