// Command fleet measures how many processes can share a store: store operations and
// bytes per second, and CPU, of N engines that carry out one rollout, while it bakes
// and after it has ended. The store is in memory and counts.
//
//	go run ./examples/fleet -n 3,30,300,1000
//
// All engines are in one process, so the CPU is what all of them take together. Where it
// comes near to the number of cores, the figures show a fleet that is starved.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// options say what is measured.
type options struct {
	members          []int
	rate             float64       // requests a second of each process
	warm, bake, idle time.Duration // before the measurement, and of each
}

func main() {
	sizes := flag.String("n", "3,30,300,1000", "numbers of processes")
	var o options
	flag.Float64Var(&o.rate, "rate", 5, "requests a second of each process")
	flag.DurationVar(&o.warm, "warm", 20*time.Second, "time before each measurement")
	flag.DurationVar(&o.bake, "bake", 60*time.Second, "time measured while the rollout bakes")
	flag.DurationVar(&o.idle, "idle", 30*time.Second, "time measured after it has ended")
	flag.Parse()
	for _, s := range strings.Split(*sizes, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			log.Fatalf("fleet: -n: cannot use %q, want numbers of processes such as 3,30", s)
		}
		o.members = append(o.members, n)
	}
	if err := run(context.Background(), os.Stdout, o); err != nil {
		log.Fatal(err)
	}
}

// run measures each number of processes, and writes a table.
func run(ctx context.Context, w io.Writer, o options) error {
	fmt.Fprintf(w, "%9s %8s %8s %8s %8s %8s %8s %9s %9s %8s %9s\n", "processes", "ops/s", "gets/s", "puts/s", "lists/s", "MB/s", "commits", "evidence", "document", "cores", "idle ops/s")
	for _, n := range o.members {
		if err := measure(ctx, w, n, o); err != nil {
			return err
		}
	}
	return nil
}

// measure measures one fleet, and writes a row of the table.
func measure(ctx context.Context, w io.Writer, n int, o options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	store := newCounting()
	f, err := newFleet(ctx, store, n)
	if err != nil {
		return err
	}
	defer f.close()
	id, err := f.engines[0].Start(ctx, rollout.Plan{
		Target:    "chat",
		Baseline:  versioning.Release{Version: versioning.MustParse(baseline)},
		Candidate: versioning.Release{Version: versioning.MustParse(candidate)},
	}, rollout.Actor{Name: "ana"})
	if err != nil {
		return err
	}
	go f.serve(ctx, o.rate)
	for st := (rollout.Status{}); st.Phase != strategies.Baking; {
		if st, err = f.engines[0].Status(ctx, id); err != nil {
			return err
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	baking, err := store.during(ctx, o.warm, o.bake)
	if err != nil {
		return err
	}
	st, err := f.engines[0].Status(ctx, id)
	if err == nil && st.Phase != strategies.Baking {
		err = fmt.Errorf("fleet: rollout is %v (%s), want baking", st.Phase, st.Reason)
	}
	if err != nil {
		return err
	}
	if err := f.engines[0].Do(ctx, id, strategies.Abort, rollout.Actor{Name: "ana"}); err != nil {
		return err
	}
	idle, err := store.during(ctx, o.warm, o.idle)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%9d %8.0f %8.0f %8.0f %8.1f %8.2f %8.0f %8.1fk %8.1fk %8.2f %9.1f\n",
		n, baking.ops(), baking.gets, baking.puts, baking.lists, baking.bytes/1e6, baking.commits, baking.evidence/1e3, baking.document/1e3, baking.cpu, idle.ops())
	return nil
}
