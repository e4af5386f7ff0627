package checks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// named is a check that has a name of its own.
type named struct {
	name  string
	check Check
}

// Named returns c under a name, which precedes the summary and the error of its result.
// [All] and [Any] use the name where they speak of c. An empty name changes nothing.
func Named(name string, c Check) Check {
	if name == "" {
		return c
	}
	return named{name: name, check: c}
}

// Check carries out the check and puts the name in front of what it says.
func (n named) Check(ctx context.Context) Result {
	res := contain(ctx, n.check)
	if res.Summary != "" {
		res.Summary = n.name + ": " + res.Summary
	}
	if res.Err != nil {
		res.Err = fmt.Errorf("%s: %w", n.name, res.Err)
	}
	return res
}

// Digest returns the digest of the check without its name.
func (n named) Digest() string { return derived{parts: []Check{n.check}}.Digest() }

// parts returns checks by name: the one that [Named] gave, or the position from 1. A
// name that occurs again is followed by its position.
func parts(list []Check) map[string]Check {
	m := make(map[string]Check, len(list))
	for i, c := range list {
		name := strconv.Itoa(i + 1)
		if n, ok := c.(named); ok {
			name, c = n.name, n.check
		}
		for _, taken := m[name]; taken; _, taken = m[name] {
			name += "#" + strconv.Itoa(i+1)
		}
		m[name] = c
	}
	return m
}

// join returns one result for the report of several checks: its status, what did not
// pass, all evidence under "name.key", and all errors.
func join(rep Report) Result {
	res := Result{Status: rep.Status}
	var errs []error
	rep.Results = slices.Clone(rep.Results)
	for i, r := range rep.Results {
		for key, value := range r.Evidence {
			if res.Evidence == nil {
				res.Evidence = make(map[string]string)
			}
			res.Evidence[r.Name+"."+key] = value
		}
		if r.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.Name, r.Err))
			rep.Results[i].Err = nil // the summary does not repeat it
		}
	}
	res.Err = errors.Join(errs...)
	res.Summary = rep.Summary()
	return res
}

// All returns a check that passes if every check of list does. It carries them out
// together, at most [Concurrency] at the same time, and waits for all of them. Its
// status is the worst, in the order Pass, Warn, Unknown, Fail; without any check it is
// Unknown. Its error joins theirs. Its evidence is theirs, with keys "name.key", where
// the name is the one of [Named] or the position from 1.
func All(list ...Check) Check {
	list = slices.Clone(list)
	return derived{how: "all", parts: list, Func: func(ctx context.Context) Result {
		if len(list) == 0 {
			return Result{Err: errNil}
		}
		return join(Run(ctx, parts(list)))
	}}
}

// Any returns a check that passes if one check of list does. It carries them out
// together, at most [Concurrency] at the same time. When one passes, it returns the
// result under that check's name and cancels the others. Otherwise it waits for all:
// it is Warn if one warns, Fail if all fail, and Unknown if a check without an
// answer could have passed. A check that hangs delays it; see [WithTimeout]. Without any check
// it is Unknown. Names, errors and evidence are as with [All].
func Any(list ...Check) Check {
	list = slices.Clone(list)
	return derived{how: "any", parts: list, Func: func(ctx context.Context) Result {
		if len(list) == 0 {
			return Result{Err: errNil}
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		passed := make(chan NamedResult, len(list))
		all := parts(list)
		for name, c := range all {
			all[name] = Func(func(ctx context.Context) Result {
				res := contain(ctx, c)
				if res.Status == Pass {
					passed <- NamedResult{Name: name, Result: res}
					cancel()
				}
				return res
			})
		}
		rep := Run(ctx, all)
		select {
		case r := <-passed:
			res := join(Report{Status: Pass, Results: []NamedResult{r}})
			res.Summary = r.line()
			return res
		default:
		}
		rep.Status = Fail
		for _, r := range rep.Results {
			if r.Status.severity() < rep.Status.severity() {
				rep.Status = r.Status
			}
		}
		return join(rep)
	}}
}
