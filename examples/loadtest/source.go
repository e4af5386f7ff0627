package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/serin-go/serin/loadtest/workload"
)

// sources are the flags with the requests to send. One of them can be used.
var sources = strings.Fields("prompts trace targets body body-file")

// conflicts are flags that have no effect with others, which are refused so that none of
// what was asked for is missing in silence.
var conflicts = []struct{ flags, with string }{
	{"input prefix", "prompts trace targets body body-file"},
	{"output extra-body mix conversations", "targets body body-file"},
	{"output", "trace"},
	{"rate arrivals", "trace"},
	{"conversations", "trace mix"},
	{"model", "mix"},
	{"think", "trace rate arrivals"},
}

// needs are flags that have an effect only with another one.
var needs = map[string]string{"format": "results", "targets-format": "targets", "speedup": "trace", "window": "trace", "think": "users", "tokens": "as", "hourly-price": "server-metrics"}

// given returns the names of the flags that were used.
func (o *options) given() (names []string) {
	o.flags.Visit(func(f *flag.Flag) { names = append(names, f.Name) })
	return names
}

// clash returns an error for each combination of flags in which one has no effect.
func (o *options) clash() error {
	given := o.given()
	var errs []error
	used := slices.DeleteFunc(slices.Clone(sources), func(name string) bool { return !slices.Contains(given, name) })
	if len(used) > 1 {
		errs = append(errs, fmt.Errorf("-%s cannot be used together: each has the requests to send", strings.Join(used, " and -")))
	}
	for _, c := range conflicts {
		for flag := range strings.FieldsSeq(c.flags) {
			for with := range strings.FieldsSeq(c.with) {
				if slices.Contains(given, flag) && slices.Contains(given, with) {
					errs = append(errs, fmt.Errorf("-%s has no effect with -%s", flag, with))
				}
			}
		}
	}
	for _, flag := range given {
		if other := needs[flag]; other != "" && !slices.Contains(given, other) {
			errs = append(errs, fmt.Errorf("-%s has no effect without -%s", flag, other))
		}
	}
	if slices.Contains(given, "session-header") && !slices.ContainsFunc(given, func(name string) bool { return slices.Contains([]string{"users", "conversations", "trace"}, name) }) {
		errs = append(errs, errors.New("-session-header has no effect without -users, -conversations or -trace: other requests have no session"))
	}
	return errors.Join(append(errs, o.clashWithWorkers(given))...)
}

// clashWithWorkers returns an error for flags that workers have themselves.
func (o *options) clashWithWorkers(given []string) error {
	if !o.distributed() {
		return nil
	}
	var errs []error
	if slices.ContainsFunc(strings.Fields("insecure cacert resolve http2"), func(name string) bool { return slices.Contains(given, name) }) {
		errs = append(errs, errors.New("-insecure, -cacert, -resolve and -http2 cannot be used with workers: use them with serve-worker, which connects to the server"))
	}
	if slices.Contains(given, "header") {
		errs = append(errs, errors.New("-header cannot be used with workers: use it with serve-worker, so that secrets stay on their machine"))
	}
	return errors.Join(errs...)
}

// ask sets the requests of the plan.
func (o *options) ask(c console) (err error) {
	p := &o.plan
	switch {
	case o.targets != "":
		targets, err := open(o.targets, func(r io.Reader) (*workload.Targets, error) {
			return workload.ReadTargets(r, workload.TargetFormat(o.targetForm), nil)
		})
		if err == nil {
			p.Workload = targets
		}
		return err
	case slices.Contains(o.given(), "body"):
		if o.body == "" {
			return errors.New("-body is empty, want the body of a request")
		}
		p.Workload = workload.Requests{{Body: []byte(o.body)}}
		return nil
	case o.bodyFile != "":
		body, err := os.ReadFile(o.bodyFile)
		if err == nil && len(body) == 0 {
			err = fmt.Errorf("-body-file: %s is empty", o.bodyFile)
		}
		p.Workload = workload.Requests{{Body: body}}
		return err
	case o.talk && o.prompts == "":
		return errors.New("-conversations requires -prompts, a file whose lines have turns")
	case o.talk:
		p.Conversations, err = open(o.prompts, func(r io.Reader) ([]workload.Conversation, error) {
			all, _, err := o.readPrompts(c, r)
			return all, err
		})
		return err
	case o.prompts != "":
		all, err := open(o.prompts, func(r io.Reader) (workload.Requests, error) {
			_, all, err := o.readPrompts(c, r)
			return all, err
		})
		if p.Workload = all; err == nil && len(o.mix) == 0 && all[0].MaxTokens == 0 {
			p.Workload = nil // prompts of a plan are encoded before the run
			for _, r := range all {
				p.Prompts = append(p.Prompts, r.Prompt)
			}
		}
		return err
	}
	mean := float64(o.input)
	p.Workload = workload.Synthetic{Input: workload.Length{Mean: mean, SD: mean / 2, LogNormal: true, Min: 1}, Prefix: o.prefix, Seed: o.seed}
	return nil
}

// readPrompts reads the conversations or the requests of a file of prompts: JSON lines, or
// an array in the format of ShareGPT.
func (o *options) readPrompts(c console, r io.Reader) ([]workload.Conversation, workload.Requests, error) {
	in := bufio.NewReader(r)
	if mark, _ := in.Peek(3); string(mark) == "\ufeff" { // a byte order mark
		_, _ = in.Discard(len(mark)) // they were read
	}
	if head, _ := in.Peek(64); bytes.HasPrefix(bytes.TrimSpace(head), []byte("[")) {
		all, err := workload.ReadShareGPT(in, workload.ShareGPTOptions{})
		if err != nil {
			return nil, nil, err
		}
		fmt.Fprintf(c.err, "%s: %v.\n", o.prompts, all)
		return all.Conversations, all.Requests, nil
	}
	if o.talk {
		all, err := workload.ReadConversations(in)
		return all, nil, err
	}
	prompts, err := workload.ReadPrompts(in)
	var all workload.Requests
	for _, p := range prompts {
		all = append(all, workload.Request{Prompt: p})
	}
	return nil, all, err
}

// share is a model with its share of the requests.
type share struct {
	model  string
	weight float64
}

// parseMix parses models with weights, such as base=3,lora=1.
func parseMix(text string) (all []share, err error) {
	sum := 0.0
	for part := range strings.SplitSeq(text, ",") {
		i := strings.LastIndexByte(part, '=')
		if i < 1 {
			return nil, fmt.Errorf("%q, want models with weights, such as base=3,lora=1", part)
		}
		weight, err := strconv.ParseFloat(part[i+1:], 64)
		if err != nil || !(weight > 0) {
			return nil, fmt.Errorf("%q, want a weight above 0, such as base=3,lora=1", part)
		}
		if sum += weight; math.IsInf(sum, 0) {
			return nil, fmt.Errorf("%q, want weights with a finite sum, such as base=3,lora=1", text)
		}
		all = append(all, share{strings.TrimSpace(part[:i]), weight})
	}
	return all, nil
}

// mixModels sends the workload of the plan to the models of -mix. It is an error if
// requests have a model of their own, which would be called instead.
func (o *options) mixModels() error {
	if len(o.mix) == 0 || o.plan.Workload == nil {
		return nil
	}
	if o.plan.ExtraBody["model"] != nil {
		return errors.New(`-extra-body has "model", want the models of -mix only`)
	}
	if err := o.checkModels(); err != nil {
		return err
	}
	m := workload.Mix{Seed: o.seed}
	for _, s := range o.mix {
		m.Parts = append(m.Parts, workload.Part{Name: s.model, Weight: s.weight, Model: s.model, Workload: o.plan.Workload})
	}
	o.plan.Workload, o.plan.Model = m, strings.Join(o.models(), ", ")
	return nil
}

// checkModels returns an error for the first request of a file that has a model.
func (o *options) checkModels() error {
	type request struct {
		Prompt struct {
			ExtraBody struct {
				Model json.RawMessage `json:"model"`
			} `json:"extra_body"`
		} `json:"prompt"`
	}
	var file struct {
		Requests []request `json:"requests"`
		Trace    struct {
			Arrivals []request `json:"arrivals"`
		} `json:"trace"`
	}
	text, err := workload.Marshal(o.plan.Workload)
	if err == nil {
		err = json.Unmarshal(text, &file)
	}
	if err != nil {
		return err
	}
	for i, r := range append(file.Requests, file.Trace.Arrivals...) {
		if model := r.Prompt.ExtraBody.Model; model != nil {
			return fmt.Errorf("%s: request %d has the model %.64s, want the models of -mix only", cmp.Or(o.prompts, o.trace), i+1, model)
		}
	}
	return nil
}

// models returns the names of the models to send to.
func (o *options) models() []string {
	if len(o.mix) == 0 {
		return []string{o.plan.Model}
	}
	var names []string
	for _, s := range o.mix {
		names = append(names, s.model)
	}
	return names
}
