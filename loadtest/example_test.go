package loadtest_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/modeltest"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

func ExampleRun() {
	model, err := modeltest.New(modeltest.Config{Seed: 1}) // any server with the OpenAI API will do
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(model)
	defer server.Close()

	prompts, err := workload.ReadPrompts(strings.NewReader(`{"prompt": "What is light?"}
{"messages": [{"role": "user", "content": "What is colour?"}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := loadtest.Run(context.Background(), loadtest.Plan{
		Target:    server.URL,
		Model:     "tinylm",
		Prompts:   prompts,
		Pacer:     pace.Poisson(200, 1), // independent users, 200 requests a second
		Requests:  50,
		MaxTokens: 16,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Classes[analysis.OK], "of", report.Sent, "answered,", report.OutputTokens, "tokens")
	fmt.Println("time to first token of", report.TTFT.Count(), "streams is known:", report.CorrectedTTFT.Quantile(0.95) > 0)
	// Output:
	// 50 of 50 answered, 800 tokens
	// time to first token of 50 streams is known: true
}

func ExampleGate() {
	model, err := modeltest.New(modeltest.Config{Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(model)
	defer server.Close()

	limit, err := analysis.ParseThreshold("error rate <= 1%")
	if err != nil {
		fmt.Println(err)
		return
	}
	gate := loadtest.Gate(loadtest.Plan{
		Target: server.URL, Model: "tinylm", Pacer: pace.Constant(50), Requests: 20, LagBound: time.Minute,
		Workload: workload.Synthetic{Input: workload.Length{Mean: 20}, Output: workload.Length{Mean: 4}},
	}, limit)
	fmt.Println(gate.Check(context.Background()).Summary)
	// Output: error rate <= 1%: 0 % over 20 requests, too few to show it: 100 or more can
}

func ExamplePlan_Validate() {
	err := loadtest.Plan{Target: "localhost", Model: "tinylm", Pacer: pace.Constant(-1)}.Validate()
	fmt.Println(err)
	// Output:
	// loadtest: Plan.Target is localhost, want a URL such as http://127.0.0.1:8080/v1
	// loadtest: Plan.Prompts is [], want at least one prompt
	// loadtest: Plan.Pacer.Constant.Rate is -1, want requests per second, from 0.000001 to 100,000
}
