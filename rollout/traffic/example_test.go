package traffic_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// model stands for a server that speaks the OpenAI interface.
func model(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, `{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2}}`)
}

// A router in front of two versions; the new one gets five percent.
func Example() {
	old, candidate := httptest.NewServer(http.HandlerFunc(model)), httptest.NewServer(http.HandlerFunc(model))
	defer old.Close()
	defer candidate.Close()

	router, err := traffic.New(traffic.Config{
		Arms: map[string]traffic.Backend{
			"1.4.0": {URL: old.URL, Price: traffic.Price{Input: 2_500_000, Output: 10_000_000}},
			"1.5.0": {URL: candidate.URL},
		},
		Split: strategies.Split{Arms: []strategies.Arm{
			{Name: "1.4.0", Weight: strategies.Percent(95)},
			{Name: "1.5.0", Weight: strategies.Percent(5)},
		}},
		Unit: func(r *http.Request) string { return r.Header.Get("X-User") },
		Observe: func(o analysis.Observation) {
			fmt.Println(o.Unit, o.Arm, o.Class, o.InputTokens, o.OutputTokens, o.Cost)
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	// http.ListenAndServe(":8080", router)
	req := httptest.NewRequest("POST", "/v1/chat/completions", nil)
	req.Header.Set("X-User", "ann")
	w := httptest.NewRecorder()
	router.ServeHTTP(w, req)
	fmt.Println(w.Code, w.Header().Get(traffic.VersionHeader))
	// Output:
	// ann 1.4.0 ok 9 2 43
	// 200 1.4.0
}

// A service that calls models itself takes the router as its transport. Here the
// candidate is down: the caller gets the baseline's answer.
func ExampleRouter_RoundTripper() {
	old, down := httptest.NewServer(http.HandlerFunc(model)), httptest.NewServer(nil)
	defer old.Close()
	down.Close()

	router, err := traffic.New(traffic.Config{
		Arms: map[string]traffic.Backend{"1.4.0": {URL: old.URL}, "1.5.0": {URL: down.URL}},
		Split: strategies.Split{Arms: []strategies.Arm{
			{Name: "1.4.0", Weight: 0},
			{Name: "1.5.0", Weight: strategies.Full},
		}},
		Observe: func(o analysis.Observation) { fmt.Println("observed", o.Arm, o.Class) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: router.RoundTripper()}
	resp, err := client.Post("http://model/v1/chat/completions", "application/json", strings.NewReader(`{"model":"chat"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	fmt.Println("served by", resp.Header.Get(traffic.VersionHeader))
	// Output:
	// observed 1.5.0 error
	// served by 1.4.0
}

// Work that does not pass through HTTP takes an assignment and reports how it
// went.
func ExampleRouter_Assign() {
	router, err := traffic.New(traffic.Config{
		Arms:    map[string]traffic.Backend{"1.4.0": {}},
		Observe: func(o analysis.Observation) { fmt.Println(o.Arm, o.Unit, o.Class, o.OutputTokens) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	job := router.Assign(context.Background(), "tenant-7")
	// ... call version job.Arm() of the model ...
	job.Done(analysis.Observation{Class: analysis.OK, OutputTokens: 120})
	fmt.Println("a second report counts:", job.Done(analysis.Observation{Class: analysis.OK}))
	// Output:
	// 1.4.0 tenant-7 ok 120
	// a second report counts: false
}

// A split that names a version nobody has deployed changes nothing.
func ExampleRouter_SetSplit() {
	router, err := traffic.New(traffic.Config{Arms: map[string]traffic.Backend{"1.4.0": {}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	canary := strategies.Split{Generation: 2, Arms: []strategies.Arm{
		{Name: "1.4.0", Weight: strategies.Percent(90)},
		{Name: "1.5.0", Weight: strategies.Percent(10)},
	}}
	err = router.SetSplit(ctx, canary)
	var missing *traffic.NoBackendError
	fmt.Println(errors.As(err, &missing), err)

	_ = router.SetBackend("1.5.0", traffic.Backend{})
	fmt.Println(router.SetSplit(ctx, canary), router.Split().Weight("1.5.0"))
	// Output:
	// true traffic: arm "1.5.0" has traffic but no backend; add it with SetBackend first
	// <nil> 10%
}

// A server whose answers the client of this module refuses, since they are malformed, is
// left to net/http.
func ExampleNetHTTP() {
	model := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, _ := http.NewResponseController(w).Hijack()
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n0\r\n\r\n")
	}))
	defer model.Close()
	router, err := traffic.New(traffic.Config{
		Arms: map[string]traffic.Backend{"1.4.0": {URL: model.URL, Transport: traffic.NetHTTP()}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequest("GET", "/health", nil))
	fmt.Println(w.Code, w.Body)
	// Output: 200 OK
}
