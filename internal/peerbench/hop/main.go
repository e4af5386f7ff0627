// Command hop compares what one request costs the process between a caller and a
// model server: a traffic.Router, a tuned httputil.ReverseProxy, HAProxy, and a
// program that copies bytes both ways without a look at them.
//
//	cd internal/peerbench && go run ./hop
//
// Each hop, the load generator and the model server are processes of their own. The
// hops take turns in each round, so that what else the machine does strikes all of
// them. The table has the median of the rounds: processor time of the hop for each
// request, the ratio to the ReverseProxy in the same round, and the median latency. HAProxy is left
// out where it is not installed.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	rounds := flag.Int("rounds", 7, "rounds, at least 1")
	length := flag.Duration("duration", time.Second, "how long each hop has load in each round")
	names := flag.String("hops", "reverseproxy,router,candidate,haproxy,pump", "hops to compare, the first one with the others; proxy is one more")
	callers := flag.String("callers", "1,16,64", "concurrent callers")
	answers := flag.String("answers", "json,sse", "json is a small document, sse a stream of 64 chunks")
	profile := flag.String("profile", "", "folder for a CPU profile of each hop that is a Go program, one for each kind of answer")
	flag.Parse()
	run := measure
	if role := flag.Arg(0); role != "" {
		run = func(settings) error { return play(role, flag.Arg(1)) }
	}
	numbers, err := parseNumbers(*callers)
	if err == nil && *rounds < 1 {
		err = fmt.Errorf("hop: -rounds is %d, want at least 1", *rounds)
	}
	if err == nil {
		err = run(settings{*rounds, *length, strings.Split(*names, ","), numbers, strings.Split(*answers, ","), *profile})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func parseNumbers(list string) (all []int, err error) {
	for s := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("hop: -callers has %q, want numbers from 1", s)
		}
		all = append(all, n)
	}
	return all, nil
}

// settings says what is measured.
type settings struct {
	rounds  int
	length  time.Duration
	hops    []string
	callers []int
	answers []string
	profile string
}

// sample is one turn of a hop.
type sample struct {
	cpu    time.Duration // of the hop, for each request
	p50    time.Duration
	broken int // answers that were not the server's
	asked  int
}

// series are the turns of one hop under one load.
type series []sample

func (s series) cpu() time.Duration { return s.median(func(x sample) time.Duration { return x.cpu }) }
func (s series) p50() time.Duration { return s.median(func(x sample) time.Duration { return x.p50 }) }

func (s series) median(of func(sample) time.Duration) time.Duration {
	all := make([]time.Duration, len(s))
	for i, x := range s {
		all[i] = of(x)
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// ratio is the median of the ratios of the same rounds.
func (s series) ratio(to series) float64 {
	all := make([]float64, len(s))
	for i := range s {
		all[i] = float64(s[i].cpu) / float64(to[i].cpu)
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// key is one load.
type key struct {
	answer  string
	callers int
}

// measure starts all processes, has the hops take turns and writes the table.
func measure(s settings) error {
	model, err := start("model", "")
	if err != nil {
		return err
	}
	defer model.stop()
	load, err := start("load", "")
	if err != nil {
		return err
	}
	defer load.stop()
	var hops []hop
	for _, name := range s.hops {
		h, err := startHop(name, model.address)
		if err == errMissing {
			fmt.Fprintf(os.Stderr, "%s is not installed, and left out\n", name)
			continue
		} else if err != nil {
			return err
		}
		defer h.stop()
		hops = append(hops, h)
	}
	results := make(map[key]map[string]series)
	for _, answer := range s.answers {
		for _, h := range hops {
			if err := h.profile(s.profile, answer); err != nil {
				return err
			}
		}
		for _, callers := range s.callers {
			k := key{answer, callers}
			results[k] = make(map[string]series)
			for round := range s.rounds + 1 { // the first one warms up
				for _, h := range hops {
					x, err := turn(load, h, k, s.length)
					if err != nil {
						return fmt.Errorf("hop: %s: %w", h.name, err)
					}
					if round > 0 {
						results[k][h.name] = append(results[k][h.name], x)
					}
				}
			}
			fmt.Fprintf(os.Stderr, "%s at %d: done\n", answer, callers)
		}
		for _, h := range hops {
			if err := h.profile("", ""); err != nil {
				return err
			}
		}
	}
	write(os.Stdout, s, hops, results)
	return nil
}

// turn has a hop serve a load once.
func turn(load *process, h hop, k key, length time.Duration) (x sample, err error) {
	before, err := h.cpu()
	if err != nil {
		return x, err
	}
	answer, err := load.ask("%s %s %d %d", h.address, k.answer, k.callers, length)
	if err != nil {
		return x, err
	}
	after, err := h.cpu()
	if err != nil {
		return x, err
	}
	if _, err := fmt.Sscan(answer, &x.asked, &x.broken, &x.p50); err != nil {
		return x, fmt.Errorf("load generator: %q: %w", answer, err)
	}
	if x.asked == 0 {
		return x, fmt.Errorf("no answer in %v", length)
	}
	x.cpu = (after - before) / time.Duration(x.asked)
	return x, nil
}

// write writes the table.
func write(w io.Writer, s settings, hops []hop, results map[key]map[string]series) {
	fmt.Fprint(w, "| answer | hop |")
	for _, c := range s.callers {
		fmt.Fprintf(w, " CPU at %d | ratio | p50 |", c)
	}
	fmt.Fprint(w, "\n|---|---|", strings.Repeat("---|---|---|", len(s.callers)), "\n")
	asked, broken := 0, make(map[string]int)
	for _, answer := range s.answers {
		for _, h := range hops {
			fmt.Fprintf(w, "| %s | %s |", answer, h.name)
			for _, c := range s.callers {
				of := results[key{answer, c}]
				mine := of[h.name]
				fmt.Fprintf(w, " %.1f µs | %.2f | %.2f ms |", mine.cpu().Seconds()*1e6, mine.ratio(of[hops[0].name]), mine.p50().Seconds()*1e3)
				for _, x := range mine {
					asked += x.asked
					broken[h.name] += x.broken
				}
			}
			fmt.Fprintln(w)
		}
	}
	fmt.Fprintf(w, "\n%d requests in %d rounds of %v; broken answers by hop: %v\n", asked, s.rounds, s.length, broken)
}
