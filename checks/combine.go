package checks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// named is the check of [Named].
type named struct {
	name  string
	check Check
}

// Named returns c with a name, which precedes the summary and the error of its result.
// [All] and [Any] use the name in their results. If name is empty, Named returns c.
func Named(name string, c Check) Check {
	if name == "" {
		return c
	}
	return named{name: name, check: c}
}

// Check runs the check and prefixes its summary and error with the name.
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

// parts returns checks by name. The name comes from [Named], or is the position from 1. The
// position is appended to a repeated name.
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

// join combines the report of several checks into one result: the status, a summary of
// the checks that did not pass, all evidence as "name.key", and all errors.
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

// All returns a check that passes if every check of list passes. It runs them
// concurrently, at most [Concurrency] at a time, and waits for all. Its status is the
// worst, in the order Pass, Warn, Unknown, Fail. It is Unknown if the list is empty. Its
// error joins all errors. Its evidence has the keys "name.key", where name is the name of
// [Named] or the position from 1.
func All(list ...Check) Check {
	list = slices.Clone(list)
	return derived{how: "all", parts: list, Func: func(ctx context.Context) Result {
		if len(list) == 0 {
			return Result{Err: errNil}
		}
		return join(Run(ctx, parts(list)))
	}}
}

// Any returns a check that passes if one check of list passes. It runs them concurrently,
// at most [Concurrency] at a time. When one passes, Any returns its result and cancels
// the others. Otherwise it waits for all. Then it is Warn if one warns, Unknown if one is
// Unknown, and Fail if all fail. A check that hangs delays it; see [WithTimeout]. It is
// Unknown if the list is empty. Names, errors and evidence are as in [All].
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
