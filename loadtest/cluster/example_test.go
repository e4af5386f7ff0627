package cluster_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"

	"time"

	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/cluster"
	"github.com/serin-go/serin/loadtest/modeltest"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

// Two workers, which would be on two machines, and their coordinator.
func ExampleCoordinator() {
	model, err := modeltest.New(modeltest.Config{Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	target := httptest.NewServer(model)
	defer target.Close()

	const token = "from the environment, say"
	var urls []string
	for range 2 {
		worker, err := cluster.NewWorker(cluster.WorkerConfig{Token: token})
		if err != nil {
			fmt.Println(err)
			return
		}
		server := httptest.NewServer(worker)
		defer server.Close()
		urls = append(urls, server.URL)
	}

	c, err := cluster.New(cluster.Config{Workers: urls, Token: token, Lead: 200 * time.Millisecond})
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := c.Run(context.Background(), loadtest.Plan{
		Target: target.URL, Model: "tinylm", Pacer: pace.Poisson(100, 1), Requests: 60, MaxTokens: 8,
		Workload: workload.Synthetic{Input: workload.Length{Mean: 20}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Sent, "requests sent,", report.Missing, "missing")
	for _, note := range report.Notes {
		if _, share, found := strings.Cut(note, ", sent "); found {
			fmt.Println(share)
		}
	}
	// Unordered output:
	// 60 requests sent, 0 missing
	// 30 requests of share 1 of 2
	// 30 requests of share 2 of 2
}
