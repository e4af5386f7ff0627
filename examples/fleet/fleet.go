package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

const baseline, candidate = "1.4.0", "1.5.0"

// fleet is a number of processes of one service, each with a splitter.
type fleet struct {
	engines   []*rollout.Engine
	splitters []*splitter
}

func newFleet(ctx context.Context, store rollout.Store, n int) (*fleet, error) {
	f := &fleet{}
	for i := range n {
		s := &splitter{}
		e, err := rollout.Open(ctx, rollout.Config{
			Store: store, Replica: fmt.Sprintf("process-%d", i),
			Targets: map[string]rollout.Splitter{"chat": s},
		})
		if err != nil {
			f.close()
			return nil, err
		}
		f.engines, f.splitters = append(f.engines, e), append(f.splitters, s)
	}
	return f, nil
}

func (f *fleet) close() {
	for _, e := range f.engines {
		e.Close()
	}
}

// serve has every process serve rate requests a second, until ctx ends.
func (f *fleet) serve(ctx context.Context, rate float64) {
	const step = 10 * time.Millisecond
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	due, last := 0.0, time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			due += rate * float64(len(f.splitters)) * now.Sub(last).Seconds()
			for last = now; due >= 1; due-- {
				f.splitters[rand.IntN(len(f.splitters))].request(now)
			}
		}
	}
}

// splitter divides the requests of one process, and measures them.
type splitter struct {
	split    atomic.Pointer[strategies.Split]
	recorder atomic.Pointer[analysis.Recorder]
}

// SetSplit implements [rollout.Splitter].
func (s *splitter) SetSplit(_ context.Context, split strategies.Split) error {
	s.split.Store(&split)
	return nil
}

// Measure implements [rollout.Measurer].
func (s *splitter) Measure(r *analysis.Recorder) { s.recorder.Store(r) }

// request serves a request of one of a million users.
func (s *splitter) request(now time.Time) {
	split, recorder := s.split.Load(), s.recorder.Load()
	if split == nil || recorder == nil {
		return
	}
	latency := time.Duration((0.5 + rand.ExpFloat64()) * float64(time.Second))
	recorder.Record(analysis.Observation{
		Class: analysis.OK, At: now, Arm: split.Arms[split.Slots()[rand.IntN(int(strategies.Full))]].Name, Generation: split.Generation,
		Unit: fmt.Sprint(rand.IntN(1e6)), Latency: latency, TTFT: latency / 3, ITL: latency / 100,
		InputTokens: 100, OutputTokens: 100,
	})
}
